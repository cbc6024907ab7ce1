"""Elementwise arithmetic, comparison, logic, rounding and trigonometry; running sums and products."""

from __future__ import annotations

import functools
import operator
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F

from translate.converters.onnx_to_torch.shapes import axis_from_start, entries, operands, tensor
from translate.converters.onnx_to_torch.table import lower, lower_binary, lower_unary
from translate.converters.onnx_to_torch.widen import HALVES, UNSIGNED, widened

lower_unary(
    {
        "Acos": torch.acos,
        "Acosh": torch.acosh,
        "Asin": torch.asin,
        "Asinh": torch.asinh,
        "Atan": torch.atan,
        "Atanh": torch.atanh,
        "BitwiseNot": widened(*UNSIGNED)(torch.bitwise_not),
        "Ceil": torch.ceil,
        "Cos": torch.cos,
        "Cosh": torch.cosh,
        "Exp": torch.exp,
        "Floor": torch.floor,
        "Log": torch.log,
        "Neg": operator.neg,
        "Not": torch.logical_not,
        "Reciprocal": torch.reciprocal,
        "Round": torch.round,
        "Sin": torch.sin,
        "Sinh": torch.sinh,
        "Sqrt": torch.sqrt,
        "Tan": torch.tan,
        "IsNaN": widened(*HALVES)(torch.isnan),
    }
)

lower_binary(
    {
        "Add": widened(*UNSIGNED)(operator.add),
        "Equal": operator.eq,
        "Greater": widened(*UNSIGNED)(operator.gt),
        "GreaterOrEqual": widened(*UNSIGNED)(operator.ge),
        "Less": widened(*UNSIGNED)(operator.lt),
        "LessOrEqual": widened(*UNSIGNED)(operator.le),
        "Mul": widened(*UNSIGNED)(operator.mul),
        "Sub": widened(*UNSIGNED)(operator.sub),
    }
)

lower_binary(
    {
        "And": torch.logical_and,
        "BitwiseAnd": torch.bitwise_and,
        "BitwiseOr": torch.bitwise_or,
        "BitwiseXor": torch.bitwise_xor,
        "Or": torch.logical_or,
        "Xor": torch.logical_xor,
    },
    scalars=False,
)


@lower("Abs")
def absolute(x: torch.Tensor) -> torch.Tensor:
    """Take the absolute value; the shape is unchanged."""
    return torch.abs(x) if x.dtype not in (torch.uint8, *UNSIGNED) else x


@lower("Sign")
@widened(*UNSIGNED)
def sign(x: torch.Tensor) -> torch.Tensor:
    """Return -1, 0 or 1 by the sign of each element."""
    return torch.sign(x)


@lower("Erf")
def erf(x: torch.Tensor) -> torch.Tensor:
    """Return the error function of each element."""
    if x.dtype.is_floating_point:
        return torch.erf(x)
    # The schema allows integers: erf of one is -1, 0 or 1 once it is cut back to an integer.
    return torch.erf(x.to(torch.float64)).to(x.dtype)


@lower("Div")
def divide(x: torch.Tensor | np.ndarray, y: torch.Tensor | np.ndarray) -> torch.Tensor:
    """Divide with broadcasting; integer quotients are cut toward zero."""
    floating = (x if isinstance(x, torch.Tensor) or not isinstance(x, np.ndarray) else tensor(x)).dtype
    if floating.is_floating_point or floating.is_complex:
        one, other = operands(x, y)
        return one / other
    return widened(*UNSIGNED)(_truncated)(*operands(x, y, scalars=False))


