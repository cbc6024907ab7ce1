"""Operations on each number for itself, of one tensor or of several that are broadcast."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import torch

from translate.converters.keras_to_torch.layout import any_order
from translate.converters.keras_to_torch.ops.dtypes import alike, as_tensors, floating, torch_dtype, truth
from translate.converters.keras_to_torch.table import lower
from translate.errors import UnsupportedError

_UNARY: dict[str, Callable[..., Any]] = {
    "Abs": torch.abs,
    "Absolute": torch.abs,
    "Angle": torch.angle,
    "Arccos": torch.acos,
    "Arccosh": torch.acosh,
    "Arcsin": torch.asin,
    "Arcsinh": torch.asinh,
    "Arctan": torch.atan,
    "Arctanh": torch.atanh,
    "BitwiseInvert": torch.bitwise_not,
    "BitwiseNot": torch.bitwise_not,
    "Cbrt": lambda x: torch.sign(x) * torch.abs(floating(x)) ** (1 / 3),
    "Ceil": torch.ceil,
    "Conj": torch.conj_physical,
    "Conjugate": torch.conj_physical,
    "Cos": torch.cos,
    "Cosh": torch.cosh,
    "Deg2rad": torch.deg2rad,
    "Erf": torch.erf,
    "Erfc": torch.erfc,
    "Erfinv": torch.erfinv,
    "Exp": torch.exp,
    "Exp2": torch.exp2,
    "Expm1": torch.expm1,
    "Fabs": torch.abs,
    "Floor": torch.floor,
    "I0": torch.i0,
    "Imag": lambda x: torch.imag(x) if x.dtype.is_complex else torch.zeros_like(x),
    "Isfinite": torch.isfinite,
    "Isinf": torch.isinf,
    "Isnan": torch.isnan,
    "Isneginf": torch.isneginf,
    "Isposinf": torch.isposinf,
    "Isreal": torch.isreal,
    "Log": torch.log,
    "Log10": torch.log10,
    "Log1p": torch.log1p,
    "Log2": torch.log2,
    "LogicalNot": torch.logical_not,
    "Negative": torch.neg,
    "Rad2deg": torch.rad2deg,
    "Real": lambda x: torch.real(x) if x.dtype.is_complex else x,
    "Reciprocal": torch.reciprocal,
    "Rsqrt": torch.rsqrt,
    "Sign": torch.sign,
    "Signbit": torch.signbit,
    "Sin": torch.sin,
    "Sinc": torch.sinc,
    "Sinh": torch.sinh,
    "Sqrt": torch.sqrt,
    "Square": torch.square,
    "Tan": torch.tan,
    "Tanh": torch.tanh,
    "Trunc": torch.trunc,
    "Copy": lambda x: x,
    "StopGradient": torch.detach,
    "EmptyLike": torch.zeros_like,
    "ZerosLike": torch.zeros_like,
    "OnesLike": torch.ones_like,
}

# Of tensors and numbers, by operators that take both.
_BINARY: dict[str, Callable[..., Any]] = {
    "Add": lambda x, y: x + y,
    "Subtract": lambda x, y: x - y,
    "Multiply": lambda x, y: x * y,
    "Divide": lambda x, y: x / y,
    "TrueDivide": lambda x, y: x / y,
    "FloorDivide": lambda x, y: x // y,
    "Power": lambda x, y: x**y,
    "Mod": lambda x, y: x % y,
    "BitwiseAnd": lambda x, y: x & y,
    "BitwiseOr": lambda x, y: x | y,
    "BitwiseXor": lambda x, y: x ^ y,
    "BitwiseLeftShift": lambda x, y: x << y,
    "LeftShift": lambda x, y: x << y,
    "BitwiseRightShift": lambda x, y: x >> y,
    "RightShift": lambda x, y: x >> y,
    "Equal": lambda x, y: x == y,
    "NotEqual": lambda x, y: x != y,
    "Greater": lambda x, y: x > y,
    "GreaterEqual": lambda x, y: x >= y,
    "Less": lambda x, y: x < y,
    "LessEqual": lambda x, y: x <= y,
}

# Of tensors.
_PAIRS: dict[str, Callable[..., Any]] = {
    "Arctan2": torch.atan2,
    "DivideNoNan": lambda x, y: torch.where(y == 0, 0.0, x / torch.where(y == 0, 1, y)),
    "Fmax": torch.fmax,
    "Fmin": torch.fmin,
    "Fmod": torch.fmod,
    "Gcd": torch.gcd,
    "Heaviside": lambda x, y: torch.heaviside(*alike(floating(x), floating(y))),
    "Hypot": lambda x, y: torch.hypot(*alike(floating(x), floating(y))),
    "Lcm": torch.lcm,
    "Ldexp": torch.ldexp,
    "Logaddexp": lambda x, y: torch.logaddexp(*alike(floating(x), floating(y))),
    "Logaddexp2": lambda x, y: torch.logaddexp2(*alike(floating(x), floating(y))),
    "LogicalAnd": torch.logical_and,
    "LogicalOr": torch.logical_or,
    "LogicalXor": torch.logical_xor,
    "Maximum": torch.maximum,
    "Minimum": torch.minimum,
    "Nextafter": lambda x, y: torch.nextafter(*alike(floating(x), floating(y))),
}


def _register_unary(name: str, function: Callable[..., Any]) -> None:
    @lower(name, part="ops", layout=any_order)
    def row(op: Any, x: Any) -> Any:
        return function(x)


def _register_binary(name: str, function: Callable[..., Any]) -> None:
    @lower(name, part="ops", layout=any_order)
    def row(op: Any, x: Any, **second: Any) -> Any:
        # Keras calls it x2, or y.
        (y,) = second.values()
        return function(x, y)


for _name, _function in _UNARY.items():
    _register_unary(_name, _function)
for _name, _function in _BINARY.items():
    _register_binary(_name, _function)
for _name, _function in _PAIRS.items():
    _register_binary(_name, lambda x, y, function=_function: function(*as_tensors(x, y)))


@lower("Cast", part="ops", layout=any_order)
def cast(op: Any, x: torch.Tensor) -> torch.Tensor:
    """Change the dtype."""
    return x.to(torch_dtype(op.dtype))


@lower("SaturateCast", part="ops", layout=any_order)
def saturate_cast(op: Any, x: torch.Tensor) -> torch.Tensor:
    """Change the dtype; what it cannot hold becomes the number next to it."""
    dtype = torch_dtype(op.dtype)
    if dtype is torch.bool:
        return x.to(dtype)
    limits = torch.finfo(dtype) if dtype.is_floating_point else torch.iinfo(dtype)
    if x.dtype is torch.bool or (dtype.is_floating_point and not x.dtype.is_floating_point):
        return x.to(dtype)
    own = torch.finfo(x.dtype) if x.dtype.is_floating_point else torch.iinfo(x.dtype)
    return torch.clamp(x, max(limits.min, own.min), min(limits.max, own.max)).to(dtype)


@lower("ConvertToTensor", "Array", part="ops", layout=any_order)
def convert_to_tensor(op: Any, x: torch.Tensor) -> torch.Tensor:
    """Change the dtype, where one is given."""
    return x if op.dtype is None else x.to(torch_dtype(op.dtype))


@lower("Clip", part="ops", layout=any_order)
def clip(op: Any, x: torch.Tensor) -> torch.Tensor:
    """Bound the elements.

    Limits: bounds that are numbers.
    """
    if any(isinstance(bound, keras.KerasTensor) or np.ndim(bound) for bound in (op.x_min, op.x_max)):
        raise UnsupportedError("bounds that are tensors")
    return torch.clamp(x, np.asarray(op.x_min).item(), np.asarray(op.x_max).item())


@lower("Round", part="ops", layout=any_order)
def round_(op: Any, x: torch.Tensor) -> Any:
    """Round to a number of decimals, halves to even."""
    if not x.dtype.is_floating_point:
        if op.decimals >= 0:
            return x
        return torch.round(x.to(torch.float32) / 10**-op.decimals) * 10**-op.decimals
    return torch.round(x * 10.0**op.decimals) / 10.0**op.decimals if op.decimals else torch.round(x)


@lower("NanToNum", part="ops", layout=any_order)
def nan_to_num(op: Any, x: torch.Tensor) -> torch.Tensor:
    """Put numbers in the place of what is none."""
    return torch.nan_to_num(x, op.nan, op.posinf, op.neginf)


@lower("Where", part="ops", layout=any_order)
def where(op: Any, condition: torch.Tensor, *, x1: Any, x2: Any) -> torch.Tensor:
    """Choose element by element."""
    return torch.where(truth(condition), x1, x2)


@lower("Select", part="ops", layout=any_order)
def select(op: Any, condlist: Any, *, choicelist: Any, default: Any = 0) -> Any:
    """Choose element by element from what belongs to the first condition that holds."""
    for condition, choice in reversed(list(zip(condlist, choicelist, strict=True))):
        default = torch.where(truth(condition), choice, default)
    return default


@lower("Isclose", part="ops", layout=any_order)
def isclose(op: Any, x1: Any, *, x2: Any, rtol: float = 1e-5, atol: float = 1e-8) -> torch.Tensor:
    """Say where two numbers are next to each other."""
    x, y = alike(*as_tensors(x1, x2))
    return torch.isclose(x, y, rtol, atol, bool(op.equal_nan))


@lower("AllClose", part="ops", layout=any_order)
def allclose(op: Any, x1: Any, *, x2: Any) -> torch.Tensor:
    """Say whether all numbers are next to each other."""
    x, y = alike(*as_tensors(x1, x2))
    return torch.all(torch.isclose(x, y, op.rtol, op.atol, bool(op.equal_nan)))


@lower("FullLike", part="ops", layout=any_order)
def full_like(op: Any, x: torch.Tensor, *, fill_value: Any) -> Any:
    """Return a tensor of the same shape that is one number everywhere."""
    dtype = x.dtype if op.dtype is None else torch_dtype(op.dtype)
    if isinstance(fill_value, int | float):
        return torch.full_like(x, fill_value, dtype=dtype)
    return torch.zeros_like(x, dtype=dtype) + fill_value.to(dtype)


@lower("ViewAsComplex", part="ops")
def view_as_complex(op: Any, x: torch.Tensor) -> torch.Tensor:
    """Make complex numbers of the pairs along the last axis."""
    return torch.complex(x[..., 0], x[..., 1])


@lower("ViewAsReal", part="ops")
def view_as_real(op: Any, x: torch.Tensor) -> torch.Tensor:
    """Put real and imaginary parts along a new last axis."""
    return torch.stack([torch.real(x), torch.imag(x)], -1)


@lower("Polar", part="ops", layout=any_order, own_dtype=True)
def polar(op: Any, abs_: torch.Tensor, *, angle: torch.Tensor) -> torch.Tensor:
    """Make complex numbers of absolute values and angles."""
    return torch.polar(abs_, angle)


@lower("View", part="ops")
def view(op: Any, x: torch.Tensor) -> torch.Tensor:
    """Read the bits of the numbers as those of another dtype."""
    return x if op.dtype is None else x.contiguous().view(torch_dtype(op.dtype))
