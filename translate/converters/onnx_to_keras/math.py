"""Elementwise arithmetic, comparison, logic, rounding and trigonometry; running sums."""

from __future__ import annotations

import functools
from typing import Literal

import numpy as np
from keras import ops

from translate.converters.onnx_to_keras.dtypes import dtype_name, dtype_of, is_float
from translate.converters.onnx_to_keras.table import Array, Tensor, lower, lower_binary, lower_unary

lower_unary(
    {
        "Abs": ops.abs,
        "Acos": ops.arccos,
        "Acosh": ops.arccosh,
        "Asin": ops.arcsin,
        "Asinh": ops.arcsinh,
        "Atan": ops.arctan,
        "Atanh": ops.arctanh,
        "BitwiseNot": ops.bitwise_not,
        "Ceil": ops.ceil,
        "Cos": ops.cos,
        "Cosh": ops.cosh,
        "Erf": ops.erf,
        "Exp": ops.exp,
        "Floor": ops.floor,
        "IsNaN": ops.isnan,
        "Log": ops.log,
        "Neg": ops.negative,
        "Not": ops.logical_not,
        "Reciprocal": ops.reciprocal,
        "Round": ops.round,
        "Sign": ops.sign,
        "Sin": ops.sin,
        "Sinh": ops.sinh,
        "Sqrt": ops.sqrt,
        "Tan": ops.tan,
    }
)

lower_binary(
    {
        "Add": ops.add,
        "And": ops.logical_and,
        "BitwiseAnd": ops.bitwise_and,
        "BitwiseOr": ops.bitwise_or,
        "BitwiseXor": ops.bitwise_xor,
        "Equal": ops.equal,
        "Greater": ops.greater,
        "GreaterOrEqual": ops.greater_equal,
        "Less": ops.less,
        "LessOrEqual": ops.less_equal,
        "Mul": ops.multiply,
        "Or": ops.logical_or,
        "Sub": ops.subtract,
        "Xor": ops.logical_xor,
    }
)


@lower("Div")
def divide(x: Tensor, y: Tensor) -> Tensor:
    """Divide with broadcasting; integer quotients are cut toward zero."""
    if is_float(x):
        return ops.divide(x, y)
    quotient = ops.floor_divide(ops.abs(x), ops.abs(y))
    return ops.multiply(ops.multiply(ops.sign(x), ops.sign(y)), quotient)


@lower("Mod")
def modulo(x: Tensor, y: Tensor, *, fmod: Literal[0, 1] = 0) -> Tensor:
    """Return the remainder, with the sign of `y`, or that of `x` if `fmod`; broadcasting."""
    return ops.multiply(ops.sign(x), ops.mod(ops.abs(x), ops.abs(y))) if fmod else ops.mod(x, y)


@lower("Pow")
def power(x: Tensor, y: Tensor | Array) -> Tensor:
    """Raise `x` to the power `y` with broadcasting; the result has the dtype of `x`."""
    if isinstance(y, np.ndarray) and y.size == 1 and is_float(x):
        exponent = float(y.item())
        simple = {2.0: ops.square, 0.5: ops.sqrt, 1.0: lambda x: x}.get(exponent)
        if simple is not None and y.ndim <= len(x.shape):
            return simple(x)
    return ops.cast(ops.power(x, ops.cast(y, dtype_of(x))), dtype_of(x))


@lower("Max")
def maximum(*xs: Tensor) -> Tensor:
    """Return the elementwise maximum of all inputs, with broadcasting."""
    return functools.reduce(ops.maximum, xs)


@lower("Min")
def minimum(*xs: Tensor) -> Tensor:
    """Return the elementwise minimum of all inputs, with broadcasting."""
    return functools.reduce(ops.minimum, xs)


@lower("Sum")
def add_all(*xs: Tensor) -> Tensor:
    """Add all inputs, with broadcasting."""
    return functools.reduce(ops.add, xs)


@lower("Mean")
def mean(*xs: Tensor) -> Tensor:
    """Return the elementwise mean of all inputs, with broadcasting."""
    return ops.divide(add_all(*xs), len(xs))


@lower("Clip")
def clip(x: Tensor, low: Tensor | Array | None = None, high: Tensor | Array | None = None) -> Tensor:
    """Limit the elements to [low, high], each a scalar or absent; `high` wins where they cross."""
    if is_float(x) and _is(low, 0) and _is(high, 6):
        return ops.relu6(x)
    x = x if low is None else ops.maximum(x, low)
    return x if high is None else ops.minimum(x, high)


def _is(bound: Tensor | Array | None, number: float) -> bool:
    return isinstance(bound, np.ndarray) and bound.size == 1 and bound.item() == number


@lower("Where")
def where(condition: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Take elements of `x` where `condition` holds and of `y` elsewhere, with broadcasting."""
    return ops.where(condition, x, y)


@lower("IsInf")
def is_inf(x: Tensor) -> Tensor:
    """Say of each element whether it is infinite."""
    return ops.isinf(x)


@lower("CumSum")
def cumulative_sum(x: Tensor, axis: Array, *, exclusive: int = 0, reverse: int = 0) -> Tensor:
    """Add up along `axis`, a scalar; the shape is unchanged."""
    place = int(axis.item())
    terms = ops.flip(x, place) if reverse else x
    total = ops.cumsum(terms, place)
    total = ops.subtract(total, terms) if exclusive else total
    return ops.flip(total, place) if reverse else total


@lower("Cast")
def cast(x: Tensor, *, to: int, saturate: int = 1, round_mode: str = "up") -> Tensor:
    """Convert the elements to the dtype `to`; real numbers are cut toward zero."""
    return ops.cast(x, dtype_name(to))
