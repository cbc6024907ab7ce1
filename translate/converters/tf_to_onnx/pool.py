"""Pooling."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import onnx_ir as ir

from translate.converters.tf_to_onnx.build import Host, op
from translate.converters.tf_to_onnx.conv import Padding, back, channels_first, onnx_padding, spatial
from translate.converters.tf_to_onnx.table import lower

Format = Literal["NHWC", "NCHW", "NDHWC", "NCDHW"]


@lower("MaxPool", "MaxPool3D")
def max_pool(
    x: ir.Value,
    *,
    ksize: Sequence[int],
    strides: Sequence[int],
    padding: Padding,
    explicit_paddings: Sequence[int] = (),
    data_format: Format = "NHWC",
) -> ir.Value:
    """The largest of each window."""
    y = op.MaxPool(
        channels_first(x, data_format),
        kernel_shape=spatial(ksize, data_format),
        strides=spatial(strides, data_format),
        **onnx_padding(padding, explicit_paddings, data_format),
    )
    return back(y, data_format)


@lower("MaxPoolV2")
def max_pool_v2(x: ir.Value, ksize: Host, strides: Host, *, padding: Padding, data_format: Format = "NHWC") -> ir.Value:
    """The largest of each window; its sizes are inputs."""
    sizes, steps = [int(size) for size in ksize], [int(step) for step in strides]
    y: ir.Value = max_pool(x, ksize=sizes, strides=steps, padding=padding, data_format=data_format)
    return y


@lower("AvgPool", "AvgPool3D")
def average_pool(
    x: ir.Value,
    *,
    ksize: Sequence[int],
    strides: Sequence[int],
    padding: Padding,
    data_format: Format = "NHWC",
) -> ir.Value:
    """The mean of each window, of what lies inside the input."""
    y = op.AveragePool(
        channels_first(x, data_format),
        kernel_shape=spatial(ksize, data_format),
        strides=spatial(strides, data_format),
        count_include_pad=0,
        **onnx_padding(padding, (), data_format),
    )
    return back(y, data_format)
