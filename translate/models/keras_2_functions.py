"""TensorFlow's functions in models of Keras 2 (`TFOpLambda`): what Keras 3 calls them, or a layer that calls them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import keras
import tensorflow as tf

from translate.errors import UnsupportedError

ops = keras.ops

# Parts of TensorFlow whose functions compute, and do nothing else.
_PURE_PARTS = ("bitwise", "image", "linalg", "math", "nn", "signal")
_PURE_NAMES = (
    "abs argmax argmin argsort bitcast boolean_mask broadcast_to cast clip_by_value concat convert_to_tensor cumsum "
    "dynamic_partition einsum equal expand_dims fill gather gather_nd greater identity less matmul maximum meshgrid "
    "minimum multiply norm not_equal one_hot ones ones_like pad range rank repeat reshape reverse roll shape "
    "searchsorted sequence_mask size slice sort space_to_batch split squeeze stack stop_gradient strided_slice "
    "subtract tensordot tile transpose unique unstack where zeros zeros_like"
)
_PURE = frozenset(_PURE_NAMES.split())
# Functions of these parts that are none all the same: they read or run what their arguments name.
_IMPURE = ("decode", "sample_distorted", "stateless", "random", "experimental")

# What Keras 3 has for a function of TensorFlow, and the names of the arguments there; the first one is the first here.
_Translation = tuple[Callable[..., Any], Mapping[str, str]]
_ONE: Mapping[str, str] = {"x": "x", "features": "x", "input": "x", "tensor": "x"}
_TWO: Mapping[str, str] = {"x": "x1", "y": "x2"}
_REDUCED: Mapping[str, str] = {"input_tensor": "x", "axis": "axis", "keepdims": "keepdims"}
# Arithmetic, on real numbers: for integers, Keras has other rules.
_REAL: Mapping[str, _Translation] = {
    "__operators__.add": (ops.add, _TWO),
    "math.abs": (ops.abs, _ONE),
    "math.add": (ops.add, _TWO),
    "math.divide": (ops.divide, _TWO),
    "math.exp": (ops.exp, _ONE),
    "math.log": (ops.log, _ONE),
    "math.maximum": (ops.maximum, _TWO),
    "math.minimum": (ops.minimum, _TWO),
    "math.multiply": (ops.multiply, _TWO),
    "math.negative": (ops.negative, _ONE),
    "math.reduce_max": (ops.max, _REDUCED),
    "math.reduce_mean": (ops.mean, _REDUCED),
    "math.reduce_min": (ops.min, _REDUCED),
    "math.reduce_sum": (ops.sum, _REDUCED),
    "math.sigmoid": (ops.sigmoid, _ONE),
    "math.sqrt": (ops.sqrt, _ONE),
    "math.square": (ops.square, _ONE),
    "math.subtract": (ops.subtract, _TWO),
    "math.tanh": (ops.tanh, _ONE),
    "math.truediv": (ops.true_divide, _TWO),
    "clip_by_value": (ops.clip, {"t": "x", "clip_value_min": "x_min", "clip_value_max": "x_max"}),
    "linalg.matmul": (ops.matmul, {"a": "x1", "b": "x2"}),
    "nn.relu": (ops.relu, _ONE),
    "nn.relu6": (ops.relu6, _ONE),
    "nn.sigmoid": (ops.sigmoid, _ONE),
    "nn.silu": (ops.silu, _ONE),
    "nn.tanh": (ops.tanh, _ONE),
}
# What leaves the numbers as they are.
_MOVED: Mapping[str, _Translation] = {
    "concat": (ops.concatenate, {"values": "xs", "axis": "axis"}),
    "expand_dims": (ops.expand_dims, {"input": "x", "axis": "axis"}),
    "reshape": (ops.reshape, {"tensor": "x", "shape": "newshape"}),
    "squeeze": (ops.squeeze, {"input": "x", "axis": "axis"}),
    "stack": (ops.stack, {"values": "x", "axis": "axis"}),
    "transpose": (ops.transpose, {"a": "x", "perm": "axes"}),
}


class TensorFlowFunction(keras.Layer):  # type: ignore[misc]  # Keras has no types
    """Calls one of TensorFlow's functions, by its name: "nn.leaky_relu" is `tf.nn.leaky_relu`."""

    def __init__(self, function: str, **options: Any) -> None:
        """Raise `UnsupportedError` for a function that may do more than compute."""
        super().__init__(**options)
        self._function = _function(function)
        self.supports_masking = False

    def call(self, *args: Any, **kwargs: Any) -> Any:
        """Call it."""
        return self._function(*args, **kwargs)


def is_pure(name: str) -> bool:
    """Say whether a function of TensorFlow is known to compute, and to do nothing else."""
    part, _, function = name.rpartition(".")
    if name.startswith("__operators__."):
        return True
    if any(text in function for text in _IMPURE):
        return False
    return part in _PURE_PARTS or (not part and function in _PURE)


def operation(name: str, label: str) -> Callable[..., Any]:
    """Return what calls TensorFlow's function `name`, in a model of Keras 3, on its first argument and others by name.

    Raises `UnsupportedError` for a function that may do more than compute.
    """
    if name == "__operators__.getitem":
        return _sliced
    layer = TensorFlowFunction(name, name="".join(c if c.isalnum() else "_" for c in label))

    def call(given: Any, **kwargs: Any) -> Any:
        known = {key: value for key, value in kwargs.items() if value is not None}
        own = _MOVED.get(name) if not _tensors_in(known) else None
        own = _REAL.get(name) if own is None and _is_real([given, known]) else own
        if own is None or not known.keys() <= own[1].keys():
            return layer(given, **known)
        function, names = own
        return function(given, **{names[key]: value for key, value in known.items()})

    return call


def _tensors_in(values: Any) -> list[Any]:
    return [leaf for leaf in keras.tree.flatten(values) if isinstance(leaf, keras.KerasTensor)]


def _is_real(values: Any) -> bool:
    return all("float" in tensor.dtype for tensor in _tensors_in(values))


def _function(name: str) -> Callable[..., Any]:
    if not is_pure(name):
        raise UnsupportedError(f"tf.{name} is not known to do nothing but compute")
    found: Any = tf
    for part in name.split("."):
        found = getattr(found, part, None)
    if not callable(found):
        raise UnsupportedError(f"TensorFlow has no function tf.{name}")
    return found  # type: ignore[no-any-return]


def _sliced(x: Any, slice_spec: Any) -> Any:
    """Return a part of x, as `x[1:, ..., ::2]` does."""
    parts = slice_spec if isinstance(slice_spec, list) else [slice_spec]
    return x[tuple(_part(part) for part in parts)]


def _part(part: Any) -> Any:
    if isinstance(part, dict) and "start" in part:
        bounds = [part[key] for key in ("start", "stop", "step")]
        if all(bound is None or isinstance(bound, int) for bound in bounds):
            return slice(*bounds)
    elif isinstance(part, dict) and part.get("class_name") == "__ellipsis__":
        return Ellipsis
    elif part is None or isinstance(part, int):
        return part
    raise UnsupportedError(f"a slice by {part!r}")