def _truncated(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    return torch.div(x, y, rounding_mode="trunc")


@lower("Mod")
@widened(*UNSIGNED)
def modulo(x: torch.Tensor, y: torch.Tensor, *, fmod: Literal[0, 1] = 0) -> torch.Tensor:
    """Return the remainder, with the sign of `y`, or that of `x` if `fmod`; broadcasting."""
    return torch.fmod(x, y) if fmod else torch.remainder(x, y)


@lower("Pow")
def power(x: torch.Tensor, y: torch.Tensor | np.ndarray) -> torch.Tensor:
    """Raise `x` to the power `y` with broadcasting; the result has the dtype of `x`."""
    if isinstance(y, np.ndarray) and y.size == 1 and y.ndim <= x.ndim and x.dtype.is_floating_point:
        exponent = y.item()
        return x ** (int(exponent) if float(exponent).is_integer() else exponent)
    exponents: torch.Tensor = tensor(y)
    if x.dtype == exponents.dtype:
        return torch.pow(x, exponents)
    # As wide as the widest, so that neither is rounded before it is used.
    wide = torch.promote_types(x.dtype, exponents.dtype)
    return torch.pow(x.to(wide), exponents.to(wide)).to(x.dtype)


@lower("BitShift")
@widened(*UNSIGNED)
def bit_shift(x: torch.Tensor, y: torch.Tensor, *, direction: Literal["LEFT", "RIGHT"]) -> torch.Tensor:
    """Shift the bits of `x` by `y` places with broadcasting; what is shifted out is lost."""
    return torch.bitwise_left_shift(x, y) if direction == "LEFT" else torch.bitwise_right_shift(x, y)


@lower("Max")
def maximum(*xs: torch.Tensor) -> torch.Tensor:
    """Return the elementwise maximum of all inputs, with broadcasting."""
    return functools.reduce(widened(*UNSIGNED)(torch.maximum), xs)


@lower("Min")
def minimum(*xs: torch.Tensor) -> torch.Tensor:
    """Return the elementwise minimum of all inputs, with broadcasting."""
    return functools.reduce(widened(*UNSIGNED)(torch.minimum), xs)


@lower("Sum")
def add_all(*xs: torch.Tensor) -> torch.Tensor:
    """Add all inputs, with broadcasting."""
    return functools.reduce(operator.add, xs)


@lower("Mean")
def mean(*xs: torch.Tensor) -> torch.Tensor:
    """Return the elementwise mean of all inputs, with broadcasting."""
    return add_all(*xs) / len(xs)


@lower("Clip")
def clip(
    x: torch.Tensor, low: torch.Tensor | np.ndarray | None = None, high: torch.Tensor | np.ndarray | None = None
) -> torch.Tensor:
    """Limit the elements to [low, high], each a scalar or absent; `high` wins where they cross."""
    if low is None and high is None:
        return x
    if not isinstance(low, np.ndarray | None) or not isinstance(high, np.ndarray | None):
        x = x if low is None else maximum(x, tensor(low))
        return x if high is None else minimum(x, tensor(high))
    limits = _number(low), _number(high)
    if limits == (0, 6) and x.dtype.is_floating_point:
        return F.relu6(x)
    return widened(*UNSIGNED)(torch.clamp)(x, min=limits[0], max=limits[1])


def _number(bound: np.ndarray | None) -> Any:
    return None if bound is None else bound.item()


@lower("Where")
def where(condition: torch.Tensor, x: torch.Tensor | np.ndarray, y: torch.Tensor | np.ndarray) -> torch.Tensor:
    """Take elements of `x` where `condition` holds and of `y` elsewhere, with broadcasting."""
    one, other = operands(x, y)
    return torch.where(condition, one, other)


@lower("IsInf")
@widened(*HALVES)
def is_inf(x: torch.Tensor, *, detect_negative: int = 1, detect_positive: int = 1) -> torch.Tensor:
    """Say of each element whether it is infinite, with a sign that is asked for."""
    if detect_negative and detect_positive:
        return torch.isinf(x)
    if detect_negative or detect_positive:
        return torch.isposinf(x) if detect_positive else torch.isneginf(x)
    return torch.zeros_like(x, dtype=torch.bool)


def _running(
    function: Any, x: torch.Tensor, axis: torch.Tensor | np.ndarray, start: int, exclusive: int, reverse: int
) -> torch.Tensor:
    """Apply a running sum or product along `axis`, that begins at `start` if it is exclusive."""
    (number,) = entries(axis)
    along = axis_from_start(number, x)
    x = torch.flip(x, [along]) if reverse else x
    if exclusive:
        first = torch.full_like(x.narrow(along, 0, 1), start)
        x = torch.cat([first, x.narrow(along, 0, x.size(along) - 1)], along)
    y = function(x, along, dtype=x.dtype)
    return torch.flip(y, [along]) if reverse else y


@lower("CumSum")
def cumulative_sum(x: torch.Tensor, axis: np.ndarray, *, exclusive: int = 0, reverse: int = 0) -> torch.Tensor:
    """Add up along `axis`, a scalar; the shape is unchanged."""
    return _running(torch.cumsum, x, axis, 0, exclusive, reverse)


@lower("CumProd", since=26)
def cumulative_product(x: torch.Tensor, axis: np.ndarray, *, exclusive: int = 0, reverse: int = 0) -> torch.Tensor:
    """Multiply up along `axis`, a scalar; the shape is unchanged."""
    return _running(torch.cumprod, x, axis, 1, exclusive, reverse)
