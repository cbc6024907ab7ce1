"""Activations: the elementwise ones, and Softmax with its relatives.

Those made of several steps take them in float32 for the half floats, as PyTorch does, and round once.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import tensorflow as tf

from translate.converters.onnx_to_tf.shapes import axis_from_start, rank
from translate.converters.onnx_to_tf.table import lower, lower_unary
from translate.converters.onnx_to_tf.widen import HALVES, widened

lower_unary(
    {
        "Relu": tf.nn.relu,
        "Sigmoid": tf.math.sigmoid,
        "Softplus": tf.math.softplus,
        "Softsign": tf.nn.softsign,
        "Tanh": tf.math.tanh,
    }
)


@lower("LeakyRelu")
def leaky_relu(x: tf.Tensor, *, alpha: float = 0.01) -> tf.Tensor:
    """Return x where it is positive and alpha·x elsewhere."""
    return tf.nn.leaky_relu(x, alpha)


@lower("PRelu")
def prelu(x: tf.Tensor, slope: tf.Tensor) -> tf.Tensor:
    """Return x where it is positive and slope·x elsewhere; `slope` broadcasts to the shape of `x`."""
    return tf.nn.relu(x) + slope * tf.math.minimum(x, tf.constant(0, x.dtype))


@lower("ThresholdedRelu")
def thresholded_relu(x: tf.Tensor, *, alpha: float = 1.0) -> tf.Tensor:
    """Return x where it is above alpha and 0 elsewhere."""
    return tf.where(x > alpha, x, tf.constant(0, x.dtype))


@lower("Elu")
@widened(*HALVES)
def elu(x: tf.Tensor, *, alpha: float = 1.0) -> tf.Tensor:
    """Return x where it is positive and alpha·(eˣ - 1) elsewhere."""
    return tf.nn.elu(x) if alpha == 1.0 else tf.where(x > 0, x, alpha * tf.nn.elu(x))


@lower("Celu")
@widened(*HALVES)
def celu(x: tf.Tensor, *, alpha: float = 1.0) -> tf.Tensor:
    """Return x where it is positive and alpha·(exp(x/alpha) - 1) elsewhere."""
    return tf.nn.elu(x) if alpha == 1.0 else tf.where(x > 0, x, alpha * tf.nn.elu(x / alpha))


SELU_ALPHA, SELU_GAMMA = 1.6732631921768188, 1.0507010221481323


@lower("Selu")
@widened(*HALVES)
def selu(x: tf.Tensor, *, alpha: float = SELU_ALPHA, gamma: float = SELU_GAMMA) -> tf.Tensor:
    """Return gamma·x where x is positive and gamma·alpha·(eˣ - 1) elsewhere."""
    if np.allclose([alpha, gamma], [SELU_ALPHA, SELU_GAMMA], rtol=1e-6):
        return tf.nn.selu(x)
    return gamma * elu(x, alpha=alpha)


@lower("HardSigmoid")
@widened(*HALVES)
def hard_sigmoid(x: tf.Tensor, *, alpha: float = 0.2, beta: float = 0.5) -> tf.Tensor:
    """Return alpha·x + beta, limited to [0, 1]."""
    return tf.math.minimum(tf.nn.relu(alpha * x + beta), tf.constant(1, x.dtype))


@lower("HardSwish")
@widened(*HALVES)
def hard_swish(x: tf.Tensor) -> tf.Tensor:
    """Return x times x/6 + 1/2, the latter limited to [0, 1]."""
    return x * tf.nn.relu6(x + 3) / 6


@lower("Swish", since=24)
@widened(*HALVES)
def swish(x: tf.Tensor, *, alpha: float = 1.0) -> tf.Tensor:
    """Return x·sigmoid(alpha·x)."""
    # tf.nn.silu is the same with a gradient of its own; this form TensorFlow can differentiate in a loaded SavedModel
    # whatever the options that it was saved with.
    return x * tf.math.sigmoid(x if alpha == 1.0 else alpha * x)


@lower("SwiGLU", since=28)
@widened(*HALVES)
def swiglu(gate: tf.Tensor, x: tf.Tensor, *, alpha: float = 1.0) -> tf.Tensor:
    """Return swish(gate)·x."""
    return swish(gate, alpha=alpha) * x


@lower("Mish")
@widened(*HALVES)
def mish(x: tf.Tensor) -> tf.Tensor:
    """Return x·tanh(softplus(x))."""
    return x * tf.math.tanh(tf.math.softplus(x))


@lower("Gelu", since=20)
@widened(*HALVES)
def gelu(x: tf.Tensor, *, approximate: Literal["none", "tanh"] = "none") -> tf.Tensor:
    """Return x·Φ(x), with Φ the cumulative distribution of the normal, or its approximation by tanh."""
    if approximate == "tanh":
        # x/2·(1 + tanh z) = x·sigmoid(2z), which does not lose the small numbers in 1 + tanh z.
        slope = 2 * np.sqrt(2 / np.pi)
        return x * tf.math.sigmoid(x * (slope + 0.044715 * slope * tf.math.square(x)))
    # PyTorch's formula. tf.nn.gelu goes through erfc, which is up to ten times slower in TensorFlow on CPU.
    return 0.5 * x * (1.0 + tf.math.erf(x * np.sqrt(0.5)))


@lower("Shrink")
def shrink(x: tf.Tensor, *, bias: float = 0.0, lambd: float = 0.5) -> tf.Tensor:
    """Return x + bias below -lambd, x - bias above lambd, and 0 between."""
    if not x.dtype.is_floating:
        return tf.cast(shrink(tf.cast(x, tf.float64), bias=bias, lambd=lambd), x.dtype)
    return tf.where(x < -lambd, x + bias, tf.where(x > lambd, x - bias, tf.constant(0, x.dtype)))


@lower("Softmax", since=13)
@widened(*HALVES)
def softmax(x: tf.Tensor, *, axis: int = -1) -> tf.Tensor:
    """Normalise eˣ to a sum of 1 along `axis`; the shape is unchanged."""
    if axis_from_start(axis, x) == rank(x) - 1:
        return tf.nn.softmax(x)
    # TensorFlow's own would transpose to the last axis and back, which takes twice as long.
    powers = tf.math.exp(x - _peak(x, axis))
    return powers / tf.math.reduce_sum(powers, axis, keepdims=True)


@lower("LogSoftmax", since=13)
@widened(*HALVES)
def log_softmax(x: tf.Tensor, *, axis: int = -1) -> tf.Tensor:
    """Return the logarithm of softmax along `axis`, without its overflow; the shape is unchanged."""
    if axis_from_start(axis, x) == rank(x) - 1:
        return tf.nn.log_softmax(x)
    shifted = x - _peak(x, axis)
    return shifted - tf.math.log(tf.math.reduce_sum(tf.math.exp(shifted), axis, keepdims=True))


def _peak(x: tf.Tensor, axis: int) -> tf.Tensor:
    # It cancels out of the result, so no gradient needs to take that way.
    return tf.stop_gradient(tf.math.reduce_max(x, axis, keepdims=True))


@lower("Hardmax", since=13)
def hardmax(x: tf.Tensor, *, axis: int = -1) -> tf.Tensor:
    """Return 1 at the first largest element along `axis` and 0 elsewhere; the shape is unchanged."""
    size = x.shape[axis] if x.shape[axis] is not None else tf.shape(x)[axis]
    return tf.one_hot(tf.math.argmax(x, axis), size, axis=axis_from_start(axis, x), dtype=x.dtype)
