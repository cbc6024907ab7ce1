"""From one element type to another."""

from __future__ import annotations

import torch

from translate.converters.onnx_to_torch.dtypes import torch_dtype
from translate.converters.onnx_to_torch.table import lower
from translate.converters.onnx_to_torch.widen import FLOAT8


@lower("Cast")
def cast(x: torch.Tensor, *, to: int, saturate: int = 1, round_mode: str = "up") -> torch.Tensor:
    """Convert `x` to the element type `to`; the shape is unchanged.

    `saturate` bounds what goes to float8, `round_mode` speaks of float8e8m0 alone.
    Limits: not to or from strings and types of less than 8 bits.
    """
    return convert(x, torch_dtype(to), saturate=bool(saturate), round_mode=round_mode)


@lower("CastLike", since=15)
def cast_like(x: torch.Tensor, like: torch.Tensor, *, saturate: int = 1, round_mode: str = "up") -> torch.Tensor:
    """Convert `x` to the element type of `like`; the shape is that of `x`.

    Limits: not to or from strings and types of less than 8 bits.
    """
    return convert(x, like.dtype, saturate=bool(saturate), round_mode=round_mode)


@lower("BitCast", since=26)
def bit_cast(x: torch.Tensor, *, to: int) -> torch.Tensor:
    """Read the bits of `x` as another element type of the same width; the shape is unchanged."""
    return x.view(torch_dtype(to))


def convert(x: torch.Tensor, dtype: torch.dtype, *, saturate: bool = True, round_mode: str = "nearest") -> torch.Tensor:
    """Return `x` as `dtype`; out of the range of a float8 its largest value with `saturate`, else NaN or infinite.

    `round_mode`, "up", "down" or "nearest", says to which power of two float8e8m0 rounds.
    """
    if x.dtype == dtype:
        return x
    if dtype in FLOAT8:
        x = x if x.dtype.is_floating_point else x.to(torch.float32)
    if dtype is torch.float8_e8m0fnu:
        return _power_of_two(x.to(torch.float32), round_mode).to(dtype)
    if dtype in FLOAT8 and saturate:
        largest = torch.finfo(dtype).max
        x = torch.clamp(x, -largest, largest)
    elif dtype is torch.float8_e4m3fn:
        # PyTorch bounds it, too. Up to here the largest value, 448, is the nearest.
        x = torch.where(torch.abs(x) > 464, torch.nan, x)
    return x.to(dtype)


def _power_of_two(x: torch.Tensor, round_mode: str) -> torch.Tensor:
    """Return the power of two above or below positive x, float32: its bits without those of the mantissa."""
    if round_mode == "nearest":
        return x
    bits = x.view(torch.int32) + (0x7FFFFF if round_mode == "up" else 0)
    return torch.where(torch.isfinite(x), (bits & 0x7F800000).view(torch.float32), x)
