"""Activations: the elementwise ones, and Softmax with its relatives."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F

from translate.converters.onnx_to_torch.shapes import axis_from_start
from translate.converters.onnx_to_torch.table import lower, lower_unary
from translate.converters.onnx_to_torch.widen import SMALL_INTEGERS, widened

lower_unary(
    {
        "HardSwish": F.hardswish,
        "Mish": F.mish,
        "Relu": widened(*SMALL_INTEGERS)(torch.relu),
        "Sigmoid": torch.sigmoid,
        "Softplus": F.softplus,
        "Softsign": F.softsign,
        "Tanh": torch.tanh,
    }
)


@lower("LeakyRelu")
def leaky_relu(x: torch.Tensor, *, alpha: float = 0.01) -> torch.Tensor:
    """Return x where it is positive and alpha·x elsewhere."""
    return F.leaky_relu(x, alpha)


@lower("PRelu")
def prelu(x: torch.Tensor, slope: torch.Tensor) -> torch.Tensor:
    """Return x where it is positive and slope·x elsewhere; `slope` broadcasts to the shape of `x`."""
    return torch.where(x > 0, x, slope * x)


@lower("ThresholdedRelu")
def thresholded_relu(x: torch.Tensor, *, alpha: float = 1.0) -> torch.Tensor:
    """Return x where it is above alpha and 0 elsewhere."""
    return F.threshold(x, alpha, 0.0)


@lower("Elu")
def elu(x: torch.Tensor, *, alpha: float = 1.0) -> torch.Tensor:
    """Return x where it is positive and alpha·(eˣ - 1) elsewhere."""
    return F.elu(x, alpha)


@lower("Celu")
def celu(x: torch.Tensor, *, alpha: float = 1.0) -> torch.Tensor:
    """Return x where it is positive and alpha·(exp(x/alpha) - 1) elsewhere."""
    return torch.celu(x, alpha)


SELU_ALPHA, SELU_GAMMA = 1.6732631921768188, 1.0507010221481323


@lower("Selu")
def selu(x: torch.Tensor, *, alpha: float = SELU_ALPHA, gamma: float = SELU_GAMMA) -> torch.Tensor:
    """Return gamma·x where x is positive and gamma·alpha·(eˣ - 1) elsewhere."""
    if abs(alpha - SELU_ALPHA) < 1e-6 and abs(gamma - SELU_GAMMA) < 1e-6:
        return torch.selu(x)
    return gamma * F.elu(x, alpha)


@lower("HardSigmoid")
def hard_sigmoid(x: torch.Tensor, *, alpha: float = 0.2, beta: float = 0.5) -> torch.Tensor:
    """Return alpha·x + beta, limited to [0, 1]."""
    if abs(alpha - 1 / 6) < 1e-6 and beta == 0.5:
        return F.hardsigmoid(x)
    return torch.clamp(alpha * x + beta, 0, 1)


@lower("Swish", since=24)
def swish(x: torch.Tensor, *, alpha: float = 1.0) -> torch.Tensor:
    """Return x·sigmoid(alpha·x)."""
    return F.silu(x) if alpha == 1.0 else x * torch.sigmoid(alpha * x)


@lower("SwiGLU", since=28)
def swiglu(gate: torch.Tensor, x: torch.Tensor, *, alpha: float = 1.0) -> torch.Tensor:
    """Return swish(gate)·x."""
    return swish(gate, alpha=alpha) * x


@lower("Gelu", since=20)
def gelu(x: torch.Tensor, *, approximate: Literal["none", "tanh"] = "none") -> torch.Tensor:
    """Return x·Φ(x), with Φ the cumulative distribution of the normal, or its approximation by tanh."""
    return F.gelu(x, approximate=approximate)


@lower("Shrink")
def shrink(x: torch.Tensor, *, bias: float = 0.0, lambd: float = 0.5) -> torch.Tensor:
    """Return x + bias below -lambd, x - bias above lambd, and 0 between."""
    if not x.dtype.is_floating_point:
        return shrink(x.to(torch.float64), bias=bias, lambd=lambd).to(x.dtype)
    if bias == lambd:
        return F.softshrink(x, lambd) if lambd >= 0 else x
    return torch.where(x < -lambd, x + bias, torch.where(x > lambd, x - bias, 0.0))


@lower("Softmax", since=13)
def softmax(x: torch.Tensor, *, axis: int = -1) -> torch.Tensor:
    """Normalise eˣ to a sum of 1 along `axis`; the shape is unchanged."""
    return torch.softmax(x, axis)


@lower("LogSoftmax", since=13)
def log_softmax(x: torch.Tensor, *, axis: int = -1) -> torch.Tensor:
    """Return the logarithm of softmax along `axis`, without its overflow; the shape is unchanged."""
    return torch.log_softmax(x, axis)


@lower("Hardmax", since=13)
def hardmax(x: torch.Tensor, *, axis: int = -1) -> torch.Tensor:
    """Return 1 at the first largest element along `axis` and 0 elsewhere; the shape is unchanged."""
    along = axis_from_start(axis, x)
    first = torch.argmax(x, along, keepdim=True)
    return torch.zeros_like(x).scatter(along, first, 1.0)
