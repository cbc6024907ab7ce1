"""Traced TensorFlow functions: what SavedModels, frozen graphs and live `tf.function`s have in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from translate.errors import OpenError, UsageError
from translate.manifest import Manifest
from translate.models import tensorflow_device, tf_gradients, tf_values, tf_variables
from translate.models.base import Array, Gradients, Loss, Model, Spec, check_feeds
from translate.models.device import Placement
from translate.models.inputs import merge_specs, open_dims
from translate.models.perturb import neighbouring_feeds
from translate.models.tf_double import DoubleFunction


class TracedModel(Model):
    """A concrete TensorFlow function whose inputs and outputs have names.

    `function` is the concrete function, `arguments` and `results` are the names of its inputs and outputs in the
    function's own order; `inputs` and `outputs` may have another. `manifest` is what an earlier translation says of it.
    """

    differentiable = True
    manifest: Manifest | None = None

    def __init__(
        self, function: Any, arguments: Sequence[Spec], results: Sequence[str], device: tensorflow_device.Device
    ) -> None:
        """Run `function` on `device`; `arguments` and `results` belong to its inputs and outputs, in their order."""
        self.device = device
        self.function = function
        self._double = DoubleFunction(function)
        self.arguments = tuple(spec.name for spec in arguments)
        self.results = tuple(results)
        self.inputs = tuple(arguments)
        self.outputs = tuple(spec_of(name, tensor) for name, tensor in zip(results, function.outputs, strict=True))
        self._compiled = self._compile() if device.xla else self.apply

    def apply(self, values: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """Call the function with a tensor for each input name, as a `tf.GradientTape` can follow it."""
        given = [values[name] for name in self.arguments]
        args, keywords = tf.nest.pack_sequence_as(self.function.structured_input_signature, given)
        returned = tf.nest.flatten(self.function(*args, **keywords))
        return dict(zip(self.results, returned, strict=True))

    def upload(self, feeds: Mapping[str, Array]) -> dict[str, tf.Tensor]:
        """Make a tensor of each array, on the device."""
        check_feeds(self.inputs, feeds)
        with self.device.scope():
            values = {name: tf.constant(array) for name, array in feeds.items()}
        self.device.synchronize()
        return values

    def call(self, values: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """Run the function. Raises `UsageError` when XLA, if it was asked for, cannot compile or run it."""
        try:
            with self.device.scope():
                results: dict[str, tf.Tensor] = self._compiled(values)
        except tf.errors.OpError as error:
            if not self.device.xla:
                raise
            raise UsageError(f"--xla: XLA cannot run the {self.kind}: {error.message.splitlines()[0]}") from error
        self.device.synchronize()
        return results

    def download(self, results: dict[str, tf.Tensor]) -> dict[str, Array]:
        """Copy the results into arrays."""
        return {name: np.asarray(result.numpy()) for name, result in results.items()}

    def settings(self) -> Mapping[str, str | int | bool]:
        """As TensorFlow says."""
        return self.device.settings()

    def peak_device_bytes(self) -> int | None:
        """As TensorFlow's allocator counts, over the whole process."""
        return self.device.peak_bytes()

    def run_double(self, feeds: Mapping[str, Array]) -> dict[str, Array] | None:
        """Run the function in float64; None where its graph cannot be written so."""
        results = self._double(self._in_order(feeds))
        return None if results is None else self.download(dict(zip(self.results, results, strict=True)))

    def release(self) -> None:
        """Free the graph in float64."""
        self._double = DoubleFunction(self.function)

    def run_perturbed(self, feeds: Mapping[str, Array], seed: int) -> dict[str, Array]:
        """Run with the variables, and inputs, moved by `neighbours`, and restore the variables; constants stay."""
        with tf_variables.moved(self.function.graph.variables, seed):
            return self.run(neighbouring_feeds(feeds, seed))

    def values(self, feeds: Mapping[str, Array], names: Sequence[str]) -> dict[str, Array]:
        """Fetch the tensors of the function's own graph that are called so, `relu` for `relu:0`."""
        known = tf_values.known_tensors(self.function)
        wanted = [name for name in names if f"{name}:0" in known]
        if not wanted:
            return {}
        tensors = [f"{name}:0" for name in wanted]
        return dict(
            zip(wanted, tf_values.tensor_values(self.function, self._in_order(feeds), tensors), strict=True),
        )

    def gradients(
        self, feeds: Mapping[str, Array], loss: Loss, *, double: bool = False, seed: int | None = None
    ) -> Gradients | None:
        """Differentiate the function. Raises `UnsupportedError` naming an operator that has no gradient."""
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

    def _in_order(self, feeds: Mapping[str, Array]) -> list[tf.Tensor]:
        values = self.upload(feeds)
        return [values[name] for name in self.arguments]

    def _compile(self) -> Any:
        """Return `apply` compiled by XLA, which does that at the first call with each set of sizes."""
        own = self.function.inputs[: len(self.arguments)]
        specs = {
            name: tf.TensorSpec(tensor.shape, tensor.dtype) for name, tensor in zip(self.arguments, own, strict=True)
        }
        return tf.function(self.apply, jit_compile=True, autograph=False).get_concrete_function(specs)


