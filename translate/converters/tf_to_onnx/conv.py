"""Convolutions: TensorFlow's `[N, *spatial, C]` between two transposes, which the layout pass cancels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import onnx_ir as ir

from translate.converters.tf_to_onnx.build import Host, cast, dims, op, rank
from translate.converters.tf_to_onnx.table import lower
from translate.errors import UnsupportedError

Padding = Literal["SAME", "VALID", "EXPLICIT"]


def channels_first(x: ir.Value, data_format: str) -> ir.Value:
    """Return `x` as `[N, C, *spatial]`."""
    if data_format.startswith("NC"):
        return x
    axes = rank(x)
    return op.Transpose(x, perm=[0, axes - 1, *range(1, axes - 1)])


def back(x: ir.Value, data_format: str) -> ir.Value:
    """Return `[N, C, *spatial]` in the axis order of `data_format`."""
    if data_format.startswith("NC"):
        return x
    return op.Transpose(x, perm=[0, *range(2, rank(x)), 1])


def spatial(sizes: Sequence[int], data_format: str) -> list[int]:
    """Return the spatial part of a list with one entry for each axis. Raises `UnsupportedError` for other strides."""
    first = data_format.startswith("NC")
    batch, channels = sizes[0], sizes[1] if first else sizes[-1]
    if (batch, channels) != (1, 1):
        raise UnsupportedError(f"{list(sizes)} is not 1 for batch and channels")
    return list(sizes[2:] if first else sizes[1:-1])


def onnx_padding(padding: Padding, explicit: Sequence[int], data_format: str) -> dict[str, object]:
    """Return ONNX's attributes for TensorFlow's padding; SAME is worked out from the sizes when the model runs."""
    if padding == "SAME":
        return {"auto_pad": "SAME_UPPER"}
    if padding == "VALID":
        return {}
    pairs = [tuple(explicit[i : i + 2]) for i in range(0, len(explicit), 2)]
    inner = pairs[2:] if data_format.startswith("NC") else pairs[1:-1]
    return {"pads": [low for low, _ in inner] + [high for _, high in inner]}


@lower("Conv2D", "Conv3D")
def conv(
    x: ir.Value,
    filters: ir.Value,
    *,
    strides: Sequence[int],
    padding: Padding,
    explicit_paddings: Sequence[int] = (),
    data_format: Literal["NHWC", "NCHW", "NDHWC", "NCDHW"] = "NHWC",
    dilations: Sequence[int] = (),
    use_cudnn_on_gpu: int = 1,
) -> ir.Value:
    """Convolve with `filters` [*kernel, C/groups, M]; the number of groups follows from the channels."""
    axes = rank(x)
    weights = op.Transpose(filters, perm=[axes - 1, axes - 2, *range(axes - 2)])
    y = op.Conv(
        channels_first(x, data_format),
        weights,
        strides=spatial(strides, data_format),
        dilations=spatial(dilations, data_format) if dilations else None,
        group=_groups(x, filters, data_format),
        **onnx_padding(padding, explicit_paddings, data_format),
    )
    return back(y, data_format)


def _groups(x: ir.Value, filters: ir.Value, data_format: str) -> int:
    channels = dims(x)[1 if data_format.startswith("NC") else -1]
    each = dims(filters)[-2]
    if channels is None or each is None:
        raise UnsupportedError("the number of channels is not known")
    return channels // each


@lower("DepthwiseConv2dNative")
def depthwise_conv(
    x: ir.Value,
    filters: ir.Value,
    *,
    strides: Sequence[int],
    padding: Padding,
    explicit_paddings: Sequence[int] = (),
    data_format: Literal["NHWC", "NCHW"] = "NHWC",
    dilations: Sequence[int] = (),
) -> ir.Value:
    """Convolve each channel with filters of its own, `filters` [H, W, C, multiplier]."""
    height, width, channels, multiplier = dims(filters)
    if channels is None or multiplier is None:
        raise UnsupportedError("the number of channels is not known")
    # [C, multiplier, H, W] → [C * multiplier, 1, H, W]
    moved = op.Transpose(filters, perm=[2, 3, 0, 1])
    weights = op.Reshape(moved, [channels * multiplier, 1, height or 0, width or 0])
    y = op.Conv(
        channels_first(x, data_format),
        weights,
        strides=spatial(strides, data_format),
        dilations=spatial(dilations, data_format) if dilations else None,
        group=channels,
        **onnx_padding(padding, explicit_paddings, data_format),
    )
    return back(y, data_format)


@lower("Conv2DBackpropInput", "Conv3DBackpropInputV2")
def conv_transpose(
    sizes: ir.Value | Host,
    filters: ir.Value,
    x: ir.Value,
    *,
    strides: Sequence[int],
    padding: Padding,
    explicit_paddings: Sequence[int] = (),
    data_format: Literal["NHWC", "NCHW", "NDHWC", "NCDHW"] = "NHWC",
    dilations: Sequence[int] = (),
    use_cudnn_on_gpu: int = 1,
) -> ir.Value:
    """The gradient of a convolution: `filters` [*kernel, M, C], `sizes` those of the result.

    By the definition of a convolution's output size `o = floor((i - k_eff + pads) / stride) + 1`, the result is what
    a full transposed convolution gives, cut at the low side by the low padding and cut or filled up to `sizes` at the
    high side. Limits: the sizes of the kernel must be known.
    """
    axes = rank(x)
    kernel = dims(filters)[: axes - 2]
    steps = spatial(strides, data_format)
    spread = spatial(dilations, data_format) if dilations else [1] * len(steps)
    if any(size is None for size in kernel):
        raise UnsupportedError("the sizes of the kernel must be known when translating")
    extents = [(size - 1) * gap + 1 for size, gap in zip((k or 0 for k in kernel), spread, strict=True)]
    weights = op.Transpose(filters, perm=[axes - 1, axes - 2, *range(axes - 2)])
    inner = channels_first(x, data_format)
    wanted = _spatial_sizes(sizes, data_format, axes)
    full = op.ConvTranspose(
        inner,
        weights,
        strides=steps,
        dilations=spread,
        # A stride longer than the kernel leaves columns that no full result reaches.
        output_padding=[step - 1 for step in steps],
    )
    low = _low_padding(padding, explicit_paddings, data_format, wanted, inner, extents, steps)
    y = op.Slice(full, low, op.Add(low, wanted), list(range(2, axes)))
    return back(y, data_format)


def _spatial_sizes(sizes: ir.Value | Host, data_format: str, axes: int) -> ir.Value:
    """Return the spatial part of `sizes` (all axes, or only these) as int64."""
    wide = op.value(sizes.astype("int64")) if not isinstance(sizes, ir.Value) else cast(sizes, ir.DataType.INT64)
    if dims(wide)[0] == axes - 2:
        return wide
    start = 2 if data_format.startswith("NC") else 1
    return op.Slice(wide, [start], [start + axes - 2], [0])


def _low_padding(
    padding: Padding,
    explicit: Sequence[int],
    data_format: str,
    wanted: ir.Value,
    inner: ir.Value,
    extents: Sequence[int],
    steps: Sequence[int],
) -> ir.Value:
    """Return how much of the full result lies before the first element that is wanted, for each spatial axis."""
    if padding == "VALID":
        return op.value([0] * len(steps))
    if padding == "EXPLICIT":
        pads = onnx_padding(padding, explicit, data_format)["pads"]
        assert isinstance(pads, list)
        return op.value(pads[: len(steps)])
    # SAME: the total is what the forward convolution needs, max((o - 1) * stride + extent - i, 0); half of it is low.
    small = op.Shape(inner, start=2)
    reach = op.Add(op.Mul(op.Sub(small, [1] * len(steps)), list(steps)), list(extents))
    total = op.Max(op.Sub(reach, wanted), [0] * len(steps))
    return op.Div(total, [2] * len(steps))
