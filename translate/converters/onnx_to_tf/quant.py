"""Quantised numbers: to and from them, and products that accumulate them exactly.

Products of 8-bit integers are summed in float64, which holds every such sum exactly and, unlike int32, has fast
kernels on all devices.
"""

from __future__ import annotations

from collections.abc import Sequence

import ml_dtypes
import tensorflow as tf

from translate.converters.onnx_to_tf import conv
from translate.converters.onnx_to_tf.cast import FLOAT8, convert
from translate.converters.onnx_to_tf.dtypes import tf_dtype
from translate.converters.onnx_to_tf.shapes import axis_from_start, dims, rank
from translate.converters.onnx_to_tf.table import CHANNELS_LAST, lower


@lower("QuantizeLinear", since=13)
def quantize_linear(
    x: tf.Tensor,
    y_scale: tf.Tensor,
    y_zero_point: tf.Tensor | None = None,
    *,
    axis: int = 1,
    block_size: int = 0,
    output_dtype: int = 0,
    precision: int = 0,
    saturate: int = 1,
) -> tf.Tensor:
    """Return x / y_scale, rounded to even, plus y_zero_point, within the range of the quantised type; x's shape.

    The scale is for the whole of `x` (scalar), along `axis` (one dimension) or for blocks of `block_size` along it.
    Limits: not to float8e4m3fnuz, float8e5m2fnuz, float4e2m1, int2, uint2.
    """
    dtype = y_zero_point.dtype if y_zero_point is not None else tf_dtype(output_dtype) if output_dtype else tf.uint8
    computed = tf_dtype(precision) if precision else y_scale.dtype
    scaled = tf.cast(x, computed) / tf.cast(_spread(y_scale, x, axis, block_size), computed)
    if dtype in FLOAT8:
        return convert(scaled, dtype, saturate=bool(saturate))
    if y_zero_point is not None:
        y_zero_point = _spread(convert(y_zero_point, tf.float32), x, axis, block_size)
    return _rounded(scaled, y_zero_point, dtype)


@lower("DequantizeLinear", since=13)
def dequantize_linear(
    x: tf.Tensor,
    x_scale: tf.Tensor,
    x_zero_point: tf.Tensor | None = None,
    *,
    axis: int = 1,
    block_size: int = 0,
    output_dtype: int = 0,
) -> tf.Tensor:
    """Return (x - x_zero_point) x_scale; the shape is unchanged.

    The scale is for the whole of `x` (scalar), along `axis` (one dimension) or for blocks of `block_size` along it.
    Limits: not from float8e4m3fnuz, float8e5m2fnuz, float4e2m1, int2, uint2.
    """
    values = convert(x, tf.float32)
    if x_zero_point is not None:
        values -= _spread(convert(x_zero_point, tf.float32), x, axis, block_size)
    dtype = tf_dtype(output_dtype) if output_dtype else x_scale.dtype
    return tf.cast(values * tf.cast(_spread(x_scale, x, axis, block_size), tf.float32), dtype)


