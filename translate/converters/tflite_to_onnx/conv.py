"""Convolutions: TFLite's `[N, *spatial, C]` between two transposes, which the layout pass cancels."""

from __future__ import annotations

from typing import Literal

import onnx_ir as ir

from translate.converters.tf_to_onnx import conv as tf
from translate.converters.tf_to_onnx.build import Host, dims, op
from translate.converters.tf_to_onnx.conv import Window, back, channels_first, onnx_padding
from translate.converters.tflite_to_onnx.table import Activation, activate, lower
from translate.errors import UnsupportedError

Padding = Literal["SAME", "VALID"]
_LAST = "NHWC"


def _convolve(
    x: ir.Value, weights: ir.Value, bias: ir.Value | None, window: Window, padding: Padding, group: int
) -> ir.Value:
    """Convolve x [N, *spatial, C] with weights [M, C/group, *kernel], as ONNX has them."""
    inner = channels_first(x, _LAST)
    y = op.Conv(
        inner,
        weights,
        bias,
        strides=window.strides,
        dilations=window.dilations,
        group=group,
        **onnx_padding(padding, (), _LAST, window, inner),
    )
    return back(y, _LAST)


def _channels(x: ir.Value, axis: int = -1) -> int:
    channels = dims(x)[axis]
    if channels is None:
        raise UnsupportedError("the number of channels is not known")
    return channels


@lower("CONV_2D")
def conv_2d(
    x: ir.Value,
    filters: ir.Value,
    bias: ir.Value | None = None,
    *,
    padding: Padding = "SAME",
    stride_w: int = 0,
    stride_h: int = 0,
    dilation_w_factor: int = 1,
    dilation_h_factor: int = 1,
    fused_activation_function: Activation = "NONE",
) -> ir.Value:
    """Convolve with `filters` [M, H, W, C/groups]; the number of groups follows from the channels."""
    window = Window(dims(filters)[1:3], [stride_h, stride_w], [dilation_h_factor, dilation_w_factor])
    weights = op.Transpose(filters, perm=[0, 3, 1, 2])
    y = _convolve(x, weights, bias, window, padding, _channels(x) // _channels(filters))
    return activate(y, fused_activation_function)


@lower("DEPTHWISE_CONV_2D")
def depthwise_conv_2d(
    x: ir.Value,
    filters: ir.Value,
    bias: ir.Value | None = None,
    *,
    padding: Padding = "SAME",
    stride_w: int = 0,
    stride_h: int = 0,
    depth_multiplier: int = 0,
    dilation_w_factor: int = 1,
    dilation_h_factor: int = 1,
    fused_activation_function: Activation = "NONE",
) -> ir.Value:
    """Convolve each channel with filters of its own, `filters` [1, H, W, C * multiplier]."""
    window = Window(dims(filters)[1:3], [stride_h, stride_w], [dilation_h_factor, dilation_w_factor])
    weights = op.Transpose(filters, perm=[3, 0, 1, 2])
    return activate(_convolve(x, weights, bias, window, padding, _channels(x)), fused_activation_function)


@lower("CONV_3D")
def conv_3d(
    x: ir.Value,
    filters: ir.Value,
    bias: ir.Value | None = None,
    *,
    padding: Padding = "SAME",
    stride_d: int = 0,
    stride_w: int = 0,
    stride_h: int = 0,
    dilation_d_factor: int = 1,
    dilation_w_factor: int = 1,
    dilation_h_factor: int = 1,
    fused_activation_function: Activation = "NONE",
) -> ir.Value:
    """Convolve with `filters` [D, H, W, C/groups, M]; the number of groups follows from the channels."""
    gaps = [dilation_d_factor, dilation_h_factor, dilation_w_factor]
    window = Window(dims(filters)[:3], [stride_d, stride_h, stride_w], gaps)
    weights = op.Transpose(filters, perm=[4, 3, 0, 1, 2])
    y = _convolve(x, weights, bias, window, padding, _channels(x) // _channels(filters, 3))
    return activate(y, fused_activation_function)


@lower("TRANSPOSE_CONV")
def transpose_conv(
    sizes: ir.Value | Host,
    filters: ir.Value,
    x: ir.Value,
    bias: ir.Value | None = None,
    *,
    padding: Padding = "SAME",
    stride_w: int = 0,
    stride_h: int = 0,
    fused_activation_function: Activation = "NONE",
) -> ir.Value:
    """The gradient of a convolution: `filters` [M, H, W, C], `sizes` those of the result."""
    moved = op.Transpose(filters, perm=[1, 2, 0, 3])
    return _transposed(sizes, moved, x, bias, [stride_h, stride_w], padding, fused_activation_function)


@lower("CONV_3D_TRANSPOSE")
def conv_3d_transpose(
    sizes: ir.Value | Host,
    filters: ir.Value,
    x: ir.Value,
    bias: ir.Value | None = None,
    *,
    padding: Padding = "SAME",
    stride_d: int = 0,
    stride_w: int = 0,
    stride_h: int = 0,
    dilation_d_factor: Literal[1] = 1,
    dilation_w_factor: Literal[1] = 1,
    dilation_h_factor: Literal[1] = 1,
    fused_activation_function: Activation = "NONE",
) -> ir.Value:
    """The gradient of a convolution: `filters` [D, H, W, M, C], `sizes` those of the result. Limits: no dilations."""
    return _transposed(sizes, filters, x, bias, [stride_d, stride_h, stride_w], padding, fused_activation_function)


def _transposed(
    sizes: ir.Value | Host,
    filters: ir.Value,
    x: ir.Value,
    bias: ir.Value | None,
    strides: list[int],
    padding: Padding,
    activation: Activation,
) -> ir.Value:
    """Convolve transposed with `filters` [*kernel, M, C], as TensorFlow has them."""
    y = tf.conv_transpose(sizes, filters, x, strides=[1, *strides, 1], padding=padding)
    return activate(y if bias is None else op.Add(y, bias), activation)
