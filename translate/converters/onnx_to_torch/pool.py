"""Pools, on tensors [N, C, *spatial]."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from translate.converters.lowering import Context
from translate.converters.onnx_to_torch.shapes import Size, entries, product
from translate.converters.onnx_to_torch.table import lower
from translate.converters.onnx_to_torch.tensor import pad_constant
from translate.converters.onnx_to_torch.values import record
from translate.converters.onnx_to_torch.windows import Window, spatial_rank
from translate.errors import UnsupportedError


def _max_pool1d(
    x: torch.Tensor,
    kernel: tuple[int, ...],
    strides: tuple[int, ...],
    padding: tuple[int, ...],
    dilations: tuple[int, ...],
    ceil_mode: bool,
    *,
    return_indices: bool = False,
) -> Any:
    """Pool x [N, C, T] with F.max_pool1d, or where T is open in two dimensions: torch.export fixes it in the former."""
    options: Any = {"ceil_mode": ceil_mode, "return_indices": return_indices}
    if isinstance(x.size(2), int):
        return F.max_pool1d(x, kernel, strides, padding, dilations, **options)
    flat = F.max_pool2d(x.unsqueeze(-1), (*kernel, 1), (*strides, 1), (*padding, 0), (*dilations, 1), **options)
    return tuple(part.squeeze(-1) for part in flat) if return_indices else flat.squeeze(-1)


_MAX: dict[int, Any] = {1: _max_pool1d, 2: F.max_pool2d, 3: F.max_pool3d}
_AVERAGE: dict[int, Any] = {1: F.avg_pool1d, 2: F.avg_pool2d, 3: F.avg_pool3d}


def _native(window: Window) -> tuple[int, ...] | None:
    """Return the padding that PyTorch's pools can do by themselves: both sides alike, at most half a window."""
    padding = window.symmetric
    if padding is None or any(2 * p > k for p, k in zip(padding, window.kernel, strict=True)):
        return None
    return padding


@lower("MaxPool")
def max_pool(
    x: torch.Tensor,
    *,
    auto_pad: str = "NOTSET",
    ceil_mode: int = 0,
    dilations: Sequence[int] | None = None,
    kernel_shape: Sequence[int],
    pads: Sequence[int] | None = None,
    storage_order: int = 0,
    strides: Sequence[int] | None = None,
    context: Context,
) -> torch.Tensor | tuple[torch.Tensor, torch.Tensor]:
    """Take the largest element of each window over x [N, C, *spatial]: [N, C, *counts], and where it was.

    The second output is the element's position in x.

    Limits: up to three spatial axes.
    """
    spatial = spatial_rank(x)
    window = Window.over(x, kernel_shape, strides, dilations, pads, auto_pad)
    padding = _native(window)
    with_positions = len(context.node.outputs) > 1
    dtype = x.dtype
    wide = x if dtype.is_floating_point else x.to(torch.float64)
    before: list[Size] | None = None
    if padding is None:
        wide, padding = window.pad(wide, float("-inf")), (0,) * spatial
        before = [amount for amount, _ in window.padding]
    arguments = (wide, window.kernel, window.strides, padding, window.dilations, bool(ceil_mode))
    if not with_positions:
        y = _MAX[spatial](*arguments)
        return y if y.dtype == dtype else y.to(dtype)
    y, where = _MAX[spatial](*arguments, return_indices=True)
    return y.to(dtype), _positions(where, x, wide.shape[2:], before, storage_order)


def _positions(
    where: torch.Tensor, x: torch.Tensor, padded: Sequence[Size], before: Sequence[Size] | None, storage_order: int
) -> torch.Tensor:
    """Turn positions within one plane into those within the whole of x; column by column with `storage_order`.

    The plane is one of x or, where padding comes `before` it, of sizes `padded`.
    """
    batch, channels, *sizes = x.shape
    if storage_order or before is not None:
        rest = where
        along: list[torch.Tensor] = []
        for size, amount in zip(reversed(padded), reversed(before or [0] * len(sizes)), strict=True):
            along.insert(0, torch.remainder(rest, size) - amount)
            rest = torch.div(rest, size, rounding_mode="floor")
        where, stride = torch.zeros_like(where), 1
        for axis in range(len(sizes)) if storage_order else reversed(range(len(sizes))):
            where = where + along[axis] * stride
            stride = stride * sizes[axis]
    image, plane = record(torch.arange, batch).unsqueeze(1), record(torch.arange, channels)
    start = (image * channels + plane) * product(sizes)
    return where + start.reshape([batch, channels] + [1] * len(sizes))


