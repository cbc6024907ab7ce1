"""Activations: the functions of `keras.activations`, the layers, and the operations that functional models record."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import torch
import torch.nn.functional as F

from translate.converters.keras_to_torch.here import apply, axis_here, order_here, parameter
from translate.converters.keras_to_torch.layout import any_order
from translate.converters.keras_to_torch.stored import Stored
from translate.converters.keras_to_torch.table import lower
from translate.errors import UnsupportedError
from translate.models import keras_2


def _softmax(x: torch.Tensor, axis: Any = -1) -> torch.Tensor:
    axes = list(axis) if isinstance(axis, list | tuple) else [axis]
    here = [axis_here(one, x.ndim) for one in axes]
    return F.softmax(x, dim=here[0]) if len(here) == 1 else torch.exp(x - torch.logsumexp(x, here, True))


def _relu(x: torch.Tensor, negative_slope: float = 0.0, max_value: float | None = None, threshold: float = 0.0) -> Any:
    if threshold == 0 and negative_slope == 0:
        if max_value == 6:
            return F.relu6(x)
        return F.relu(x) if max_value is None else torch.clamp(x, 0, float(max_value))
    if threshold == 0:
        y = F.leaky_relu(x, float(negative_slope))
    else:
        y = torch.where(x > threshold, x, float(negative_slope) * (x - threshold))
    return y if max_value is None else torch.clamp(y, max=float(max_value))


def _squareplus(x: torch.Tensor, b: float = 4) -> torch.Tensor:
    return (x + torch.sqrt(x * x + b)) / 2


def _glu(x: torch.Tensor, axis: int = -1) -> torch.Tensor:
    return F.glu(x, dim=axis_here(axis, x.ndim))


def _gelu(x: torch.Tensor, approximate: bool = False) -> torch.Tensor:
    return F.gelu(x, approximate="tanh") if approximate else F.gelu(x)


def _sparse_plus(x: torch.Tensor) -> torch.Tensor:
    return torch.where(x <= -1, 0.0, torch.where(x < 1, 0.25 * (x + 1) ** 2, x))


def _sparsemax(x: torch.Tensor, axis: int = -1) -> torch.Tensor:
    dim = axis_here(axis, x.ndim)
    ordered = torch.sort(x, dim=dim, descending=True)[0]
    total = torch.cumsum(ordered, dim)
    count = torch.cumsum(torch.ones_like(x), dim)
    support = count * ordered > total - 1
    # Keras adds the running sums up, not the numbers.
    threshold = (torch.sum(torch.where(support, total, 0.0), dim, True) - 1) / torch.sum(support, dim, True)
    return F.relu(x - threshold)


# By Keras's names; what they take besides x has Keras's names and defaults.
FUNCTIONS: dict[str, Callable[..., Any]] = {
    "celu": lambda x, alpha=1.0: F.celu(x, float(alpha)),
    "elu": lambda x, alpha=1.0: F.elu(x, float(alpha)),
    "exponential": torch.exp,
    "gelu": _gelu,
    "glu": _glu,
    "hard_shrink": lambda x, threshold=0.5: F.hardshrink(x, float(threshold)),
    "hard_sigmoid": F.hardsigmoid,
    "hard_silu": F.hardswish,
    "hard_tanh": F.hardtanh,
    "leaky_relu": lambda x, negative_slope=0.2: F.leaky_relu(x, float(negative_slope)),
    "linear": lambda x: x,
    "log_sigmoid": F.logsigmoid,
    "log_softmax": lambda x, axis=-1: F.log_softmax(x, dim=axis_here(axis, x.ndim)),
    "mish": F.mish,
    "relu": _relu,
    "relu6": F.relu6,
    "selu": F.selu,
    "sigmoid": torch.sigmoid,
    "silu": F.silu,
    "soft_shrink": lambda x, threshold=0.5: F.softshrink(x, float(threshold)),
    "softmax": _softmax,
    "softplus": F.softplus,
    "softsign": F.softsign,
    "sparse_plus": _sparse_plus,
    "sparsemax": _sparsemax,
    "sparse_sigmoid": lambda x: torch.clamp(0.5 * (x + 1), 0, 1),
    "squareplus": _squareplus,
    "tanh": torch.tanh,
    "tanh_shrink": F.tanhshrink,
    "threshold": lambda x, threshold, default_value: F.threshold(x, float(threshold), float(default_value)),
}


def activation(function: Any, x: torch.Tensor) -> Any:
    """Apply the activation that a layer has: a function of Keras, or a layer; None is the identity."""
    if function is None:
        return x
    if isinstance(function, keras.Layer | keras.src.ops.operation.Operation):
        return apply(function, x)
    if function is keras_2.hard_sigmoid:
        return torch.clamp(0.2 * x + 0.5, 0, 1)
    name = getattr(function, "__name__", str(function))
    if getattr(keras.activations, name, None) is not function or name not in FUNCTIONS:
        raise UnsupportedError(f"the activation {name} is not covered")
    return FUNCTIONS[name](x)


# The operations that Keras records, by their class; their attributes are the arguments.
_OPERATIONS: dict[str, tuple[str, tuple[str, ...]]] = {
    "Celu": ("celu", ("alpha",)),
    "Elu": ("elu", ("alpha",)),
    "Gelu": ("gelu", ("approximate",)),
    "Glu": ("glu", ("axis",)),
    "HardShrink": ("hard_shrink", ("threshold",)),
    "HardSigmoid": ("hard_sigmoid", ()),
    "HardSilu": ("hard_silu", ()),
    "HardTanh": ("hard_tanh", ()),
    "LeakyRelu": ("leaky_relu", ("negative_slope",)),
    "LogSigmoid": ("log_sigmoid", ()),
    "LogSoftmax": ("log_softmax", ("axis",)),
    "Relu": ("relu", ()),
    "Relu6": ("relu6", ()),
    "Selu": ("selu", ()),
    "Sigmoid": ("sigmoid", ()),
    "Silu": ("silu", ()),
    "SoftShrink": ("soft_shrink", ("threshold",)),
    "Softmax": ("softmax", ("axis",)),
    "Softplus": ("softplus", ()),
    "Softsign": ("softsign", ()),
    "SparsePlus": ("sparse_plus", ()),
    "SparseSigmoid": ("sparse_sigmoid", ()),
    "Sparsemax": ("sparsemax", ("axis",)),
    "Squareplus": ("squareplus", ("b",)),
    "TanhShrink": ("tanh_shrink", ()),
    "Threshold": ("threshold", ("threshold", "default_value")),
}


def _register(operation: str, name: str, attributes: tuple[str, ...]) -> None:
    @lower(operation, part="ops", layout=any_order)
    def row(op: Any, x: torch.Tensor) -> Any:
        return FUNCTIONS[name](x, **{attribute: getattr(op, attribute) for attribute in attributes})


for _operation, (_name, _attributes) in _OPERATIONS.items():
    _register(_operation, _name, _attributes)


@lower("ReLU", part="activations", layout=any_order)
@lower("ReLU", layout=any_order)
def relu(layer: Any, x: torch.Tensor) -> Any:
    """Cut off below the threshold and above the largest value."""
    return _relu(x, layer.negative_slope, layer.max_value, layer.threshold)


@lower("Activation", layout=any_order)
def activation_layer(layer: Any, x: torch.Tensor) -> Any:
    """Apply a function of `keras.activations`.

    Limits: Keras's own functions and layers.
    """
    return activation(layer.activation, x)


@lower("LeakyReLU", layout=any_order)
def leaky_relu(layer: Any, x: torch.Tensor) -> torch.Tensor:
    """Multiply what is negative by a slope."""
    return F.leaky_relu(x, float(layer.negative_slope))


@lower("ELU", layout=any_order)
def elu(layer: Any, x: torch.Tensor) -> torch.Tensor:
    """Bend what is negative towards -alpha."""
    return F.elu(x, float(layer.alpha))


@lower("PReLU", layout=any_order)
def prelu(layer: Any, x: torch.Tensor) -> Any:
    """Multiply what is negative by a slope that is learnt, for each element or shared along axes."""
    order = [axis - 1 for axis in order_here(x.ndim)[1:]]
    alpha = Stored(
        layer.alpha,
        lambda array: array.transpose(order),
        lambda old, tensor: tensor.transpose([order.index(axis) for axis in range(len(order))]),
    )
    # Not F.prelu, which has one slope for each channel only.
    return F.relu(x) - parameter("alpha", alpha) * F.relu(-x)


@lower("Softmax", layout=any_order)
def softmax(layer: Any, x: torch.Tensor, *, mask: torch.Tensor | None = None) -> torch.Tensor:
    """Normalise along axes; where the mask is false, nothing is left."""
    if mask is None:
        return _softmax(x, layer.axis)
    seen = torch.where(mask, x, -3e4 if x.dtype is torch.float16 else -1e9)
    return torch.where(mask, _softmax(seen, layer.axis), 0.0)
