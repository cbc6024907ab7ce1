"""Keras models, of Keras 3 on TensorFlow and of tf_keras."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from translate.errors import OpenError, UsageError
from translate.models import tensorflow_device, tf_variables
from translate.models.base import Array, Model, Spec, check_feeds
from translate.models.device import Placement
from translate.models.inputs import merge_specs, name_inputs, open_dims
from translate.models.perturb import neighbouring_feeds
from translate.models.tf_double import DoubleFunction


class KerasModel(Model):
    """A Keras model in inference mode.

    Inputs go by the names of its input tensors, in Keras' order whatever structure they are passed in; those of a
    subclassed model by the names of `call`'s arguments. Outputs go by their keys where `call` returns a dict, else by
    the names of the layers that make them, else `output_0` and so on. The first axis of an input, where it is open,
    is "batch".
    """

    kind = "Keras model"

    def __init__(self, model: Any, inputs: Sequence[Spec] = (), placement: Placement | None = None) -> None:
        """Trace `model`, a `keras.Model` or `tf_keras.Model`; `inputs` name dimensions, or all of a subclassed model's.

        Raises `OpenError` for a model that cannot be traced, `UsageError` where `inputs` do not fit or there is no such
        device as `placement` asks for.
        """
        if isinstance(model, keras.Model) and keras.backend.backend() != "tensorflow":
            raise OpenError(f"Keras runs on {keras.backend.backend()}: set KERAS_BACKEND=tensorflow to run models here")
        self.device = tensorflow_device.Device(placement)
        self.model = model
        layers = model._flatten_layers() if isinstance(model, keras.Layer) else ()
        stateful = [layer for layer in layers if isinstance(layer, keras.layers.RNN) and layer.stateful]
        # The recurrent layers that keep their states from call to call.
        self.stateful = [layer.name for layer in stateful]
        self._states = keras.tree.flatten([layer.states for layer in stateful])
        structure = _input_structure(model)
        if structure is None:
            self.inputs = _inputs_of_call(model, inputs)
        else:
            known = _unique([_spec(tensor.name, tensor) for tensor in tf.nest.flatten(structure)])
            self.inputs = merge_specs(inputs, open_dims(known))
        self.function = self._trace(structure)
        self._double = DoubleFunction(self.function)
        leaves = keras.tree.flatten_with_path(self.function.structured_outputs)
        names = _names(model, [path for path, _ in leaves])
        self.outputs = _unique([_spec(name, leaf) for name, (_, leaf) in zip(names, leaves, strict=True)])

    def upload(self, feeds: Mapping[str, Array]) -> list[tf.Tensor]:
        """Make a tensor of each array, in the order of the inputs, on the device."""
        check_feeds(self.inputs, feeds)
        with self.device.scope():
            values = [tf.constant(feeds[spec.name]) for spec in self.inputs]
        self.device.synchronize()
        return values

    def call(self, values: list[tf.Tensor]) -> list[tf.Tensor]:
        """Run the traced model; recurrent layers that keep their states begin anew."""
        self._begin_anew()
        with self.device.scope():
            results: list[tf.Tensor] = keras.tree.flatten(self.function(*values))
        self.device.synchronize()
        return results

    def download(self, results: list[tf.Tensor]) -> dict[str, Array]:
        """Copy the results into arrays."""
        return {spec.name: np.asarray(result.numpy()) for spec, result in zip(self.outputs, results, strict=True)}

    def settings(self) -> Mapping[str, str | int | bool]:
        """As TensorFlow says."""
        return self.device.settings()

    def peak_device_bytes(self) -> int | None:
        """As TensorFlow's allocator counts, over the whole process."""
        return self.device.peak_bytes()

    def run_double(self, feeds: Mapping[str, Array]) -> dict[str, Array] | None:
        """Run the traced model in float64; None where its graph cannot be written so."""
        self._begin_anew()
        results = self._double(self.upload(feeds))
        return None if results is None else self.download(results)

    def release(self) -> None:
        """Free the graph in float64."""
        self._double = DoubleFunction(self.function)

    def run_perturbed(self, feeds: Mapping[str, Array], seed: int) -> dict[str, Array]:
        """Run with the weights, and inputs, moved by `neighbours`, and restore the weights."""
        with tf_variables.moved(self.model.weights, seed):
            return self.run(neighbouring_feeds(feeds, seed))

    def _begin_anew(self) -> None:
        for state in self._states:
            state.assign(keras.ops.zeros_like(state))

    def _trace(self, structure: Any) -> Any:
        names = [spec.name for spec in self.inputs]

        def infer(*tensors: tf.Tensor) -> Any:
            if structure is not None:
                return self.model(tf.nest.pack_sequence_as(structure, list(tensors)), training=False)
            training = {"training": False} if "training" in _arguments(self.model) else {}
            return self.model(**dict(zip(names, tensors, strict=True)), **training)

        signature = [
            tf.TensorSpec(
                None if spec.shape is None else [dim if isinstance(dim, int) else None for dim in spec.shape],
                tf.string if spec.dtype == "str" else tf.dtypes.as_dtype(spec.dtype),
                # A name that TensorFlow takes, and knows its argument by.
                name=re.sub(r"[^A-Za-z0-9_]", "_", f"input_{index}_{spec.name}"),
            )
            for index, spec in enumerate(self.inputs)
        ]
        try:
            compiled = tf.function(infer, input_signature=signature, jit_compile=self.device.xla or None)
            with self.device.scope():
                return compiled.get_concrete_function()
        except Exception as error:
            # A layer's call is anybody's code.
            given = ", ".join(map(str, self.inputs))
            raise OpenError(f"the Keras model fails on symbolic inputs {given}: {_cause(error)}") from error


