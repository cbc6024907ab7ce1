"""Elementwise arithmetic, comparison, logic, rounding and trigonometry; running sums and products."""

from __future__ import annotations

import functools
from typing import Literal

import numpy as np
import tensorflow as tf

from translate.converters.onnx_to_tf.dialect import is_for_tflite, widest
from translate.converters.onnx_to_tf.table import lower, lower_binary, lower_unary
from translate.converters.onnx_to_tf.widen import FLOAT8, HALVES, SMALL_INTEGERS, UNSIGNED, widen, widened

lower_unary(
    {
        "Acos": tf.math.acos,
        "Acosh": tf.math.acosh,
        "Asin": tf.math.asin,
        "Asinh": tf.math.asinh,
        "Atan": tf.math.atan,
        "Atanh": tf.math.atanh,
        "BitwiseNot": tf.bitwise.invert,
        "Ceil": tf.math.ceil,
        "Cos": tf.math.cos,
        "Cosh": tf.math.cosh,
        "Exp": tf.math.exp,
        "Floor": tf.math.floor,
        "Log": tf.math.log,
        "Neg": tf.math.negative,
        "Not": tf.math.logical_not,
        "Reciprocal": tf.math.reciprocal,
        "Round": tf.math.round,
        "Sin": tf.math.sin,
        "Sinh": tf.math.sinh,
        "Sqrt": tf.math.sqrt,
        "Tan": tf.math.tan,
    }
)

lower_binary(
    {
        "Add": tf.math.add,
        "And": tf.math.logical_and,
        "BitwiseAnd": tf.bitwise.bitwise_and,
        "BitwiseOr": tf.bitwise.bitwise_or,
        "BitwiseXor": tf.bitwise.bitwise_xor,
        "Equal": tf.math.equal,
        "Greater": tf.math.greater,
        "GreaterOrEqual": tf.math.greater_equal,
        "Less": tf.math.less,
        "LessOrEqual": tf.math.less_equal,
        "Mul": tf.math.multiply,
        "Or": tf.math.logical_or,
        "Sub": tf.math.subtract,
        "Xor": tf.math.logical_xor,
    }
)


@lower("Abs")
def absolute(x: tf.Tensor) -> tf.Tensor:
    """Take the absolute value; the shape is unchanged."""
    if is_for_tflite() and x.dtype == tf.int64:
        return tf.maximum(x, -x)
    return x if x.dtype in UNSIGNED else tf.math.abs(x)


@lower("Sign")
def sign(x: tf.Tensor) -> tf.Tensor:
    """Return -1, 0 or 1 by the sign of each element."""
    return tf.math.minimum(x, 1) if x.dtype in UNSIGNED else tf.math.sign(x)


@lower("Erf")
def erf(x: tf.Tensor) -> tf.Tensor:
    """Return the error function of each element."""
    if x.dtype.is_floating:
        return tf.math.erf(x)
    # The schema allows integers: erf of one is -1, 0 or 1 once it is cut back to an integer.
    return tf.cast(tf.math.erf(tf.cast(x, tf.float64)), x.dtype)


