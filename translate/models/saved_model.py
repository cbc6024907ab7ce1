"""TensorFlow SavedModels, whoever wrote them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from translate.errors import OpenError
from translate.manifest import Manifest, read_manifest
from translate.models import tensorflow_device, tf_graph, tf_values
from translate.models.base import Array, Spec
from translate.models.device import Placement
from translate.models.traced import TracedModel, spec_of


class SavedModel(TracedModel):
    """One signature of a SavedModel folder; its symbolic dimensions are None, for TensorFlow has no names for them."""

    kind = "TensorFlow SavedModel"

    def __init__(
        self,
        path: Path,
        signature: str = "serving_default",
        placement: Placement | None = None,
        *,
        loaded: Any = None,
    ) -> None:
        """Load the folder, where `placement` says; None leaves the device to TensorFlow.

        `loaded` is the `loaded` of another signature of this folder: weights that both read are then there once. Raises
        `OpenError` when the folder is damaged or has no such signature, `UsageError` when there is no such device.
        """
        device = tensorflow_device.Device(placement)
        self.path = path
        self.signature = signature
        self.manifest = read_manifest(path)
        graph = None
        # The loaded object must stay alive: it owns the variables.
        self.loaded: Any = loaded
        if loaded is None:
            graph, self.loaded = _load(path, signature, device)
        if graph is not None:
            with device.scope():
                function, arguments, results = tf_graph.session_function(graph)
        else:
            function = _signature(self.loaded.signatures, signature, path)
            _, given = function.structured_input_signature
            # A function's tensors are in the order of its flattened signature, and that of a dict is sorted.
            arguments = [spec_of(name, given[name]) for name in sorted(given)]
            results = sorted(function.structured_outputs)
            if loaded is None and self.manifest is None:
                _empty_others(self.loaded, function)
        super().__init__(function, arguments, results, device)
        declared = (self.manifest or Manifest()).signature(signature)
        self.inputs = _in_order(self.inputs, declared.inputs)
        self.outputs = _in_order(self.outputs, declared.outputs)

    def values(self, feeds: Mapping[str, Array], names: Sequence[str]) -> dict[str, Array]:
        """Fetch the tensors that the manifest names; where it names none, those of the signature that are called so.

        Axes are put in the source's order where the manifest declares another.
        """
        # The other engine's results have a manifest, too, but one that knows of no values.
        everywhere = (self.manifest or Manifest()).signature(self.signature).values
        if not everywhere:
            return super().values(feeds, names)
        # The signature only calls this function, whose graph has the values.
        function = getattr(self.loaded, self.signature).concrete_functions[0]
        known = tf_values.known_tensors(function)
        places = {name: everywhere[name] for name in names if name in everywhere and everywhere[name].tensor in known}
        if not places:
            return {}
        given = self.upload(feeds)
        ordered = [given[name] for name in tf_values.arguments(function)]
        arrays = tf_values.tensor_values(function, ordered, [place.tensor for place in places.values()])
        return {
            name: array if place.permutation is None else array.transpose(np.argsort(place.permutation))
            for (name, place), array in zip(places.items(), arrays, strict=True)
        }


def _load(path: Path, signature: str, device: tensorflow_device.Device) -> tuple[tf_graph.Graph | None, Any]:
    """Return the graph of a signature that only sessions can run, or None and the loaded object of any other folder."""
    try:
        with device.scope():
            graph = tf_graph.read_session_graph(path, signature)
            return graph, None if graph is not None else tf.saved_model.load(str(path))
    except OpenError:
        raise
    except Exception as error:
        # TensorFlow raises anything here, protobuf's errors included.
        raise OpenError(f"{path} is no readable SavedModel: {error}") from error


def _signature(signatures: Mapping[str, Any], name: str, path: Path) -> Any:
    if name not in signatures:
        raise OpenError(f"{path} has no signature {name!r}; it has {', '.join(signatures) or 'none at all'}")
    return signatures[name]


def _empty_others(loaded: Any, function: Any) -> None:
    """Free the memory of the variables under `loaded` that `function` does not read, of which shapes stay.

    What Keras's `export` writes has every weight twice, and one of the two is never read.
    """
    read = {id(one) for one in (*function.graph.variables, *function.captured_inputs)}
    for variable in tf.train.TrackableView(loaded).descendants():
        if not isinstance(variable, tf.Variable) or not variable.dtype.is_floating:
            continue
        if read.isdisjoint({id(variable), id(variable.handle)}):
            with tf.device(variable.device):
                nothing = tf.zeros([0], variable.dtype)
                tf.raw_ops.AssignVariableOp(resource=variable.handle, value=nothing, validate_shape=False)


def _in_order(specs: Iterable[Spec], known: Sequence[str]) -> tuple[Spec, ...]:
    """Return `specs` as the manifest has them, else sorted: the file keeps them in the order of a hash."""
    by_name = {spec.name: spec for spec in specs}
    return tuple(by_name[name] for name in (known if set(known) == set(by_name) else sorted(by_name)))
