"""TensorFlow SavedModels, whoever wrote them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import tensorflow as tf

from translate.errors import OpenError
from translate.models.base import Array, Model, Spec, check_feeds


class SavedModel(Model):
    """One signature of a SavedModel folder; its symbolic dimensions are None, for TensorFlow has no names for them."""

    kind = "TensorFlow SavedModel"

    def __init__(self, path: Path, signature: str = "serving_default") -> None:
        """Load the folder. Raises `OpenError` when it is damaged or has no such signature."""
        try:
            # The loaded object must stay alive: it owns the variables.
            self.loaded = tf.saved_model.load(str(path))
        except Exception as error:
            # TensorFlow raises anything here, protobuf's errors included.
            raise OpenError(f"{path} is no readable SavedModel: {error}") from error
        signatures = self.loaded.signatures
        if signature not in signatures:
            known = ", ".join(signatures) or "none at all"
            raise OpenError(f"{path} has no signature {signature!r}; it has {known}")
        self.path = path
        self.function = signatures[signature]
        _, inputs = self.function.structured_input_signature
        outputs = self.function.structured_outputs
        self.inputs = tuple(_spec(name, spec) for name, spec in inputs.items())
        self.outputs = tuple(_spec(name, spec) for name, spec in outputs.items())

    def upload(self, feeds: Mapping[str, Array]) -> dict[str, tf.Tensor]:
        """Make a tensor of each array."""
        check_feeds(self.inputs, feeds)
        return {name: tf.constant(array) for name, array in feeds.items()}

    def call(self, values: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """Run the signature."""
        results: dict[str, tf.Tensor] = self.function(**values)
        return results

    def download(self, results: dict[str, tf.Tensor]) -> dict[str, Array]:
        """Copy the results into arrays."""
        return {name: np.asarray(result.numpy()) for name, result in results.items()}


def _spec(name: str, spec: tf.TensorSpec) -> Spec:
    dtype = "str" if spec.dtype == tf.string else spec.dtype.name
    shape = None if spec.shape.rank is None else tuple(spec.shape.as_list())
    return Spec(name, dtype, shape)
