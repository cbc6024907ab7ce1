"""TensorFlow checkpoints, those of SavedModels among them: variables by their names, read and replaced."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import trackable_object_graph_pb2

from translate.errors import OpenError
from translate.models.base import Array

# Where a checkpoint keeps which object has which variable.
_OBJECT_GRAPH = "_CHECKPOINTABLE_OBJECT_GRAPH"


class Checkpoint:
    """The variables of an object-based checkpoint, read one by one."""

    def __init__(self, prefix: Path) -> None:
        """Open `prefix`.index; `prefix` may be a folder, whose latest checkpoint is meant. Raises `OpenError`."""
        self.prefix = _latest(prefix) if prefix.is_dir() else prefix
        try:
            self._reader = tf.train.load_checkpoint(str(self.prefix))
            graph = trackable_object_graph_pb2.TrackableObjectGraph()
            graph.ParseFromString(self._reader.get_tensor(_OBJECT_GRAPH))
        except (tf.errors.OpError, ValueError, RuntimeError) as error:
            # ValueError: TensorFlow's word for a file that is not there; its reader raises RuntimeError for damage.
            raise OpenError(f"{prefix} is no readable TensorFlow checkpoint: {error}") from error
        # An optimizer's variables have no names of their own, and those of its slots are not asked for.
        self._keys = {
            str(one.full_name): str(one.checkpoint_key)
            for node in graph.nodes
            for one in node.attributes
            if one.full_name
        }

    @property
    def variables(self) -> Mapping[str, tuple[int, ...]]:
        """The shape of each variable by its name, as in `conv1/weight`."""
        shapes = self._reader.get_variable_to_shape_map()
        return {name: tuple(shapes[key]) for name, key in self._keys.items()}

    def dtype(self, variable: str) -> np.dtype[Any]:
        """Return the dtype that a variable has."""
        dtype: np.dtype[Any] = np.dtype(self._reader.get_variable_to_dtype_map()[self._keys[variable]].as_numpy_dtype)
        return dtype

    def read(self, variable: str) -> Array:
        """Return the value of a variable."""
        array: Array = np.asarray(self._reader.get_tensor(self._keys[variable]))
        return array

    def replace(self, prefix: Path, values: Mapping[str, Callable[[], Array]]) -> None:
        """Write this checkpoint to `prefix` with other `values` of variables; everything else is kept bit by bit."""
        names = {key: name for name, key in self._keys.items()}
        keys = sorted(self._reader.get_variable_to_shape_map())
        tensors = []
        for key in keys:
            make = values.get(names.get(key, ""))
            tensors.append(tf.constant(self._reader.get_tensor(key) if make is None else make()))
        prefix.parent.mkdir(parents=True, exist_ok=True)
        shards = [""] * len(keys)
        tf.raw_ops.SaveV2(prefix=str(prefix), tensor_names=keys, shape_and_slices=shards, tensors=tensors)


def _latest(folder: Path) -> Path:
    if (folder / "variables" / "variables.index").is_file():
        return folder / "variables" / "variables"
    found = tf.train.latest_checkpoint(str(folder))
    if found is None:
        raise OpenError(f"{folder} holds no TensorFlow checkpoint")
    return Path(found)
