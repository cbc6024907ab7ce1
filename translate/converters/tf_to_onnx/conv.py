"""Convolutions: TensorFlow's `[N, *spatial, C]` between two transposes, which the layout pass cancels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import onnx_ir as ir

from translate.converters.tf_to_onnx.build import Host, cast, dims, entries, op, rank
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
    return spatial_of(sizes, data_format)


def spatial_of(sizes: Sequence[Any], data_format: str) -> list[Any]:
    """Return the spatial part of a list with one entry for each axis."""
    return list(sizes[2:] if data_format.startswith("NC") else sizes[1:-1])


@dataclass(frozen=True)
class Window:
    """How a kernel is laid over the spatial axes: each a list with one entry for each of them."""

    kernel: Sequence[int | None]
    strides: Sequence[int]
    dilations: Sequence[int]

    def extents(self) -> list[int]:
        """Return the sizes from a kernel's first to its last element. Raises `UnsupportedError` where one is open."""
        if None in self.kernel:
            raise UnsupportedError("the sizes of the kernel must be known when translating")
        return [((size or 0) - 1) * gap + 1 for size, gap in zip(self.kernel, self.dilations, strict=True)]


def onnx_padding(
    padding: Padding, explicit: Sequence[int], data_format: str, window: Window, x: ir.Value
) -> dict[str, object]:
    """Return ONNX's attributes for TensorFlow's padding of `x` [N, C, *spatial].

    SAME is worked out here where strides are 1 or sizes known, and otherwise when the model runs.
    """
    if padding == "VALID":
        return {}
    if padding == "SAME":
        totals: list[int] = []
        for size, extent, step in zip(dims(x)[2:], window.extents(), window.strides, strict=True):
            if step == 1:
                totals.append(extent - 1)
            elif size is not None:
                totals.append(max((-(-size // step) - 1) * step + extent - size, 0))
            elif max(window.dilations) > 1:
                raise UnsupportedError("padding=SAME with strides and dilations, of an open size")
            else:
                return {"auto_pad": "SAME_UPPER"}
        return {"pads": [total // 2 for total in totals] + [total - total // 2 for total in totals]}
    return {"pads": _explicit(explicit, data_format)}


def _explicit(explicit: Sequence[int], data_format: str) -> list[int]:
    """Return all low paddings of the spatial axes, then all high ones."""
    pairs = [tuple(explicit[i : i + 2]) for i in range(0, len(explicit), 2)]
    inner = pairs[2:] if data_format.startswith("NC") else pairs[1:-1]
    return [low for low, _ in inner] + [high for _, high in inner]


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
    window = _window(filters, strides, dilations, data_format)
    inner = channels_first(x, data_format)
    y = op.Conv(
        inner,
        weights,
        strides=window.strides,
        dilations=window.dilations,
        group=_groups(x, filters, data_format),
        **onnx_padding(padding, explicit_paddings, data_format, window, inner),
    )
    return back(y, data_format)


def _window(filters: ir.Value, strides: Sequence[int], dilations: Sequence[int], data_format: str) -> Window:
    count = rank(filters) - 2
    gaps = spatial(dilations, data_format) if dilations else [1] * count
    return Window(dims(filters)[:count], spatial(strides, data_format), gaps)


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
    window = _window(filters, strides, dilations, data_format)
    inner = channels_first(x, data_format)
    y = op.Conv(
        inner,
        weights,
        strides=window.strides,
        dilations=window.dilations,
        group=channels,
        **onnx_padding(padding, explicit_paddings, data_format, window, inner),
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
    window = _window(filters, strides, dilations, data_format)
    steps = window.strides
    weights = op.Transpose(filters, perm=[axes - 1, axes - 2, *range(axes - 2)])
    inner = channels_first(x, data_format)
    known = _known_spatial(sizes, data_format, axes)
    if known is not None and None not in dims(inner)[2:]:
        fixed = _fixed_padding(known, padding, explicit_paddings, data_format, dims(inner)[2:], window)
        y = op.ConvTranspose(inner, weights, strides=steps, dilations=window.dilations, **fixed)
        return back(y, data_format)
    wanted = _spatial_sizes(sizes, data_format, axes)
    full = op.ConvTranspose(
        inner,
        weights,
        strides=steps,
        dilations=window.dilations,
        # A stride longer than the kernel leaves columns that no full result reaches.
        output_padding=[step - 1 for step in steps],
    )
    low = _low_padding(padding, explicit_paddings, data_format, wanted, inner, window)
    y = op.Slice(full, low, op.Add(low, wanted), list(range(2, axes)))
    return back(y, data_format)


def _fixed_padding(
    wanted: Sequence[int],
    padding: Padding,
    explicit: Sequence[int],
    data_format: str,
    inner: Sequence[int | None],
    window: Window,
) -> dict[str, list[int]]:
    """Return what of the full result is cut off at both sides, or filled up at the high one."""
    lows, highs, more = [], [], []
    for i, (size, small, extent, step) in enumerate(zip(wanted, inner, window.extents(), window.strides, strict=True)):
        reach = ((small or 0) - 1) * step + extent
        low = {"VALID": 0, "SAME": max(reach - size, 0) // 2}.get(padding)
        low = _explicit(explicit, data_format)[i] if low is None else low
        high = reach - low - size
        lows.append(low)
        highs.append(max(high, 0))
        more.append(max(-high, 0))
    return {"pads": lows + highs, "output_padding": more}


def _known_spatial(sizes: ir.Value | Host, data_format: str, axes: int) -> list[int] | None:
    """Return the spatial part of `sizes` (all axes, or only these) where it is known."""
    numbers: list[int | None] | None = sizes.tolist() if isinstance(sizes, np.ndarray) else entries(sizes)
    if numbers is None:
        return None
    wanted = numbers if len(numbers) == axes - 2 else spatial_of(numbers, data_format)
    known = [size for size in wanted if size is not None]
    return known if len(known) == len(wanted) else None


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
    window: Window,
) -> ir.Value:
    """Return how much of the full result lies before the first element that is wanted, for each spatial axis."""
    steps, extents = window.strides, window.extents()
    if padding == "VALID":
        return op.value([0] * len(steps))
    if padding == "EXPLICIT":
        return op.value(_explicit(explicit, data_format)[: len(steps)])
    # SAME: the total is what the forward convolution needs, max((o - 1) * stride + extent - i, 0); half of it is low.
    small = op.Shape(inner, start=2)
    reach = op.Add(op.Mul(op.Sub(small, [1] * len(steps)), list(steps)), list(extents))
    total = op.Max(op.Sub(reach, wanted), [0] * len(steps))
    return op.Div(total, [2] * len(steps))
