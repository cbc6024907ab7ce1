"""Pooling."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import onnx_ir as ir

from translate.converters.tf_to_onnx.build import Host, cast, dims, like, op, rank
from translate.converters.tf_to_onnx.conv import Padding, Window, back, channels_first, onnx_padding, spatial
from translate.converters.tf_to_onnx.table import lower
from translate.errors import UnsupportedError

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


@lower("MaxPoolWithArgmax")
def max_pool_with_argmax(
    x: ir.Value,
    *,
    ksize: Sequence[int],
    strides: Sequence[int],
    padding: Literal["SAME", "VALID"],
    Targmax: int = int(ir.DataType.INT64),
    include_batch_in_index: int = 0,
) -> Any:
    """The largest of each window of `[N, H, W, C]`, and where it is: (y · W + x) · C + c, of its image or of all."""
    inner = channels_first(x, "NHWC")
    window = Window(spatial(ksize, "NHWC"), spatial(strides, "NHWC"), [1, 1])
    options: dict[str, Any] = onnx_padding(padding, (), "NHWC", window, inner)
    y, place = op.node("MaxPool", inner, outputs=2, kernel_shape=window.kernel, strides=window.strides, **options)
    # ONNX's place is ((n · C + c) · H + y) · W + x.
    area = op.ReduceProd(op.Shape(x, start=1, end=3), [0], keepdims=0)
    channels = op.Squeeze(op.Shape(x, start=3), [0])
    pixel, plane = op.Mod(place, area), op.Div(place, area)
    found = op.Add(op.Mul(pixel, channels), op.Mod(plane, channels))
    if include_batch_in_index:
        found = op.Add(found, op.Mul(op.Div(plane, channels), op.Mul(area, channels)))
    return back(y, "NHWC"), cast(back(found, "NHWC"), Targmax)


@lower("Dilation2D")
def dilation(
    x: ir.Value,
    filters: ir.Value,
    *,
    strides: Sequence[int],
    rates: Sequence[int],
    padding: Literal["SAME", "VALID"],
) -> ir.Value:
    """The largest sum of a window of `[N, H, W, C]` and `filters` [h, w, C]. Limits: the sizes of filters are known."""
    height, width, channels = dims(filters)
    if height is None or width is None or channels is None:
        raise UnsupportedError("the sizes of the filters are not known")
    inner = channels_first(x, "NHWC")
    window = Window([height, width], spatial(strides, "NHWC"), spatial(rates, "NHWC"))
    options: dict[str, Any] = onnx_padding(padding, (), "NHWC", window, inner)
    if "auto_pad" in options:
        raise UnsupportedError("padding=SAME with strides, of an open size")
    low_y, low_x, high_y, high_x = options.get("pads", [0, 0, 0, 0])
    padded = op.Pad(inner, [0, 0, low_y, low_x, 0, 0, high_y, high_x], like(x, float("-inf")))
    sums = []
    for row in range(height):
        for column in range(width):
            # The same pixel of every window: a pool of one pixel, moved.
            offset = row * window.dilations[0], column * window.dilations[1]
            left = [extent - 1 - start for extent, start in zip(window.extents(), offset, strict=True)]
            ends = [-size if size else 2**31 - 1 for size in left]
            part = op.Slice(padded, list(offset), ends, [2, 3], list(window.strides))
            added = op.Slice(op.Slice(filters, [row], [row + 1], [0]), [column], [column + 1], [1])
            sums.append(op.Add(part, op.Reshape(added, [1, channels, 1, 1])))
    return back(op.Max(*sums), "NHWC")


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
