"""Quantised numbers: to and from them, and products that accumulate them exactly.

Products of 8-bit integers are summed in float64, which holds every such sum exactly and has kernels on all devices.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from translate.converters.onnx_to_torch import conv
from translate.converters.onnx_to_torch.cast import convert
from translate.converters.onnx_to_torch.dtypes import torch_dtype
from translate.converters.onnx_to_torch.shapes import axis_from_start
from translate.converters.onnx_to_torch.table import lower
from translate.converters.onnx_to_torch.widen import FLOAT8


@lower("QuantizeLinear", since=13)
def quantize_linear(
    x: torch.Tensor,
    y_scale: torch.Tensor,
    y_zero_point: torch.Tensor | None = None,
    *,
    axis: int = 1,
    block_size: int = 0,
    output_dtype: int = 0,
    precision: int = 0,
    saturate: int = 1,
) -> torch.Tensor:
    """Return x / y_scale, rounded to even, plus y_zero_point, within the range of the quantised type; x's shape.

    The scale is for the whole of `x` (scalar), along `axis` (one dimension) or for blocks of `block_size` along it.
    Limits: not to types of less than 8 bits.
    """
    dtype = torch.uint8
    if y_zero_point is not None:
        dtype = y_zero_point.dtype
    elif output_dtype:
        dtype = torch_dtype(output_dtype)
    computed = torch_dtype(precision) if precision else y_scale.dtype
    scaled = x.to(computed) / _spread(y_scale, x, axis, block_size).to(computed)
    if dtype in FLOAT8:
        return convert(scaled, dtype, saturate=bool(saturate))
    if y_zero_point is not None:
        y_zero_point = _spread(y_zero_point.to(torch.float32), x, axis, block_size)
    return _rounded(scaled, y_zero_point, dtype)


@lower("DequantizeLinear", since=13)
def dequantize_linear(
    x: torch.Tensor,
    x_scale: torch.Tensor,
    x_zero_point: torch.Tensor | None = None,
    *,
    axis: int = 1,
    block_size: int = 0,
    output_dtype: int = 0,
) -> torch.Tensor:
    """Return (x - x_zero_point) x_scale; the shape is unchanged.

    The scale is for the whole of `x` (scalar), along `axis` (one dimension) or for blocks of `block_size` along it.
    Limits: not from types of less than 8 bits.
    """
    values = x.to(torch.float32)
    if x_zero_point is not None:
        values = values - _spread(x_zero_point.to(torch.float32), x, axis, block_size)
    dtype = torch_dtype(output_dtype) if output_dtype else x_scale.dtype
    return convert(values * _spread(x_scale, x, axis, block_size).to(torch.float32), dtype)


@lower("DynamicQuantizeLinear", since=11)
def dynamic_quantize_linear(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Quantise `x` to uint8 over its own range, made to include 0; returns the result, its scale and zero point."""
    lowest, highest = torch.clamp(torch.amin(x), max=0), torch.clamp(torch.amax(x), min=0)
    scale = (highest - lowest) / 255
    # All zeros: any scale will do but zero.
    scale = torch.where(scale == 0, 1.0, scale)
    zero_point = torch.round(torch.clamp(-lowest / scale, 0, 255))
    y = torch.clamp(torch.round(x / scale) + zero_point, 0, 255)
    return y.to(torch.uint8), scale, zero_point.to(torch.uint8)


@lower("MatMulInteger", since=10)
def mat_mul_integer(
    a: torch.Tensor,
    b: torch.Tensor,
    a_zero_point: torch.Tensor | None = None,
    b_zero_point: torch.Tensor | None = None,
) -> torch.Tensor:
    """Multiply 8-bit matrices less their zero points, [..., M, K] by [..., K, N], into int32.

    `a_zero_point` is a scalar, one for each row [M], or [..., M, 1]; `b_zero_point` a scalar, one for each column [N],
    or [..., 1, N].
    """
    product = torch.matmul(_centred(a, _for_rows(a_zero_point, a)), _centred(b, b_zero_point))
    return product.to(torch.int32)


@lower("QLinearMatMul", since=10)
def q_linear_mat_mul(
    a: torch.Tensor,
    a_scale: torch.Tensor,
    a_zero_point: torch.Tensor,
    b: torch.Tensor,
    b_scale: torch.Tensor,
    b_zero_point: torch.Tensor,
    y_scale: torch.Tensor,
    y_zero_point: torch.Tensor,
) -> torch.Tensor:
    """Multiply quantised matrices, [..., M, K] by [..., K, N], into the quantised type of `y_zero_point`.

    Scale and zero point of `a` and `y` are scalars or one for each row, [M] or [..., M, 1]; those of `b` are scalars
    or one for each column, [N] or [..., 1, N].
    """
    product = torch.matmul(_centred(a, _for_rows(a_zero_point, a)), _centred(b, b_zero_point))
    scale = _for_rows(a_scale, a) * b_scale / _for_rows(y_scale, a)
    return _rounded(_scaled(product, scale), _for_rows(y_zero_point, a), y_zero_point.dtype)