@lower("MaxUnpool")
def max_unpool(
    x: torch.Tensor,
    indices: torch.Tensor,
    output_shape: torch.Tensor | np.ndarray | None = None,
    *,
    kernel_shape: Sequence[int],
    pads: Sequence[int] | None = None,
    strides: Sequence[int] | None = None,
) -> torch.Tensor:
    """Put the elements of x [N, C, *spatial] where MaxPool found them, and zeros elsewhere: [N, C, *larger].

    `indices` [N, C, *spatial] count the elements of the tensor that was pooled.
    """
    spatial = len(kernel_shape)
    strides, pads = strides or [1] * spatial, pads or [0] * (2 * spatial)
    larger = [
        (x.size(axis + 2) - 1) * strides[axis] + kernel_shape[axis] - pads[axis] - pads[axis + spatial]
        for axis in range(spatial)
    ]
    plane = product(larger)
    # A plane of zeros for each channel of each image, in which positions count from its start.
    zeros = torch.zeros_like(x).flatten(2)[:, :, :1].expand([-1, -1, plane])
    flat = zeros.scatter(2, torch.remainder(indices, plane).flatten(2), x.flatten(2))
    y = torch.unflatten(flat, 2, larger)
    if output_shape is None:
        return y
    wanted = entries(output_shape)[2:]
    return pad_constant(y, [(0, 0), (0, 0), *((0, wanted[axis] - larger[axis]) for axis in range(spatial))])


@lower("AveragePool")
def average_pool(
    x: torch.Tensor,
    *,
    auto_pad: str = "NOTSET",
    ceil_mode: int = 0,
    count_include_pad: int = 0,
    dilations: Sequence[int] | None = None,
    kernel_shape: Sequence[int],
    pads: Sequence[int] | None = None,
    strides: Sequence[int] | None = None,
) -> torch.Tensor:
    """Average the elements of each window over x [N, C, *spatial]: [N, C, *counts].

    What is outside the input counts only with `count_include_pad`, and what `ceil_mode` adds behind it never.

    Limits: up to three spatial axes.
    """
    spatial = spatial_rank(x)
    window = Window.over(x, kernel_shape, strides, dilations, pads, auto_pad)
    padding = _native(window)
    if padding is not None and max(window.dilations) == 1:
        return _AVERAGE[spatial](x, window.kernel, window.strides, padding, bool(ceil_mode), bool(count_include_pad))
    axes = tuple(range(-spatial, 0))
    counted = torch.ones_like(x[:1, :1])
    counted = pad_constant(counted, [(0, 0), (0, 0), *window.padding], 1 if count_include_pad else 0)
    x, window = window.pad(x), window.without_padding()
    if ceil_mode:
        extra = _extra(x, window)
        x, counted = pad_constant(x, extra), pad_constant(counted, extra)
    return window.elements(x).sum(axes) / window.elements(counted).sum(axes)


def _extra(x: torch.Tensor, window: Window) -> list[tuple[Any, Any]]:
    """Return the padding behind x with which the last window, that reaches beyond it, is whole."""
    amounts: list[tuple[Any, Any]] = [(0, 0), (0, 0)]
    for axis, (size, stride, dilation) in enumerate(zip(window.kernel, window.strides, window.dilations, strict=True)):
        length, extent = x.size(axis + 2), (size - 1) * dilation + 1
        if not isinstance(length, int):
            raise UnsupportedError("ceil_mode with this padding needs sizes that are known")
        lacking = -(length - extent) % stride
        # A window may not begin behind the input.
        amounts.append((0, lacking if lacking < extent else 0))
    return amounts


@lower("LpPool")
def lp_pool(
    x: torch.Tensor,
    *,
    auto_pad: str = "NOTSET",
    ceil_mode: int = 0,
    dilations: Sequence[int] | None = None,
    kernel_shape: Sequence[int],
    p: int = 2,
    pads: Sequence[int] | None = None,
    strides: Sequence[int] | None = None,
) -> torch.Tensor:
    """Take the p-norm of each window over x [N, C, *spatial]: [N, C, *counts].

    Limits: up to three spatial axes.
    """
    spatial = spatial_rank(x)
    window = Window.over(x, kernel_shape, strides, dilations, pads, auto_pad)
    x, window = window.pad(x), window.without_padding()
    x = pad_constant(x, _extra(x, window)) if ceil_mode else x
    return torch.linalg.vector_norm(window.elements(x), p, tuple(range(-spatial, 0)))


def _spatial_axes(x: torch.Tensor) -> list[int]:
    return list(range(2, x.ndim))


@lower("GlobalAveragePool")
def global_average_pool(x: torch.Tensor) -> torch.Tensor:
    """Average x [N, C, *spatial] over its spatial axes: [N, C, 1...]."""
    return torch.mean(x, _spatial_axes(x), True)


@lower("GlobalMaxPool")
def global_max_pool(x: torch.Tensor) -> torch.Tensor:
    """Take the largest element of x [N, C, *spatial] over its spatial axes: [N, C, 1...]."""
    return torch.amax(x, _spatial_axes(x), True)


@lower("GlobalLpPool")
def global_lp_pool(x: torch.Tensor, *, p: int = 2) -> torch.Tensor:
    """Take the p-norm of x [N, C, *spatial] over its spatial axes: [N, C, 1...]."""
    return torch.linalg.vector_norm(x, p, _spatial_axes(x), True)
