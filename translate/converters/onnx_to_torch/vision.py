"""Sampling, regions of interest and other operators on images [N, C, *spatial]."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from functools import reduce
from typing import Any, Literal, TypeAlias

import numpy as np
import torch
import torch.nn.functional as F

from translate.converters.onnx_to_torch.shapes import Size, axis_from_start, entries, product
from translate.converters.onnx_to_torch.table import lower
from translate.converters.onnx_to_torch.tensor import pad_constant
from translate.converters.onnx_to_torch.values import Value, record
from translate.converters.onnx_to_torch.widen import HALVES, widened
from translate.errors import UnsupportedError

Either: TypeAlias = torch.Tensor | np.ndarray

# For one axis, the neighbours that a sample is made of: which element, and its weight.
Taps: TypeAlias = list[tuple[torch.Tensor, torch.Tensor]]

_SAMPLING = {"linear": "bilinear", "cubic": "bicubic"}


@lower("GridSample", since=16)
@widened(*HALVES)
def grid_sample(
    x: torch.Tensor,
    grid: torch.Tensor,
    *,
    align_corners: int = 0,
    mode: Literal["linear", "nearest", "cubic", "bilinear", "bicubic"] = "linear",
    padding_mode: Literal["zeros", "border", "reflection"] = "zeros",
) -> torch.Tensor:
    """Sample x [N, C, *spatial] at grid [N, *points, axes]: [N, C, *points].

    The grid's coordinates go from -1 to 1, the last axis of x first.

    Limits: two or three spatial axes, cubic only with two.
    """
    kind = _SAMPLING.get(mode, mode)
    if not 4 <= x.ndim <= (4 if kind == "bicubic" else 5):
        raise UnsupportedError(f"{mode} sampling along {x.ndim - 2} axes is not covered")
    grid = grid if grid.dtype == x.dtype else grid.to(x.dtype)
    return F.grid_sample(x, grid, kind, padding_mode, bool(align_corners))


@lower("AffineGrid")
@widened(*HALVES)
def affine_grid(theta: torch.Tensor, size: Either, *, align_corners: int = 0) -> torch.Tensor:
    """Return where theta [N, axes, axes + 1] puts the elements of images of `size` (N, C, *spatial).

    The result is a grid for GridSample: [N, *spatial, axes].
    """
    sizes = [size[i].item() for i in range(theta.size(1) + 2)] if isinstance(size, Value) else entries(size)
    return F.affine_grid(theta, sizes, bool(align_corners))


def _linear_taps(at: torch.Tensor) -> Taps:
    low = torch.floor(at)
    first = low.to(torch.int64)
    return [(first, 1 - (at - low)), (first + 1, at - low)]


def _zero_outside(taps: Taps, size: Size) -> Taps:
    return [
        (torch.clamp(index, 0, size - 1), torch.where((index >= 0) & (index < size), weight, 0.0))
        for index, weight in taps
    ]


def _place(sizes: Sequence[Size], indices: Sequence[torch.Tensor]) -> torch.Tensor:
    """Return where in the elements of an image of `sizes`, row by row, those at `indices` are."""
    place = indices[0]
    for size, index in zip(sizes[1:], indices[1:], strict=True):
        place = place * size + index
    return place


@lower("DeformConv", since=19)
def deform_conv(
    x: torch.Tensor,
    w: torch.Tensor,
    offset: torch.Tensor,
    b: torch.Tensor | None = None,
    mask: torch.Tensor | None = None,
    *,
    dilations: Sequence[int] | None = None,
    group: int = 1,
    kernel_shape: Sequence[int] | None = None,
    offset_group: int = 1,
    pads: Sequence[int] | None = None,
    strides: Sequence[int] | None = None,
) -> torch.Tensor:
    """Convolve x [N, C, *spatial] with w [M, C/group, *kernel] at places moved by `offset`: [N, M, *counts].

    `offset` is [N, offset_group · kernel · axes, *counts], `mask` [N, offset_group · kernel, *counts] multiplies what
    is found there. After Zhu et al., "Deformable ConvNets v2", 2018.
    """
    axes = x.ndim - 2
    kernel, sizes, counts = w.shape[2:], x.shape[2:], offset.shape[2:]
    strides, dilations, pads = strides or [1] * axes, dilations or [1] * axes, pads or [0] * (2 * axes)
    elements, batch = product(kernel), x.size(0)
    # [N, offset_group, kernel, axes, *counts]
    moves = offset.reshape([batch, offset_group, elements, axes, *counts])
    taps = []
    for axis in range(axes):
        within = record(torch.arange, kernel[axis]) * dilations[axis]
        shape = [1] * axes
        shape[axis] = -1
        within = within.reshape(shape).expand(kernel).reshape([-1] + [1] * axes)
        start = record(torch.arange, counts[axis]) * strides[axis] - pads[axis]
        at = (within + start.reshape([-1] + [1] * (axes - 1 - axis))).to(x.dtype) + moves[:, :, :, axis]
        taps.append(_zero_outside(_linear_taps(at), sizes[axis]))
    # What is found: [N, offset_group, C / offset_group, kernel · counts]
    flat = x.reshape([batch, offset_group, -1, product(sizes)])
    channels = flat.size(2)
    parts = []
    for combination in itertools.product(*taps):
        place = _place(sizes, [index for index, _ in combination])
        weight = reduce(torch.mul, (weight for _, weight in combination))
        if mask is not None:
            weight = weight * mask.reshape(list(weight.shape))
        index = place.flatten(2).unsqueeze(2).expand([-1, -1, channels, -1])
        parts.append(torch.gather(flat, 3, index) * weight.flatten(2).unsqueeze(2))
    found = reduce(torch.add, parts)
    columns = found.reshape([batch, group, -1, product(counts)])
    kernels = w.reshape([group, w.size(0) // group, -1])
    y = torch.matmul(kernels, columns).reshape([batch, -1, *counts])
    return y if b is None else y + b.reshape([-1] + [1] * axes)


@lower("RoiAlign", since=16)
def roi_align(
    x: torch.Tensor,
    rois: torch.Tensor,
    batch_indices: torch.Tensor,
    *,
    coordinate_transformation_mode: Literal["half_pixel", "output_half_pixel"] = "half_pixel",
    mode: Literal["avg", "max"] = "avg",
    output_height: int = 1,
    output_width: int = 1,
    sampling_ratio: int = 0,
    spatial_scale: float = 1.0,
) -> torch.Tensor:
    """Pool samples of x [N, C, H, W] in each bin of each region: [regions, C, output_height, output_width].

    rois [regions, 4] are x1, y1, x2, y2; batch_indices [regions] say of which image. After He et al., "Mask R-CNN",
    2017.
    """
    half_pixel = coordinate_transformation_mode == "half_pixel"
    ends = rois * spatial_scale - (0.5 if half_pixel else 0.0)
    height, width = x.shape[2:]
    rows = _BinSamples(ends[:, 1], ends[:, 3], output_height, sampling_ratio, height, half_pixel)
    columns = _BinSamples(ends[:, 0], ends[:, 2], output_width, sampling_ratio, width, half_pixel)
    # [C, N · H · W], looked up at [regions, bins, samples of a bin] for the rows and for the columns.
    flat = x.transpose(0, 1).flatten(1)
    image = batch_indices.to(torch.int64).reshape([-1, 1, 1, 1, 1])
    corners = []
    for row, row_weight in rows.taps:
        for column, column_weight in columns.taps:
            place = (image * height + row[:, :, :, None, None]) * width + column[:, None, None]
            corners.append(flat[:, place] * (row_weight[:, :, :, None, None] * column_weight[:, None, None]))
    if sampling_ratio > 0:
        samples = rows.taps[0][0].size(2) * columns.taps[0][0].size(2)
        mean = mode == "avg"
        y = reduce(torch.add, corners).sum([3, 5]) / samples if mean else reduce(torch.maximum, corners).amax([3, 5])
        return y.transpose(0, 1)
    used = rows.used[:, :, :, None, None] & columns.used[:, None, None]
    count = (rows.count * columns.count)[:, None, None]
    if mode == "avg":
        y = torch.where(used, reduce(torch.add, corners), 0.0).sum([3, 5]) / torch.clamp(count, min=1)
    else:
        largest = torch.where(used, reduce(torch.maximum, corners), float("-inf")).amax([3, 5])
        y = torch.where(count > 0, largest, 0.0)
    return y.transpose(0, 1)


class _BinSamples:
    """Samples along one axis of regions: neighbours and weights [regions, bins, samples], of which `count` are used."""

    def __init__(
        self,
        begin: torch.Tensor,
        end: torch.Tensor,
        bins: int,
        sampling_ratio: int,
        size: Size,
        half_pixel: bool,
    ) -> None:
        length = end - begin if half_pixel else torch.clamp(end - begin, min=1.0)
        step = length / bins
        if sampling_ratio > 0:
            number = record(torch.arange, sampling_ratio)
            within = (number + 0.5) * (step / sampling_ratio).unsqueeze(1)
        else:
            # Each region has as many samples as elements in a bin; all get room for the most of them.
            self.count = torch.ceil(step).to(torch.int64)
            number = record(torch.arange, torch.clamp(self.count.amax(), min=1).item())
            within = (number + 0.5) * (step / torch.clamp(self.count, min=1)).unsqueeze(1)
            self.used = (number < self.count.unsqueeze(1)).unsqueeze(1).expand([-1, bins, -1])
        starts = begin.unsqueeze(1) + record(torch.arange, bins) * step.unsqueeze(1)
        at = starts.unsqueeze(2) + within.unsqueeze(1)
        inside = (at >= -1) & (at <= size)
        taps = _linear_taps(torch.clamp(at, 0, size - 1))
        self.taps = [(torch.clamp(i, 0, size - 1), torch.where(inside, weight, 0.0)) for i, weight in taps]


@lower("MaxRoiPool")
def max_roi_pool(
    x: torch.Tensor, rois: torch.Tensor, *, pooled_shape: Sequence[int], spatial_scale: float = 1.0
) -> torch.Tensor:
    """Take the largest element of x [N, C, H, W] in each bin of each region: [regions, C, *pooled_shape].

    rois [regions, 5] are image, x1, y1, x2, y2. After Girshick, "Fast R-CNN", 2015.
    """
    ends = torch.floor(rois[:, 1:] * spatial_scale + 0.5).to(torch.int64)
    y = x[rois[:, 0].to(torch.int64)]
    for axis, first in ((2, 1), (3, 0)):
        masks = _bin_masks(ends[:, first], ends[:, first + 2], pooled_shape[axis - 2], x.size(axis))
        shape = [-1, 1, x.size(2), 1] if axis == 2 else [-1, 1, 1, x.size(3)]
        largest = [torch.where(mask.reshape(shape), y, float("-inf")).amax(axis, True) for mask in masks]
        y = torch.cat(largest, axis)
    return torch.where(y == float("-inf"), 0.0, y)


def _bin_masks(begin: torch.Tensor, end: torch.Tensor, bins: int, size: Size) -> list[torch.Tensor]:
    """Say, for each bin, which of `size` elements belong to it: [regions, size]."""
    length, place = torch.clamp(end - begin + 1, min=1), record(torch.arange, size)
    return [
        (place >= (number * length // bins + begin).unsqueeze(1))
        & (place < (-(-(number + 1) * length // bins) + begin).unsqueeze(1))
        for number in range(bins)
    ]


@lower("DepthToSpace")
def depth_to_space(x: torch.Tensor, *, blocksize: int, mode: Literal["DCR", "CRD"] = "DCR") -> torch.Tensor:
    """Spread groups of channels of x [N, C, H, W] over blocks: [N, C / blocksize², H · blocksize, W · blocksize]."""
    if mode == "DCR":
        x = torch.unflatten(x, 1, (blocksize**2, -1)).transpose(1, 2).flatten(1, 2)
    return F.pixel_shuffle(x, blocksize)


@lower("SpaceToDepth")
def space_to_depth(x: torch.Tensor, *, blocksize: int) -> torch.Tensor:
    """Gather blocks of x [N, C, H, W] in channels: [N, C · blocksize², H / blocksize, W / blocksize]."""
    return torch.unflatten(F.pixel_unshuffle(x, blocksize), 1, (-1, blocksize**2)).transpose(1, 2).flatten(1, 2)


@lower("SpaceToDepth", since=28)
def space_to_depth_28(x: torch.Tensor, *, blocksize: int, mode: Literal["DCR", "CRD"] = "DCR") -> torch.Tensor:
    """Gather blocks of x [N, C, H, W] in channels, blocks before channels or after: [N, C · b², H / b, W / b]."""
    return F.pixel_unshuffle(x, blocksize) if mode == "CRD" else space_to_depth(x, blocksize=blocksize)


@lower("Col2Im")
def col2im(
    x: torch.Tensor,
    image_shape: Either,
    block_shape: Either,
    *,
    dilations: Sequence[int] | None = None,
    pads: Sequence[int] | None = None,
    strides: Sequence[int] | None = None,
) -> torch.Tensor:
    """Sum the blocks x [N, C · block, blocks] where they lie in an image: [N, C, *image_shape]."""
    images, blocks = entries(image_shape), entries(block_shape)
    axes = len(images)
    dilations, pads, strides = dilations or [1] * axes, pads or [0] * (2 * axes), strides or [1] * axes
    if axes == 2 and tuple(pads[:2]) == tuple(pads[2:]):
        return F.fold(x, tuple(images), tuple(blocks), tuple(dilations), tuple(pads[:2]), tuple(strides))
    padded = [images[i] + pads[i] + pads[i + axes] for i in range(axes)]
    place: Any = 0
    for i in range(axes):
        # The axes are those of a block, then those along which the blocks lie.
        count = (padded[i] - dilations[i] * (blocks[i] - 1) - 1) // strides[i] + 1
        within, start = record(torch.arange, blocks[i]), record(torch.arange, count)
        along = within.unsqueeze(1) * dilations[i] + start * strides[i]
        shape = [1] * (2 * axes)
        shape[i], shape[i + axes] = blocks[i], count
        place = place * padded[i] + along.reshape(shape)
    columns = x.reshape([x.size(0), -1, product(blocks) * x.size(2)])
    empty = torch.zeros_like(columns[:, :, :1]).expand([-1, -1, product(padded)])
    image = torch.unflatten(empty.index_add(2, place.flatten(), columns), 2, padded)
    return pad_constant(image, [(0, 0), (0, 0), *((-pads[i], -pads[i + axes]) for i in range(axes))])


@lower("CenterCropPad", since=18)
def center_crop_pad(x: torch.Tensor, shape: Either, *, axes: Sequence[int] | None = None) -> torch.Tensor:
    """Cut x, or surround it with zeros, evenly on both sides, to the sizes `shape` of the axes `axes`."""
    chosen = range(x.ndim) if axes is None else [axis_from_start(axis, x) for axis in axes]
    amounts: list[tuple[Size, Size]] = [(0, 0)] * x.ndim
    for axis, wanted in zip(chosen, entries(shape), strict=True):
        size = x.size(axis)
        if isinstance(size, int) and isinstance(wanted, int):
            more, less = max(wanted - size, 0), max(size - wanted, 0)
        else:
            more, less = (record(torch.sym_max, n, 0) for n in (wanted - size, size - wanted))
        # Of an odd number, the greater half is behind.
        amounts[axis] = more // 2 - less // 2, (more + 1) // 2 - (less + 1) // 2
    return pad_constant(x, amounts)