@lower("ConvInteger", since=10)
def conv_integer(
    x: torch.Tensor,
    w: torch.Tensor,
    x_zero_point: torch.Tensor | None = None,
    w_zero_point: torch.Tensor | None = None,
    *,
    auto_pad: str = "NOTSET",
    dilations: Sequence[int] | None = None,
    group: int = 1,
    kernel_shape: Sequence[int] | None = None,
    pads: Sequence[int] | None = None,
    strides: Sequence[int] | None = None,
) -> torch.Tensor:
    """Convolve 8-bit integers less their zero points, [N, C, *spatial] by [M, C/group, *kernel], into int32.

    Limits: up to three spatial axes.
    """
    result = conv.conv(
        _centred(x, x_zero_point),
        _centred(w, _for_channels(w_zero_point, w, 0)),
        auto_pad=auto_pad,
        dilations=dilations,
        group=group,
        kernel_shape=kernel_shape,
        pads=pads,
        strides=strides,
    )
    return result.to(torch.int32)


@lower("QLinearConv", since=10)
def q_linear_conv(
    x: torch.Tensor,
    x_scale: torch.Tensor,
    x_zero_point: torch.Tensor,
    w: torch.Tensor,
    w_scale: torch.Tensor,
    w_zero_point: torch.Tensor,
    y_scale: torch.Tensor,
    y_zero_point: torch.Tensor,
    b: torch.Tensor | None = None,
    *,
    auto_pad: str = "NOTSET",
    dilations: Sequence[int] | None = None,
    group: int = 1,
    kernel_shape: Sequence[int] | None = None,
    pads: Sequence[int] | None = None,
    strides: Sequence[int] | None = None,
) -> torch.Tensor:
    """Convolve quantised numbers, [N, C, *spatial] by [M, C/group, *kernel], into the type of `y_zero_point`.

    Scale and zero point of `w` are scalars or one for each of the M channels; `b` is int32 in units of
    x_scale w_scale.
    Limits: up to three spatial axes.
    """
    result = conv.conv(
        _centred(x, x_zero_point),
        _centred(w, _for_channels(w_zero_point, w, 0)),
        None if b is None else b.to(torch.float64),
        auto_pad=auto_pad,
        dilations=dilations,
        group=group,
        kernel_shape=kernel_shape,
        pads=pads,
        strides=strides,
    )
    scale = _for_channels(x_scale * w_scale / y_scale, x, 1)
    return _rounded(_scaled(result, scale), y_zero_point, y_zero_point.dtype)


def _rounded(scaled: torch.Tensor, zero_point: torch.Tensor | None, dtype: torch.dtype) -> torch.Tensor:
    """Round `scaled` to even, add `zero_point` and bring it into the range of the integer `dtype`."""
    # A half holds too few integers for the sum with a 16-bit zero point.
    rounded = torch.round(scaled).to(torch.float32)
    if zero_point is not None:
        rounded = rounded + zero_point.to(torch.float32)
    limits = torch.iinfo(dtype)
    return torch.clamp(rounded, limits.min, limits.max).to(dtype)


def _scaled(total: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
    # In float32, as onnxruntime does it: where a result lies halfway between two integers, both take the same.
    return total.to(torch.float32) * scale.to(torch.float32)


def _centred(x: torch.Tensor, zero_point: torch.Tensor | None) -> torch.Tensor:
    x = x.to(torch.float64)
    return x if zero_point is None else x - zero_point.to(torch.float64)


def _for_rows(value: Any, a: torch.Tensor) -> Any:
    """Return `value`, one for each row of the matrices `a` if it has one dimension, so that it broadcasts with them."""
    return value.unsqueeze(1) if value is not None and value.ndim == 1 and a.ndim > 1 else value


def _for_channels(value: Any, x: torch.Tensor, axis: int) -> Any:
    """Return `value`, one for each element of `axis` of `x` if it has one dimension, so that it broadcasts with x."""
    return value if value is None or value.ndim == 0 else value.reshape([-1] + [1] * (x.ndim - axis - 1))


def _spread(value: torch.Tensor, x: torch.Tensor, axis: int, block_size: int) -> torch.Tensor:
    """Return a scale or zero point so that it broadcasts with `x`: along `axis`, or repeated for blocks along it."""
    axis = axis_from_start(axis, x)
    if block_size:
        return value.repeat_interleave(block_size, axis).narrow(axis, 0, x.size(axis))
    return value.reshape([-1] + [1] * (x.ndim - axis - 1)) if value.ndim == 1 else value