def _input_structure(model: Any) -> Any:
    """Return the symbolic inputs in the structure that the model is called with; None for a subclassed model."""
    # Keras 3 has it under the first name, tf_keras under the second; a Sequential has its one input in a list.
    for attribute in ("_inputs_struct", "_nested_inputs"):
        if (structure := getattr(model, attribute, None)) is not None:
            return structure
    inputs = getattr(model, "inputs", None)
    if not inputs:
        return None
    return inputs[0] if len(inputs) == 1 else list(inputs)


def _arguments(model: Any) -> list[str]:
    kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    parameters = inspect.signature(model.call).parameters.values()
    return [parameter.name for parameter in parameters if parameter.kind in kinds]


def _inputs_of_call(model: Any, declared: Sequence[Spec]) -> tuple[Spec, ...]:
    """Return the inputs of a subclassed model: as declared, else as the model was built."""
    arguments = [name for name in _arguments(model) if name not in ("training", "mask")]
    if declared:
        named = name_inputs(declared, arguments)
        if foreign := [spec.name for spec in named if spec.name not in arguments]:
            raise UsageError(f"--input {foreign[0]}: call takes {', '.join(arguments)}")
        return open_dims(named)
    shapes = _built_shapes(model, arguments)
    if not shapes:
        raise OpenError(
            f"the Keras model {type(model).__name__} is subclassed and does not say what it takes (it may never have "
            f"been built): give its inputs with --input; call takes {', '.join(arguments)}"
        )
    return open_dims([Spec(name, model.compute_dtype, shape) for name, shape in shapes.items()])


def _built_shapes(model: Any, arguments: Sequence[str]) -> dict[str, tuple[int | None, ...]]:
    """Return the shapes that a subclassed model was built with, by argument, the first axis open.

    Returns nothing where they do not say all: with several arguments, or a nested one.
    """
    config = model.get_build_config() or {}
    shapes = config.get("shapes_dict") or {"input_shape": config.get("input_shape")}
    plain = all(
        isinstance(shape, list | tuple) and shape and all(size is None or isinstance(size, int) for size in shape)
        for shape in shapes.values()
    )
    if not plain or len(shapes) != len(arguments):
        return {}
    if len(arguments) == 1:
        # Keras calls the only one `input`, whatever the argument is called.
        shapes = dict(zip(arguments, shapes.values(), strict=True))
    by_name = {key.removesuffix("_shape"): (None, *shape[1:]) for key, shape in shapes.items()}
    return by_name if by_name.keys() == set(arguments) else {}


def _names(model: Any, paths: Sequence[tuple[Any, ...]]) -> list[str]:
    """Name the outputs, given their paths in the structure that the model returns."""
    if any(isinstance(step, str) for path in paths for step in path):
        return ["_".join(map(str, path)) for path in paths]
    names = getattr(model, "output_names", None) if _input_structure(model) is not None else None
    if names is None and isinstance(model, keras.Sequential):
        names = [model.layers[-1].name]
    if names is not None and len(names) == len(paths):
        return list(names)
    return [f"output_{index}" for index in range(len(paths))]


def _unique(specs: Sequence[Spec]) -> tuple[Spec, ...]:
    """Number the names that occur more than once: a layer that is called twice makes two outputs of its name."""
    unique: list[Spec] = []
    for spec in specs:
        taken = {other.name for other in unique}
        candidates = [spec.name, *(f"{spec.name}_{number}" for number in range(1, len(specs)))]
        unique.append(replace(spec, name=next(name for name in candidates if name not in taken)))
    return tuple(unique)


def _spec(name: str, tensor: Any) -> Spec:
    """Return the spec of a symbolic tensor, Keras' or TensorFlow's."""
    if not hasattr(tensor, "shape") or not hasattr(tensor, "dtype") or isinstance(tensor, tf.RaggedTensorSpec):
        raise OpenError(f"the Keras model's {name} is a {type(tensor).__name__}, not a tensor")
    dtype = tf.dtypes.as_dtype(tensor.dtype).name
    shape = tf.TensorShape(tensor.shape)
    return Spec(name, "str" if dtype == "string" else dtype, None if shape.rank is None else tuple(shape.as_list()))


def _cause(error: Exception) -> str:
    """Return the line of a trace through a model's code that says what is wrong."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    causes = [line for line in lines if re.match(r"\w+(Error|Exception): ", line)]
    return f"{type(error).__name__}: {lines[0]}" if lines and not causes else "".join(causes[:1]) or repr(error)
