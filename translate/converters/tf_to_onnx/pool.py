"""Pooling."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import onnx_ir as ir

from translate.converters.tf_to_onnx.build import Host, op, rank
from translate.converters.tf_to_onnx.conv import Padding, Window, back, channels_first, onnx_padding, spatial
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
    inner = channels_first(x, data_format)
    window = Window(spatial(ksize, data_format), spatial(strides, data_format), [1] * (rank(x) - 2))
    y = op.MaxPool(
        inner,
        kernel_shape=window.kernel,
        strides=window.strides,
        **onnx_padding(padding, explicit_paddings, data_format, window, inner),
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
    inner = channels_first(x, data_format)
    window = Window(spatial(ksize, data_format), spatial(strides, data_format), [1] * (rank(x) - 2))
    y = op.AveragePool(
        inner,
        kernel_shape=window.kernel,
        strides=window.strides,
        count_include_pad=0,
        **onnx_padding(padding, (), data_format, window, inner),
    )
    return back(y, data_format)