class FunctionModel(TracedModel):
    """A live `tf.function`: one with an input signature, a concrete one, or one whose inputs are declared.

    Inputs go by the names of the arguments; outputs by their keys where it returns a dict, else `output_0` and so on.
    """

    kind = "TensorFlow function"

    def __init__(self, source: Any, inputs: Sequence[Spec] = (), placement: Placement | None = None) -> None:
        """Trace `source`; `inputs` name dimensions, or all inputs where it has no signature.

        Raises `OpenError` for a function that cannot be traced or that takes or returns other things than tensors,
        `UsageError` where `inputs` do not fit or there is no such device as `placement` asks for.
        """
        device = tensorflow_device.Device(placement)
        # A function does not keep its variables alive.
        self.source = source
        with device.scope():
            function = _concrete(source, inputs)
        signature = tf.nest.flatten(function.structured_input_signature)
        returned = function.structured_outputs
        if not all(isinstance(spec, tf.TensorSpec) for spec in signature):
            raise OpenError(f"the function {function.graph.name} takes other things than tensors")
        if not all(isinstance(value, tf.TensorSpec | tf.Tensor) for value in tf.nest.flatten(returned)):
            raise OpenError(f"the function {function.graph.name} returns other things than tensors")
        known = [spec_of(tensor.op.name, tensor) for tensor in function.inputs[: len(signature)]]
        flat = isinstance(returned, Mapping) and len(returned) == len(function.outputs)
        results = sorted(returned) if flat else [f"output_{index}" for index in range(len(function.outputs))]
        super().__init__(function, merge_specs(inputs, open_dims(known)), results, device)


def is_function(value: object) -> bool:
    """Say whether `value` is a `tf.function`, a concrete function or a `tf.Module`."""
    kinds = (tf.types.experimental.PolymorphicFunction, tf.types.experimental.ConcreteFunction, tf.Module)
    return isinstance(value, kinds)


def spec_of(name: str, tensor: Any) -> Spec:
    """Return the spec of a tensor or a `tf.TensorSpec`, called `name`."""
    shape = None if tensor.shape.rank is None else tuple(tensor.shape.as_list())
    return Spec(name, "str" if tensor.dtype == tf.string else tensor.dtype.name, shape)


def _concrete(source: Any, inputs: Sequence[Spec]) -> Any:
    """Return the concrete function behind `source`. Raises `OpenError` where it is not clear which that is."""
    if isinstance(source, tf.types.experimental.ConcreteFunction):
        return source
    function = _function_of(source) if isinstance(source, tf.Module) else source
    declared: Sequence[Spec] = ()
    if function.input_signature is None:
        if not inputs:
            raise OpenError("the tf.function has no input_signature: give its inputs with --input NAME:DIMS[:DTYPE]")
        declared = inputs
    try:
        return function.get_concrete_function(
            *[_tensor_spec(spec) for spec in declared if not spec.name],
            **{spec.name: _tensor_spec(spec) for spec in declared if spec.name},
        )
    except Exception as error:
        # The function is anybody's code.
        raise OpenError(f"tracing the tf.function failed: {type(error).__name__}: {error}") from error


def _function_of(module: tf.Module) -> Any:
    """Return the only `tf.function` of a module that has an input signature, or its `__call__`."""
    functions = {
        name: value
        for name in dir(module)
        if isinstance(value := getattr(type(module), name, None), tf.types.experimental.PolymorphicFunction)
        or isinstance(value := vars(module).get(name), tf.types.experimental.PolymorphicFunction)
        if getattr(module, name).input_signature is not None
    }
    if "__call__" in functions:
        return module.__call__
    if len(functions) != 1:
        known = ", ".join(functions) or "none at all"
        raise OpenError(
            f"the tf.Module {type(module).__name__} must have one tf.function with an input_signature; it has {known}"
        )
    return getattr(module, next(iter(functions)))


def _tensor_spec(spec: Spec) -> tf.TensorSpec:
    shape = None if spec.shape is None else [dim if isinstance(dim, int) else None for dim in spec.shape]
    return tf.TensorSpec(shape, tf.string if spec.dtype == "str" else tf.dtypes.as_dtype(spec.dtype), spec.name or None)
