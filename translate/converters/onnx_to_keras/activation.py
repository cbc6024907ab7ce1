"""Activations: the elementwise ones, and Softmax with its relatives."""

from __future__ import annotations

from typing import Literal

import numpy as np
from keras import ops

from translate.converters.onnx_to_keras.table import Tensor, lower, lower_unary

lower_unary(
    {
        "HardSwish": ops.hard_silu,
        "Relu": ops.relu,
        "Sigmoid": ops.sigmoid,
        "Softplus": ops.softplus,
        "Softsign": ops.softsign,
        "Tanh": ops.tanh,
    }
)


@lower("LeakyRelu")
def leaky_relu(x: Tensor, *, alpha: float = 0.01) -> Tensor:
    """Return x where it is positive and alpha·x elsewhere."""
    return ops.leaky_relu(x, alpha)


@lower("PRelu")
def prelu(x: Tensor, slope: Tensor) -> Tensor:
    """Return x where it is positive and slope·x elsewhere; `slope` broadcasts to the shape of `x`."""
    return ops.subtract(ops.relu(x), ops.multiply(slope, ops.relu(ops.negative(x))))


@lower("ThresholdedRelu")
def thresholded_relu(x: Tensor, *, alpha: float = 1.0) -> Tensor:
    """Return x where it is above alpha and 0 elsewhere."""
    return ops.where(ops.greater(x, alpha), x, ops.zeros_like(x))


@lower("Elu")
def elu(x: Tensor, *, alpha: float = 1.0) -> Tensor:
    """Return x where it is positive and alpha·(eˣ - 1) elsewhere."""
    return ops.elu(x, alpha)


@lower("Celu")
def celu(x: Tensor, *, alpha: float = 1.0) -> Tensor:
    """Return x where it is positive and alpha·(exp(x/alpha) - 1) elsewhere."""
    return ops.celu(x, alpha)


SELU_ALPHA, SELU_GAMMA = 1.6732631921768188, 1.0507010221481323


@lower("Selu")
def selu(x: Tensor, *, alpha: float = SELU_ALPHA, gamma: float = SELU_GAMMA) -> Tensor:
    """Return gamma·x where x is positive and gamma·alpha·(eˣ - 1) elsewhere."""
    if np.allclose([alpha, gamma], [SELU_ALPHA, SELU_GAMMA], rtol=1e-6):
        return ops.selu(x)
    return ops.multiply(elu(x, alpha=alpha), gamma)


@lower("HardSigmoid")
def hard_sigmoid(x: Tensor, *, alpha: float = 0.2, beta: float = 0.5) -> Tensor:
    """Return alpha·x + beta, limited to [0, 1]."""
    if np.float32(alpha) == np.float32(1 / 6) and beta == 0.5:
        return ops.hard_sigmoid(x)
    return ops.clip(ops.add(ops.multiply(x, alpha), beta), 0.0, 1.0)


@lower("Swish", since=24)
def swish(x: Tensor, *, alpha: float = 1.0) -> Tensor:
    """Return x·sigmoid(alpha·x)."""
    return ops.silu(x) if alpha == 1.0 else ops.multiply(x, ops.sigmoid(ops.multiply(x, alpha)))


@lower("Mish")
def mish(x: Tensor) -> Tensor:
    """Return x·tanh(softplus(x))."""
    return ops.multiply(x, ops.tanh(ops.softplus(x)))


@lower("Gelu", since=20)
def gelu(x: Tensor, *, approximate: Literal["none", "tanh"] = "none") -> Tensor:
    """Return x·Φ(x), with Φ the cumulative distribution of the normal, or its approximation by tanh."""
    return ops.gelu(x, approximate=approximate == "tanh")


@lower("Softmax", since=13)
def softmax(x: Tensor, *, axis: int = -1) -> Tensor:
    """Normalise eˣ to a sum of 1 along `axis`; the shape is unchanged."""
    return ops.softmax(x, axis)


@lower("LogSoftmax", since=13)
def log_softmax(x: Tensor, *, axis: int = -1) -> Tensor:
    """Return the logarithm of softmax along `axis`, without its overflow; the shape is unchanged."""
    return ops.log_softmax(x, axis)
