"""Elementwise arithmetic, comparisons and matrix products."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import onnx_ir as ir

from translate.converters.tf_to_onnx.build import cast, like, op, rank
from translate.converters.tf_to_onnx.table import lower, one_to_one
from translate.errors import UnsupportedError

one_to_one(
    {
        "Abs": "Abs",
        "Acos": "Acos",
        "Acosh": "Acosh",
        "Add": "Add",
        "AddV2": "Add",
        "AddN": "Sum",
        "Asin": "Asin",
        "Asinh": "Asinh",
        "Atan": "Atan",
        "Atanh": "Atanh",
        "BitwiseAnd": "BitwiseAnd",
        "BitwiseOr": "BitwiseOr",
        "BitwiseXor": "BitwiseXor",
        "Ceil": "Ceil",
        "Cos": "Cos",
        "Cosh": "Cosh",
        "Erf": "Erf",
        "Exp": "Exp",
        "Floor": "Floor",
        "Greater": "Greater",
        "GreaterEqual": "GreaterOrEqual",
        "Identity": "Identity",
        "Invert": "BitwiseNot",
        "IsInf": "IsInf",
        "IsNan": "IsNaN",
        "Less": "Less",
        "LessEqual": "LessOrEqual",
        "Log": "Log",
        "LogicalAnd": "And",
        "LogicalNot": "Not",
        "LogicalOr": "Or",
        "Maximum": "Max",
        "Minimum": "Min",
        "Mul": "Mul",
        "Neg": "Neg",
        "RealDiv": "Div",
        "Reciprocal": "Reciprocal",
        "Inv": "Reciprocal",
        "Rint": "Round",
        "Round": "Round",
        "Sigmoid": "Sigmoid",
        "Sign": "Sign",
        "Sin": "Sin",
        "Sinh": "Sinh",
        "Snapshot": "Identity",
        "Sqrt": "Sqrt",
        "StopGradient": "Identity",
        "GuaranteeConst": "Identity",
        "PreventGradient": "Identity",
        "Sub": "Sub",
        "Tan": "Tan",
        "Tanh": "Tanh",
    }
)


def _is_float(x: ir.Value) -> bool:
    return x.dtype is not None and x.dtype.is_floating_point()


@lower("CheckNumerics", "EnsureShape")
def unchecked(x: ir.Value, *, message: str = "", shape: Any = ()) -> ir.Value:
    """The value itself: the check is TensorFlow's."""
    return op.Identity(x)


@lower("PlaceholderWithDefault")
def default(x: ir.Value, *, shape: Any = ()) -> ir.Value:
    """The default: what is to be fed must be named as an input."""
    return op.Identity(x)


@lower("IdentityN")
def identity_n(*xs: ir.Value) -> Any:
    """All values themselves."""
    return tuple(op.Identity(x) for x in xs)


@lower("Equal")
def equal(x: ir.Value, y: ir.Value, *, incompatible_shape_error: int = 1) -> ir.Value:
    """Whether elements are equal."""
    return op.Equal(x, y)


@lower("NotEqual")
def not_equal(x: ir.Value, y: ir.Value, *, incompatible_shape_error: int = 1) -> ir.Value:
    """Whether elements differ."""
    return op.Not(op.Equal(x, y))


@lower("ApproximateEqual")
def approximately_equal(x: ir.Value, y: ir.Value, *, tolerance: float = 1e-5) -> ir.Value:
    """Whether elements are less than `tolerance` apart."""
    return op.Less(op.Abs(op.Sub(x, y)), like(x, tolerance))


@lower("IsFinite")
def is_finite(x: ir.Value) -> ir.Value:
    """Neither infinite nor NaN."""
    return op.Not(op.Or(op.IsInf(x), op.IsNaN(x)))


@lower("Square")
def square(x: ir.Value) -> ir.Value:
    """The square."""
    return op.Mul(x, x)


@lower("SquaredDifference")
def squared_difference(x: ir.Value, y: ir.Value) -> ir.Value:
    """The square of the difference."""
    difference = op.Sub(x, y)
    return op.Mul(difference, difference)


@lower("Rsqrt")
def rsqrt(x: ir.Value) -> ir.Value:
    """One over the square root."""
    return op.Reciprocal(op.Sqrt(x))


@lower("Erfc")
def erfc(x: ir.Value) -> ir.Value:
    """One minus the error function."""
    return op.Sub(like(x, 1), op.Erf(x))