@lower("Div")
def divide(x: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
    """Divide with broadcasting; integer quotients are cut toward zero."""
    return tf.realdiv(x, y) if x.dtype.is_floating else tf.truncatediv(x, y)


@lower("Mod")
def modulo(x: tf.Tensor, y: tf.Tensor, *, fmod: Literal[0, 1] = 0) -> tf.Tensor:
    """Return the remainder, with the sign of `y`, or that of `x` if `fmod`; broadcasting."""
    if not fmod or x.dtype in UNSIGNED:
        return tf.math.floormod(x, y)
    if x.dtype.is_floating:
        return widened(*HALVES)(_signed_remainder)(x, y)
    return widened(*SMALL_INTEGERS)(tf.truncatemod)(x, y)


def _signed_remainder(x: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
    """Return the remainder with the sign of `x`; tf.truncatemod, the same, has no gradient."""
    negative = x < 0
    remainder = tf.math.floormod(tf.where(negative, -x, x), tf.abs(y))
    return tf.where(negative, -remainder, remainder)


@lower("Pow")
def power(x: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
    """Raise `x` to the power `y` with broadcasting; the result has the dtype of `x`."""
    if x.dtype == y.dtype and x.dtype not in UNSIGNED:
        return tf.math.pow(x, y)
    if x.dtype.is_integer and y.dtype.is_integer:
        return tf.cast(tf.math.pow(tf.cast(x, tf.int64), tf.cast(y, tf.int64)), x.dtype)
    # As wide as the widest, so that neither is rounded before it is used.
    wide = tf.float32 if max(x.dtype.size, y.dtype.size) <= 2 or (x.dtype, y.dtype) in _FLOAT32_POWERS else tf.float64
    return tf.cast(tf.math.pow(tf.cast(x, wide), tf.cast(y, wide)), x.dtype)


_FLOAT32_POWERS = {
    (x, y) for x in (tf.float32, *HALVES) for y in (tf.float32, *HALVES, *SMALL_INTEGERS, tf.int32, tf.int64)
}


@lower("BitShift")
def bit_shift(x: tf.Tensor, y: tf.Tensor, *, direction: Literal["LEFT", "RIGHT"]) -> tf.Tensor:
    """Shift the bits of `x` by `y` places with broadcasting; what is shifted out is lost.

    Shifts by less than none or by more than all bits leave what the fill makes of it: the sign bit of a signed
    integer that is shifted right, zeros otherwise.
    """
    bits = 8 * x.dtype.size
    inside = tf.math.less(y, tf.constant(bits, y.dtype))
    if y.dtype not in UNSIGNED:
        inside = tf.math.logical_and(inside, tf.math.greater_equal(y, 0))
    if direction == "RIGHT" and x.dtype not in UNSIGNED:
        return tf.bitwise.right_shift(x, tf.where(inside, y, tf.constant(bits - 1, y.dtype)))
    shift = tf.bitwise.right_shift if direction == "RIGHT" else tf.bitwise.left_shift
    return tf.where(inside, shift(x, tf.where(inside, y, tf.zeros_like(y))), tf.constant(0, x.dtype))


@lower("Max")
def maximum(*xs: tf.Tensor) -> tf.Tensor:
    """Return the elementwise maximum of all inputs, with broadcasting."""
    return functools.reduce(tf.math.maximum, xs)


@lower("Min")
def minimum(*xs: tf.Tensor) -> tf.Tensor:
    """Return the elementwise minimum of all inputs, with broadcasting."""
    return functools.reduce(tf.math.minimum, xs)


@lower("Sum")
def add_all(*xs: tf.Tensor) -> tf.Tensor:
    """Add all inputs, with broadcasting."""
    return functools.reduce(tf.math.add, xs)


@lower("Mean")
def mean(*xs: tf.Tensor) -> tf.Tensor:
    """Return the elementwise mean of all inputs, with broadcasting."""
    return add_all(*xs) / len(xs)


@lower("Clip")
def clip(
    x: tf.Tensor, low: tf.Tensor | np.ndarray | None = None, high: tf.Tensor | np.ndarray | None = None
) -> tf.Tensor:
    """Limit the elements to [low, high], each a scalar or absent; `high` wins where they cross."""
    if x.dtype.is_floating and _is(low, 0) and _is(high, 6):
        # One pass over the data instead of two, and TensorFlow fuses it with the convolution before it.
        return tf.nn.relu6(x)
    x = x if low is None else tf.math.maximum(x, low)
    return x if high is None else tf.math.minimum(x, high)


def _is(bound: tf.Tensor | np.ndarray | None, number: float) -> bool:
    return isinstance(bound, np.ndarray) and bound.size == 1 and bound.item() == number


@lower("Where")
def where(condition: tf.Tensor, x: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
    """Take elements of `x` where `condition` holds and of `y` elsewhere, with broadcasting."""
    return tf.where(condition, x, y)


@lower("IsNaN")
def is_nan(x: tf.Tensor) -> tf.Tensor:
    """Say of each element whether it is not a number."""
    return tf.math.is_nan(widen(x, *FLOAT8))


@lower("IsInf")
def is_inf(x: tf.Tensor, *, detect_negative: int = 1, detect_positive: int = 1) -> tf.Tensor:
    """Say of each element whether it is infinite, with a sign that is asked for."""
    x = widen(x, *FLOAT8)
    infinite = tf.math.is_inf(x)
    if not detect_negative:
        infinite = tf.math.logical_and(infinite, x > 0)
    if not detect_positive:
        infinite = tf.math.logical_and(infinite, x < 0)
    return infinite


@lower("CumSum")
def cumulative_sum(x: tf.Tensor, axis: tf.Tensor, *, exclusive: int = 0, reverse: int = 0) -> tf.Tensor:
    """Add up along `axis`, a scalar; the shape is unchanged."""
    # As PyTorch does on CPU: rounding after each term adds up, too.
    terms = tf.cast(x, widest()) if x.dtype.is_floating else x
    axis = tf.cast(tf.reshape(axis, []), tf.int32)
    return tf.cast(tf.math.cumsum(terms, axis, exclusive=bool(exclusive), reverse=bool(reverse)), x.dtype)


@lower("CumProd", since=26)
@widened(*HALVES)
def cumulative_product(x: tf.Tensor, axis: tf.Tensor, *, exclusive: int = 0, reverse: int = 0) -> tf.Tensor:
    """Multiply up along `axis`, a scalar; the shape is unchanged."""
    return tf.math.cumprod(x, tf.reshape(axis, []), exclusive=bool(exclusive), reverse=bool(reverse))
