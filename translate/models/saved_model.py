"""TensorFlow SavedModels, whoever wrote them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from translate.errors import OpenError, UsageError
from translate.manifest import Manifest, Value, read_manifest
from translate.models import tensorflow_device, tf_gradients, tf_values
from translate.models.base import Array, Gradients, Loss, Model, Spec, check_feeds
from translate.models.device import Placement
from translate.models.perturb import neighbouring_feeds, neighbours


class SavedModel(Model):
    """One signature of a SavedModel folder; its symbolic dimensions are None, for TensorFlow has no names for them."""

    kind = "TensorFlow SavedModel"

    def __init__(self, path: Path, signature: str = "serving_default", placement: Placement | None = None) -> None:
        """Load the folder, where `placement` says; None leaves the device to TensorFlow.

        Raises `OpenError` when it is damaged or has no such signature, `UsageError` when there is no such device.
        """
        self.device = tensorflow_device.Device(placement)
        try:
            # The loaded object must stay alive: it owns the variables.
            with self.device.scope():
                self.loaded = tf.saved_model.load(str(path))
        except Exception as error:
            # TensorFlow raises anything here, protobuf's errors included.
            raise OpenError(f"{path} is no readable SavedModel: {error}") from error
        signatures = self.loaded.signatures
        if signature not in signatures:
            known = ", ".join(signatures) or "none at all"
            raise OpenError(f"{path} has no signature {signature!r}; it has {known}")
        self.path = path
        self.manifest = read_manifest(path)
        self.function = signatures[signature]
        _, inputs = self.function.structured_input_signature
        outputs = self.function.structured_outputs
        declared = self.manifest or Manifest()
        self.inputs = tuple(_spec(name, inputs[name]) for name in _in_order(inputs, declared.inputs))
        self.outputs = tuple(_spec(name, outputs[name]) for name in _in_order(outputs, declared.outputs))
        self._compiled = _compile(self.function, inputs) if self.device.xla else self.function

    def upload(self, feeds: Mapping[str, Array]) -> dict[str, tf.Tensor]:
        """Make a tensor of each array, on the device."""
        check_feeds(self.inputs, feeds)
        with self.device.scope():
            values = {name: tf.constant(array) for name, array in feeds.items()}
        self.device.synchronize()
        return values

    def call(self, values: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """Run the signature. Raises `UsageError` when XLA, if it was asked for, cannot compile or run it."""
        try:
            with self.device.scope():
                results: dict[str, tf.Tensor] = self._compiled(**values)
        except tf.errors.OpError as error:
            if not self.device.xla:
                raise
            raise UsageError(f"--xla: XLA cannot run {self.path}: {error.message.splitlines()[0]}") from error
        self.device.synchronize()
        return results

    def settings(self) -> Mapping[str, str | int | bool]:
        """As TensorFlow says."""
        return self.device.settings()

    def peak_device_bytes(self) -> int | None:
        """As TensorFlow's allocator counts, over the whole process."""
        return self.device.peak_bytes()

    def run_perturbed(self, feeds: Mapping[str, Array], seed: int) -> dict[str, Array]:
        """Run with the variables, and inputs, moved by `neighbours`, and restore the variables; constants stay."""
        generator = np.random.default_rng(seed)
        variables = [variable for variable in self.function.graph.variables if variable.dtype.is_floating]
        values = [variable.numpy() for variable in variables]
        try:
            for variable, value in zip(variables, values, strict=True):
                variable.assign(neighbours(value, generator))
            return self.run(neighbouring_feeds(feeds, seed))
        finally:
            for variable, value in zip(variables, values, strict=True):
                variable.assign(value)

    def values(self, feeds: Mapping[str, Array], names: Sequence[str]) -> dict[str, Array]:
        """Fetch the tensors that the manifest names; without a manifest, those of the signature that are called so.

        Axes are put in the source's order where the manifest declares another.
        """
        if self.manifest is None:
            function, everywhere = self.function, {name: Value(f"{name}:0", None, "", "") for name in names}
        else:
            # The signature only calls this function, whose graph has the values.
            function, everywhere = self.loaded.serving_default.concrete_functions[0], dict(self.manifest.values)
        known = tf_values.known_tensors(function)
        places = {name: everywhere[name] for name in names if name in everywhere and everywhere[name].tensor in known}
        if not places:
            return {}
        arrays = tf_values.tensor_values(function, self.upload(feeds), [place.tensor for place in places.values()])
        return {
            name: array if place.permutation is None else array.transpose(np.argsort(place.permutation))
            for (name, place), array in zip(places.items(), arrays, strict=True)
        }

    def gradients(
        self, feeds: Mapping[str, Array], loss: Loss, *, double: bool = False, seed: int | None = None
    ) -> Gradients | None:
        """Differentiate the signature. Raises `UnsupportedError` naming an operator that has no gradient."""
        return None if double else tf_gradients.gradients(self, feeds, loss, seed)

    def descend(
        self,
        feeds: Mapping[str, Array],
        loss: Loss,
        parameters: Sequence[str],
        learning_rate: float,
        steps: int,
        *,
        double: bool = False,
        seed: int | None = None,
    ) -> list[float] | None:
        """Train the variables and restore them. Raises `UnsupportedError` naming an operator that has no gradient."""
        return None if double else tf_gradients.descend(self, feeds, loss, parameters, learning_rate, steps, seed)

    def download(self, results: dict[str, tf.Tensor]) -> dict[str, Array]:
        """Copy the results into arrays."""
        return {name: np.asarray(result.numpy()) for name, result in results.items()}


def _compile(function: Any, inputs: Mapping[str, tf.TensorSpec]) -> Any:
    """Return `function` compiled by XLA, which does that at the first call with each set of sizes."""
    compiled = tf.function(lambda **values: function(**values), jit_compile=True, autograph=False)
    return compiled.get_concrete_function(**inputs)


def _in_order(names: Iterable[str], known: Sequence[str]) -> Sequence[str]:
    """Return `names` as the manifest has them, else sorted: the file keeps them in the order of a hash."""
    return known if set(known) == set(names) else sorted(names)


def _spec(name: str, spec: tf.TensorSpec) -> Spec:
    dtype = "str" if spec.dtype == tf.string else spec.dtype.name
    shape = None if spec.shape.rank is None else tuple(spec.shape.as_list())
    return Spec(name, dtype, shape)