@lower("Log1p")
def log1p(x: ir.Value) -> ir.Value:
    """The logarithm of `1 + x`, exact where `x` is small.

    With `u = 1 + x` rounded, `log(u) * x / (u - 1)` cancels the rounding (Goldberg 1991, theorem 4).
    """
    u = op.Add(x, like(x, 1))
    exact = op.Div(op.Mul(op.Log(u), x), op.Sub(u, like(x, 1)))
    # Where u is 1 the quotient is 0/0, where x is infinite inf/inf.
    lost = op.Or(op.Equal(u, like(x, 1)), op.Equal(x, like(x, math.inf)))
    return op.Where(lost, x, exact)


@lower("Expm1")
def expm1(x: ir.Value) -> ir.Value:
    """`exp(x) - 1`, exact where `x` is small: there twice `sinh(x/2) * exp(x/2)`."""
    half = op.Mul(x, like(x, 0.5))
    exact = op.Mul(op.Mul(op.Sinh(half), op.Exp(half)), like(x, 2))
    return op.Where(op.Less(op.Abs(x), like(x, 1)), exact, op.Sub(op.Exp(x), like(x, 1)))


@lower("Pow")
def power(x: ir.Value, y: ir.Value) -> ir.Value:
    """`x` to the power of `y`."""
    return op.Pow(x, y)


@lower("Div")
def div(x: ir.Value, y: ir.Value) -> ir.Value:
    """The quotient; of integers, rounded towards zero as in C."""
    return op.Div(x, y)


@lower("TruncateDiv")
def truncate_div(x: ir.Value, y: ir.Value) -> ir.Value:
    """The quotient rounded towards zero."""
    quotient = op.Div(x, y)
    return op.Mul(op.Sign(quotient), op.Floor(op.Abs(quotient))) if _is_float(x) else quotient


@lower("FloorDiv")
def floor_div(x: ir.Value, y: ir.Value) -> ir.Value:
    """The quotient rounded down."""
    if _is_float(x):
        return op.Floor(op.Div(x, y))
    if x.shape is not None and len(x.shape) < 2:
        # Arithmetic of sizes, which stays such in PyTorch, where sizes are not compared; it comes nowhere near the
        # least integer, where this would overflow.
        return op.Div(op.Sub(x, op.Mod(x, y, fmod=0)), y)
    quotient = op.Div(x, y)
    # Rounded towards zero: one too large where something is left and the signs differ.
    left = op.Sub(x, op.Mul(quotient, y))
    differ = op.Xor(op.Less(left, like(x, 0)), op.Less(y, like(x, 0)))
    one_less = op.And(op.Not(op.Equal(left, like(x, 0))), differ)
    return op.Sub(quotient, op.Where(one_less, like(x, 1), like(x, 0)))


@lower("FloorMod")
def floor_mod(x: ir.Value, y: ir.Value) -> ir.Value:
    """What is left of a division that is rounded down; it has the sign of `y`."""
    if not _is_float(x):
        return op.Mod(x, y, fmod=0)
    left = op.Mod(x, y, fmod=1)
    zero = like(x, 0)
    differ = op.Xor(op.Less(left, zero), op.Less(y, zero))
    return op.Where(op.And(op.Not(op.Equal(left, zero)), differ), op.Add(left, y), left)


@lower("TruncateMod", "Mod")
def truncate_mod(x: ir.Value, y: ir.Value) -> ir.Value:
    """What is left of a division that is rounded towards zero; it has the sign of `x`."""
    return op.Mod(x, y, fmod=1)


@lower("DivNoNan")
def div_no_nan(x: ir.Value, y: ir.Value) -> ir.Value:
    """The quotient, 0 where `y` is 0."""
    zero = op.Equal(y, like(y, 0))
    return op.Where(zero, like(x, 0), op.Div(x, op.Where(zero, like(y, 1), y)))


@lower("MulNoNan")
def mul_no_nan(x: ir.Value, y: ir.Value) -> ir.Value:
    """The product, 0 where `y` is 0 whatever `x` is."""
    return op.Where(op.Equal(y, like(y, 0)), like(x, 0), op.Mul(x, y))


@lower("Xlogy")
def xlogy(x: ir.Value, y: ir.Value) -> ir.Value:
    """`x * log(y)`, 0 where `x` is 0."""
    zero = op.Equal(x, like(x, 0))
    return op.Where(zero, like(x, 0), op.Mul(x, op.Log(op.Where(zero, like(x, 1), y))))


@lower("Xlog1py")
def xlog1py(x: ir.Value, y: ir.Value) -> ir.Value:
    """X · log(1 + y), 0 where x is 0."""
    zero = like(x, 0)
    return op.Where(op.Equal(x, zero), zero, op.Mul(x, log1p(y)))