@lower("DynamicQuantizeLinear", since=11)
def dynamic_quantize_linear(x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Quantise `x` to uint8 over its own range, made to include 0; returns the result, its scale and zero point."""
    lowest, highest = tf.minimum(tf.reduce_min(x), 0), tf.maximum(tf.reduce_max(x), 0)
    scale = (highest - lowest) / 255
    # All zeros: any scale will do but zero.
    scale = tf.where(scale == 0, tf.ones_like(scale), scale)
    zero_point = tf.round(tf.clip_by_value(-lowest / scale, 0, 255))
    y = tf.clip_by_value(tf.round(x / scale) + zero_point, 0, 255)
    return tf.cast(y, tf.uint8), scale, tf.cast(zero_point, tf.uint8)


@lower("MatMulInteger", since=10)
def mat_mul_integer(
    a: tf.Tensor, b: tf.Tensor, a_zero_point: tf.Tensor | None = None, b_zero_point: tf.Tensor | None = None
) -> tf.Tensor:
    """Multiply 8-bit matrices less their zero points, [..., M, K] by [..., K, N], into int32.

    `a_zero_point` is a scalar, one for each row [M], or [..., M, 1]; `b_zero_point` a scalar, one for each column [N],
    or [..., 1, N].
    """
    product = tf.matmul(_centred(a, _for_rows(a_zero_point, a)), _centred(b, b_zero_point))
    return tf.cast(product, tf.int32)


@lower("QLinearMatMul", since=10)
def q_linear_mat_mul(
    a: tf.Tensor,
    a_scale: tf.Tensor,
    a_zero_point: tf.Tensor,
    b: tf.Tensor,
    b_scale: tf.Tensor,
    b_zero_point: tf.Tensor,
    y_scale: tf.Tensor,
    y_zero_point: tf.Tensor,
) -> tf.Tensor:
    """Multiply quantised matrices, [..., M, K] by [..., K, N], into the quantised type of `y_zero_point`.

    Scale and zero point of `a` and `y` are scalars or one for each row, [M] or [..., M, 1]; those of `b` are scalars
    or one for each column, [N] or [..., 1, N].
    """
    product = tf.matmul(_centred(a, _for_rows(a_zero_point, a)), _centred(b, b_zero_point))
    scale = _for_rows(a_scale, a) * b_scale / _for_rows(y_scale, a)
    return _rounded(_scaled(product, scale), _for_rows(y_zero_point, a), y_zero_point.dtype)


@lower("ConvInteger", since=10, domain=CHANNELS_LAST)
def conv_integer(
    x: tf.Tensor,
    w: tf.Tensor,
    x_zero_point: tf.Tensor | None = None,
    w_zero_point: tf.Tensor | None = None,
    *,
    auto_pad: str = "NOTSET",
    dilations: Sequence[int] | None = None,
    group: int = 1,
    kernel_shape: Sequence[int] | None = None,
    pads: Sequence[int] | None = None,
    strides: Sequence[int] | None = None,
) -> tf.Tensor:
    """Convolve 8-bit integers less their zero points, [N, *spatial, C] by [*kernel, C/group, M], into int32."""
    result = conv.conv(
        _centred(x, x_zero_point),
        _centred(w, w_zero_point),
        auto_pad=auto_pad,
        dilations=dilations,
        group=group,
        kernel_shape=kernel_shape,
        pads=pads,
        strides=strides,
    )
    return tf.cast(result, tf.int32)


@lower("QLinearConv", since=10, domain=CHANNELS_LAST)
def q_linear_conv(
    x: tf.Tensor,
    x_scale: tf.Tensor,
    x_zero_point: tf.Tensor,
    w: tf.Tensor,
    w_scale: tf.Tensor,
    w_zero_point: tf.Tensor,
    y_scale: tf.Tensor,
    y_zero_point: tf.Tensor,
    b: tf.Tensor | None = None,
    *,
    auto_pad: str = "NOTSET",
    dilations: Sequence[int] | None = None,
    group: int = 1,
    kernel_shape: Sequence[int] | None = None,
    pads: Sequence[int] | None = None,
    strides: Sequence[int] | None = None,
) -> tf.Tensor:
    """Convolve quantised numbers, [N, *spatial, C] by [*kernel, C/group, M], into the type of `y_zero_point`.

    Scale and zero point of `w` are scalars or one for each of the M channels; `b` is int32 in units of
    x_scale w_scale.
    """
    result = conv.conv(
        _centred(x, x_zero_point),
        _centred(w, w_zero_point),
        auto_pad=auto_pad,
        dilations=dilations,
        group=group,
        kernel_shape=kernel_shape,
        pads=pads,
        strides=strides,
    )
    if b is not None:
        result += tf.cast(b, tf.float64)
    return _rounded(_scaled(result, x_scale * w_scale / y_scale), y_zero_point, y_zero_point.dtype)


def _rounded(scaled: tf.Tensor, zero_point: tf.Tensor | None, dtype: tf.DType) -> tf.Tensor:
    """Round `scaled` to even, add `zero_point` and bring it into the range of the integer `dtype`."""
    # A half holds too few integers for the sum with a 16-bit zero point.
    rounded = tf.cast(tf.round(scaled), tf.float32)
    if zero_point is not None:
        rounded += convert(zero_point, tf.float32)
    limits = ml_dtypes.iinfo(dtype.as_numpy_dtype)
    return convert(tf.clip_by_value(rounded, float(limits.min), float(limits.max)), dtype)


def _scaled(total: tf.Tensor, scale: tf.Tensor) -> tf.Tensor:
    # In float32, as onnxruntime does it: where a result lies halfway between two integers, both take the same.
    return tf.cast(total, tf.float32) * tf.cast(scale, tf.float32)


def _centred(x: tf.Tensor, zero_point: tf.Tensor | None) -> tf.Tensor:
    x = tf.cast(x, tf.float64)
    return x if zero_point is None else x - tf.cast(zero_point, tf.float64)


def _for_rows(value: tf.Tensor | None, a: tf.Tensor) -> tf.Tensor | None:
    """Return `value`, one for each row of the matrices `a` if it has one dimension, so that it broadcasts with them."""
    return value[:, tf.newaxis] if value is not None and rank(value) == 1 and rank(a) > 1 else value


def _spread(value: tf.Tensor, x: tf.Tensor, axis: int, block_size: int) -> tf.Tensor:
    """Return a scale or zero point so that it broadcasts with `x`: along `axis`, or repeated for blocks along it."""
    axis = axis_from_start(axis, x)
    if block_size:
        return tf.repeat(value, block_size, axis)[(slice(None),) * axis + (slice(dims(x)[axis]),)]
    if rank(value) != 1:
        return value
    return tf.reshape(value, [-1 if i == axis else 1 for i in range(rank(x))])