@lower("Xdivy")
def xdivy(x: ir.Value, y: ir.Value) -> ir.Value:
    """`x / y`, 0 where `x` is 0."""
    zero = op.Equal(x, like(x, 0))
    return op.Where(zero, like(x, 0), op.Div(x, op.Where(zero, like(x, 1), y)))


@lower("Atan2")
def atan2(y: ir.Value, x: ir.Value) -> ir.Value:
    """The angle of the point `(x, y)`, in radians from -pi to pi. Limits: a zero's sign is not told."""
    zero = like(x, 0)
    # The quotient is that of the smaller by the larger, whose arc tangent is exact everywhere.
    steep = op.Greater(op.Abs(y), op.Abs(x))
    small, large = op.Where(steep, x, y), op.Where(steep, y, x)
    flat = op.Atan(op.Div(small, op.Where(op.Equal(large, zero), like(x, 1), large)))
    quarter = op.Where(op.Less(y, zero), like(x, -math.pi / 2), like(x, math.pi / 2))
    half = op.Where(op.Less(y, zero), like(x, -math.pi), like(x, math.pi))
    level = op.Where(op.Less(x, zero), op.Add(half, flat), flat)
    return op.Where(steep, op.Sub(quarter, flat), level)


@lower("ClipByValue")
def clip_by_value(x: ir.Value, low: ir.Value, high: ir.Value) -> ir.Value:
    """Between `low` and `high`."""
    return op.Max(op.Min(x, high), low)


@lower("MatMul")
def mat_mul(
    a: ir.Value, b: ir.Value, *, transpose_a: int = 0, transpose_b: int = 0, grad_a: int = 0, grad_b: int = 0
) -> ir.Value:
    """The product of two matrices, each transposed first if asked."""
    a = op.Transpose(a, perm=[1, 0]) if transpose_a else a
    b = op.Transpose(b, perm=[1, 0]) if transpose_b else b
    return op.MatMul(a, b)


@lower("BatchMatMul", "BatchMatMulV2", "BatchMatMulV3")
def batch_mat_mul(
    a: ir.Value, b: ir.Value, *, adj_x: int = 0, adj_y: int = 0, grad_x: int = 0, grad_y: int = 0, Tout: int = 0
) -> ir.Value:
    """The products of the matrices in the last two axes, each transposed first if asked."""
    if Tout and ir.DataType(Tout) != a.dtype:
        raise UnsupportedError(f"a product of {a.dtype} in {ir.DataType(Tout)}")
    a = _swap_last(a) if adj_x else a
    b = _swap_last(b) if adj_y else b
    return op.MatMul(a, b)


def _swap_last(x: ir.Value) -> ir.Value:
    axes = rank(x)
    return op.Transpose(x, perm=[*range(axes - 2), axes - 1, axes - 2])


@lower("Einsum")
def einsum(*xs: ir.Value, equation: str) -> ir.Value:
    """Einstein's summation."""
    return op.Einsum(*xs, equation=equation)


@lower("Range")
def range_(start: ir.Value, limit: ir.Value, delta: ir.Value) -> ir.Value:
    """Numbers from `start` up to before `limit`."""
    return op.Range(start, limit, delta)


@lower("LinSpace")
def linspace(start: ir.Value, stop: ir.Value, num: ir.Value) -> ir.Value:
    """`num` numbers from `start` to `stop`, both included."""
    assert start.dtype is not None
    count = cast(num, start.dtype)
    last = op.Max(op.Sub(count, like(start, 1)), like(start, 1))
    step = op.Div(op.Sub(stop, start), last)
    return op.Add(start, op.Mul(op.Range(like(start, 0), count, like(start, 1)), step))


@lower("LeftShift")
def left_shift(x: ir.Value, y: ir.Value) -> ir.Value:
    """Shift bits up."""
    return op.BitShift(x, y, direction="LEFT")


@lower("RightShift")
def right_shift(x: ir.Value, y: ir.Value) -> ir.Value:
    """Shift bits down. Limits: unsigned integers."""
    if x.dtype is None or not np.issubdtype(x.dtype.numpy(), np.unsignedinteger):
        raise UnsupportedError("a shift of signed integers")
    return op.BitShift(x, y, direction="RIGHT")


@lower("Print")
def print_(
    x: ir.Value,
    *printed: ir.Value,
    U: Any = (),
    message: str = "",
    first_n: int = -1,
    summarize: int = 3,
) -> ir.Value:
    """The same; nothing is printed."""
    return op.Identity(x)
