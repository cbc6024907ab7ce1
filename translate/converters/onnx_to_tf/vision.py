"""Sampling, regions of interest and other operators on images; most on tensors [N, *spatial, C]."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any, Literal

import numpy as np
import tensorflow as tf

from translate.converters.onnx_to_tf.conv import biased
from translate.converters.onnx_to_tf.resize import cubic_weight
from translate.converters.onnx_to_tf.shapes import axis_from_start, dims, rank
from translate.converters.onnx_to_tf.table import CHANNELS_LAST, lower
from translate.converters.onnx_to_tf.windows import Size

# For one axis, the neighbours that a sample is made of: which element, and its weight.
Taps = list[tuple[tf.Tensor, tf.Tensor]]


def _linear_taps(at: tf.Tensor) -> Taps:
    low = tf.floor(at)
    return [(tf.cast(low, tf.int32), 1 - (at - low)), (tf.cast(low, tf.int32) + 1, at - low)]


def _cubic_taps(at: tf.Tensor) -> Taps:
    low = tf.floor(at)
    return [(tf.cast(low, tf.int32) + i, cubic_weight(at - low - i, -0.75)) for i in (-1, 0, 1, 2)]


def _zero_outside(taps: Taps, size: Size) -> Taps:
    return [
        (tf.clip_by_value(index, 0, size - 1), tf.where((index >= 0) & (index < size), weight, 0))
        for index, weight in taps
    ]


def _gather(x: tf.Tensor, indices: Sequence[tf.Tensor]) -> tf.Tensor:
    """Return the elements [N, *points, C] of x [N, *spatial, C] at `indices`, [N, *points] for each spatial axis."""
    batch, *sizes, channels = dims(x)
    place = reduce(lambda place, pair: place * pair[0] + pair[1], zip(sizes, indices, strict=True), 0)
    return tf.gather(tf.reshape(x, [batch, reduce(lambda a, b: a * b, sizes), channels]), place, axis=1, batch_dims=1)


def _sample(x: tf.Tensor, taps: Sequence[Taps]) -> tf.Tensor:
    """Sum elements of x [N, *spatial, C] with the products of their axes' weights [N, *points]: [N, *points, C]."""
    parts = []
    for combination in itertools.product(*taps):
        weight = reduce(lambda a, b: a * b, (weight for _, weight in combination))
        element = _gather(x, [index for index, _ in combination])
        parts.append(element * tf.expand_dims(tf.cast(weight, x.dtype), -1))
    return tf.add_n(parts)


@lower("GridSample", since=16, domain=CHANNELS_LAST)
def grid_sample(
    x: tf.Tensor,
    grid: tf.Tensor,
    *,
    align_corners: int = 0,
    mode: Literal["linear", "nearest", "cubic", "bilinear", "bicubic"] = "linear",
    padding_mode: Literal["zeros", "border", "reflection"] = "zeros",
) -> tf.Tensor:
    """Sample x [N, *spatial, C] at grid [N, *points, axes]: [N, *points, C].

    The grid's coordinates go from -1 to 1, the last axis of x first.
    """
    sizes = dims(x)[1:-1]
    coordinates = tf.unstack(grid, len(sizes), axis=-1)[::-1]
    taps = []
    for size, normalised in zip(sizes, coordinates, strict=True):
        length = tf.cast(size, grid.dtype)
        first, last = (0.0, length - 1) if align_corners else (-0.5, length - 0.5)
        at = (normalised + 1) / 2 * (last - first) + first
        at = tf.round(at) if mode == "nearest" else at
        # A cubic reaches further than the borders: there it is the neighbours that are moved, one by one.
        if padding_mode == "border" and not mode.endswith("cubic"):
            at = tf.clip_by_value(at, 0.0, length - 1)
        elif padding_mode == "reflection":
            at = _reflected(at, first, last)
        taps.append(_padded_taps(_taps(at, mode), size, padding_mode, first, last))
    return _sample(x, taps)


def _taps(at: tf.Tensor, mode: str) -> Taps:
    if mode == "nearest":
        return [(tf.cast(at, tf.int32), tf.ones_like(at))]
    return _cubic_taps(at) if mode.endswith("cubic") else _linear_taps(at)


def _padded_taps(taps: Taps, size: Size, padding_mode: str, first: Any, last: Any) -> Taps:
    if padding_mode == "zeros":
        return _zero_outside(taps, size)
    if padding_mode == "reflection":
        taps = [(tf.cast(_reflected(tf.cast(i, w.dtype), first, last), tf.int32), w) for i, w in taps]
    return [(tf.clip_by_value(index, 0, size - 1), weight) for index, weight in taps]


def _reflected(at: tf.Tensor, first: Any, last: Any) -> tf.Tensor:
    """Fold `at` back at the borders `first` and `last` until it lies between them."""
    span = last - first
    beyond = tf.abs(at - first)
    turns = tf.floor(tf.math.divide_no_nan(beyond, tf.cast(span, at.dtype)))
    rest = beyond - turns * span
    return tf.clip_by_value(tf.where(turns % 2 == 0, first + rest, last - rest), first, last)


@lower("AffineGrid")
def affine_grid(theta: tf.Tensor, size: tf.Tensor | np.ndarray, *, align_corners: int = 0) -> tf.Tensor:
    """Return where theta [N, axes, axes + 1] puts the elements of images of `size` (N, C, *spatial).

    The result is a grid for GridSample: [N, *spatial, axes].
    """
    axes = dims(theta)[1]
    sizes = [int(n) for n in size[2:]] if isinstance(size, np.ndarray) else tf.unstack(size[2:], axes)
    lines = []
    for number in sizes:
        length = tf.cast(number, theta.dtype)
        steps = tf.cast(tf.range(number), theta.dtype)
        # The middles of the elements, or with align_corners from border to border.
        lines.append(steps * 2 / (length - 1) - 1 if align_corners else (steps * 2 + 1) / length - 1)
    points = tf.meshgrid(*lines, indexing="ij")[::-1]
    homogeneous = tf.stack([*points, tf.ones_like(points[0])], -1)
    moved = tf.tensordot(homogeneous, theta, [[-1], [-1]])
    return tf.transpose(moved, [axes, *range(axes), axes + 1])


@lower("DeformConv", since=19, domain=CHANNELS_LAST)
def deform_conv(
    x: tf.Tensor,
    w: tf.Tensor,
    offset: tf.Tensor,
    b: tf.Tensor | None = None,
    mask: tf.Tensor | None = None,
    *,
    dilations: Sequence[int] | None = None,
    group: int = 1,
    kernel_shape: Sequence[int] | None = None,
    offset_group: int = 1,
    pads: Sequence[int] | None = None,
    strides: Sequence[int] | None = None,
) -> tf.Tensor:
    """Convolve x [N, *spatial, C] with w [*kernel, C/group, M] at places moved by `offset`: [N, *counts, M].

    `offset` is [N, *counts, offset_group · kernel · axes], `mask` [N, *counts, offset_group · kernel] multiplies what
    is found there. After Zhu et al., "Deformable ConvNets v2", 2018.
    """
    axes = rank(x) - 2
    kernel, sizes, counts = dims(w)[:axes], dims(x)[1:-1], dims(offset)[1:-1]
    strides, dilations, pads = strides or [1] * axes, dilations or [1] * axes, pads or [0] * (2 * axes)
    elements = reduce(lambda a, k: a * k, kernel)
    batch, channels = dims(x)[0], dims(w)[-2] * group
    moves = tf.reshape(offset, [batch, *counts, offset_group, elements, axes])
    places = tf.meshgrid(*(tf.range(k) * d for k, d in zip(kernel, dilations, strict=True)), indexing="ij")
    taps: list[Taps] = []
    for axis in range(axes):
        start = tf.reshape(tf.range(counts[axis]) * strides[axis] - pads[axis], [-1] + [1] * (axes - axis + 1))
        fixed = start + tf.reshape(places[axis], [-1])
        taps.append(_zero_outside(_linear_taps(tf.cast(fixed, x.dtype) + moves[..., axis]), sizes[axis]))
    sampled = []
    for number, part in enumerate(tf.split(x, offset_group, -1)):
        one = [[(i[..., number, :], weight[..., number, :]) for i, weight in axis_taps] for axis_taps in taps]
        values = _sample(part, one)
        if mask is not None:
            values *= tf.reshape(mask, [batch, *counts, offset_group, elements])[..., number, :, None]
        sampled.append(values)
    columns = tf.split(tf.concat(sampled, -1), group, -1)
    kernels = tf.split(tf.reshape(w, [elements, channels // group, dims(w)[-1]]), group, -1)
    parts = [tf.tensordot(column, k, [[-2, -1], [0, 1]]) for column, k in zip(columns, kernels, strict=True)]
    return biased(tf.concat(parts, -1), b)


@lower("RoiAlign", since=16, domain=CHANNELS_LAST)
def roi_align(
    x: tf.Tensor,
    rois: tf.Tensor,
    batch_indices: tf.Tensor,
    *,
    coordinate_transformation_mode: Literal["half_pixel", "output_half_pixel"] = "half_pixel",
    mode: Literal["avg", "max"] = "avg",
    output_height: int = 1,
    output_width: int = 1,
    sampling_ratio: int = 0,
    spatial_scale: float = 1.0,
) -> tf.Tensor:
    """Pool samples of x [N, H, W, C] in each bin of each region: [regions, output_height, output_width, C].

    rois [regions, 4] are x1, y1, x2, y2; batch_indices [regions] say of which image. After He et al., "Mask R-CNN",
    2017.
    """
    half_pixel = coordinate_transformation_mode == "half_pixel"
    ends = rois * spatial_scale - (0.5 if half_pixel else 0.0)
    height, width = dims(x)[1:3]
    rows = _bin_samples(ends[:, 1], ends[:, 3], output_height, sampling_ratio, height, half_pixel)
    columns = _bin_samples(ends[:, 0], ends[:, 2], output_width, sampling_ratio, width, half_pixel)
    # [regions, 1, bins, samples of a bin, 1, 1] and [regions, 1, 1, bins, samples of a bin]
    image = tf.cast(batch_indices, tf.int32)[:, None, None, None, None]
    corners = []
    for row, row_weight in rows.taps:
        for column, column_weight in columns.taps:
            place = (image * height + row[:, :, :, None, None]) * width + column[:, None, None]
            element = tf.gather(tf.reshape(x, [-1, dims(x)[-1]]), place)
            corners.append(element * (row_weight[:, :, :, None, None] * column_weight[:, None, None])[..., None])
    used = (rows.used[:, None, :, None, None] & columns.used[:, None, None, None])[..., None]
    if mode == "avg":
        total = tf.reduce_sum(tf.where(used, tf.add_n(corners), 0), [2, 4])
        return total / tf.cast(tf.maximum(rows.count * columns.count, 1), x.dtype)[:, None, None, None]
    largest = tf.reduce_max(tf.where(used, reduce(tf.maximum, corners), x.dtype.min), [2, 4])
    return tf.where((rows.count * columns.count > 0)[:, None, None, None], largest, 0)


class _BinSamples:
    """Samples along one axis of regions: neighbours and weights [regions, bins, samples], of which `count` are used."""

    def __init__(self, taps: Taps, used: tf.Tensor, count: tf.Tensor) -> None:
        self.taps, self.used, self.count = taps, used, count


def _bin_samples(
    begin: tf.Tensor, end: tf.Tensor, bins: int, sampling_ratio: int, size: Size, half_pixel: bool
) -> _BinSamples:
    length = end - begin if half_pixel else tf.maximum(end - begin, 1.0)
    step = length / bins
    # Without a ratio each region has as many samples as elements in a bin; all get room for the most of them.
    count = tf.fill(tf.shape(begin), sampling_ratio) if sampling_ratio > 0 else _ceil_quotient(length, bins)
    most = sampling_ratio if sampling_ratio > 0 else tf.maximum(tf.reduce_max(count), 1)
    number = tf.range(most)
    within = (tf.cast(number, begin.dtype) + 0.5) * (step / tf.cast(tf.maximum(count, 1), begin.dtype))[:, None]
    at = (begin[:, None] + tf.range(bins, dtype=begin.dtype) * step[:, None])[..., None] + within[:, None]
    inside = (at >= -1) & (at <= tf.cast(size, at.dtype))
    taps = _linear_taps(tf.clip_by_value(at, 0, tf.cast(size - 1, at.dtype)))
    taps = [(tf.clip_by_value(index, 0, size - 1), tf.where(inside, weight, 0)) for index, weight in taps]
    return _BinSamples(taps, number < count[:, None], count)


def _ceil_quotient(x: tf.Tensor, divisor: int) -> tf.Tensor:
    # Grappler multiplies by 1 / divisor instead, which may come out just above a whole number.
    above = tf.cast(tf.math.ceil(x / divisor), tf.int32)
    return tf.where(tf.cast((above - 1) * divisor, x.dtype) >= x, above - 1, above)


@lower("MaxRoiPool", domain=CHANNELS_LAST)
def max_roi_pool(
    x: tf.Tensor, rois: tf.Tensor, *, pooled_shape: Sequence[int], spatial_scale: float = 1.0
) -> tf.Tensor:
    """Take the largest element of x [N, H, W, C] in each bin of each region: [regions, *pooled_shape, C].

    rois [regions, 5] are image, x1, y1, x2, y2. After Girshick, "Fast R-CNN", 2015.
    """
    ends = tf.floor(rois[:, 1:] * spatial_scale + 0.5)
    y = tf.gather(x, tf.cast(rois[:, 0], tf.int32))
    for axis, first in ((1, 1), (2, 0)):
        masks = _bin_masks(ends[:, first], ends[:, first + 2], pooled_shape[axis - 1], dims(x)[axis])
        shape = [-1, dims(x)[1], 1, 1] if axis == 1 else [-1, 1, dims(x)[2], 1]
        largest = [
            tf.reduce_max(tf.where(tf.reshape(mask, shape), y, x.dtype.min), axis, keepdims=True) for mask in masks
        ]
        y = tf.concat(largest, axis)
    return tf.where(y == x.dtype.min, tf.zeros_like(y), y)


def _bin_masks(begin: tf.Tensor, end: tf.Tensor, bins: int, size: Size) -> list[tf.Tensor]:
    """Say, for each bin, which of `size` elements belong to it: [regions, size]."""
    begin, end = tf.cast(begin, tf.int32), tf.cast(end, tf.int32)
    length, place = tf.maximum(end - begin + 1, 1), tf.range(size)
    return [
        (place >= (number * length // bins + begin)[:, None])
        & (place < (-(-(number + 1) * length // bins) + begin)[:, None])
        for number in range(bins)
    ]


@lower("DepthToSpace", domain=CHANNELS_LAST)
def depth_to_space(x: tf.Tensor, *, blocksize: int, mode: Literal["DCR", "CRD"] = "DCR") -> tf.Tensor:
    """Spread groups of channels of x [N, H, W, C] over blocks: [N, H · blocksize, W · blocksize, C / blocksize²]."""
    if mode == "DCR":
        return tf.nn.depth_to_space(x, blocksize)
    batch, height, width, channels = dims(x)
    blocks = tf.reshape(x, [batch, height, width, channels // blocksize**2, blocksize, blocksize])
    blocks = tf.transpose(blocks, [0, 1, 4, 2, 5, 3])
    return tf.reshape(blocks, [batch, height * blocksize, width * blocksize, channels // blocksize**2])


@lower("SpaceToDepth", domain=CHANNELS_LAST)
def space_to_depth(x: tf.Tensor, *, blocksize: int) -> tf.Tensor:
    """Gather blocks of x [N, H, W, C] in channels: [N, H / blocksize, W / blocksize, C · blocksize²]."""
    return tf.nn.space_to_depth(x, blocksize)


@lower("SpaceToDepth", since=28, domain=CHANNELS_LAST)
def space_to_depth_28(x: tf.Tensor, *, blocksize: int, mode: Literal["DCR", "CRD"] = "DCR") -> tf.Tensor:
    """Gather blocks of x [N, H, W, C] in channels, blocks before channels or after: [N, H / b, W / b, C · b²]."""
    if mode == "DCR":
        return tf.nn.space_to_depth(x, blocksize)
    batch, height, width, channels = dims(x)
    rows, columns = height // blocksize, width // blocksize
    blocks = tf.transpose(tf.reshape(x, [batch, rows, blocksize, columns, blocksize, channels]), [0, 1, 3, 5, 2, 4])
    return tf.reshape(blocks, [batch, rows, columns, channels * blocksize**2])


@lower("Col2Im")
def col2im(
    x: tf.Tensor,
    image_shape: tf.Tensor,
    block_shape: tf.Tensor,
    *,
    dilations: Sequence[int] | None = None,
    pads: Sequence[int] | None = None,
    strides: Sequence[int] | None = None,
) -> tf.Tensor:
    """Sum the blocks x [N, C · block, blocks] where they lie in an image: [N, C, *image_shape]."""
    axes = dims(image_shape)[0]
    dilations, pads, strides = dilations or [1] * axes, pads or [0] * (2 * axes), strides or [1] * axes
    images, blocks = (tf.unstack(tf.cast(shape, tf.int32), axes) for shape in (image_shape, block_shape))
    padded = [images[i] + pads[i] + pads[i + axes] for i in range(axes)]
    counts = [(padded[i] - dilations[i] * (blocks[i] - 1) - 1) // strides[i] + 1 for i in range(axes)]
    place = tf.zeros([1] * (2 * axes), tf.int32)
    for i in range(axes):
        # The axes are those of a block, then those along which the blocks lie.
        along = tf.range(blocks[i])[:, None] * dilations[i] + tf.range(counts[i]) * strides[i]
        shape = [1] * (2 * axes)
        shape[i], shape[i + axes] = blocks[i], counts[i]
        place = place * padded[i] + tf.reshape(along, shape)
    batch, size = dims(x)[0], tf.reduce_prod(padded)
    columns = tf.reshape(x, [batch, -1, tf.size(place)])
    channels = dims(columns)[1]
    flat = tf.transpose(columns, [2, 0, 1])
    summed = tf.math.unsorted_segment_sum(flat, tf.reshape(place, [-1]), size)
    image = tf.reshape(tf.transpose(summed, [1, 2, 0]), [batch, channels, *padded])
    inner = (slice(pads[i], padded[i] - pads[i + axes]) for i in range(axes))
    return image[(slice(None), slice(None), *inner)]


@lower("CenterCropPad", since=18)
def center_crop_pad(x: tf.Tensor, shape: tf.Tensor | np.ndarray, *, axes: Sequence[int] | None = None) -> tf.Tensor:
    """Cut x, or surround it with zeros, evenly on both sides, to the sizes `shape` of the axes `axes`."""
    chosen = range(rank(x)) if axes is None else [axis_from_start(axis, x) for axis in axes]
    wanted = shape.tolist() if isinstance(shape, np.ndarray) else tf.unstack(tf.cast(shape, tf.int32), len(chosen))
    cuts: list[Any] = [slice(None)] * rank(x)
    padding: list[tuple[Size, Size]] = [(0, 0)] * rank(x)
    for axis, target in zip(chosen, wanted, strict=True):
        size = dims(x)[axis]
        known = isinstance(size, int) and isinstance(target, int)
        most: Callable[[Any, Any], Any] = max if known else tf.maximum
        less, more = most(size - target, 0), most(target - size, 0)
        cuts[axis] = slice(less // 2, size - (less - less // 2))
        padding[axis] = (more // 2, more - more // 2)
    return tf.pad(x[tuple(cuts)], padding)


@lower("ImageDecoder", since=20)
def image_decoder(encoded: tf.Tensor, *, pixel_format: Literal["RGB", "BGR", "Grayscale"] = "RGB") -> tf.Tensor:
    """Decode the bytes [length] of an image file: uint8 [H, W, 3], or [H, W, 1] for Grayscale.

    Limits: JPEG, PNG, BMP and GIF files; others (TIFF, JPEG 2000, WebP, PNM) cannot be decoded.
    """
    # TensorFlow has no operator from numbers to bytes.
    letters = tf.constant([bytes([number]) for number in range(256)])
    content = tf.strings.reduce_join(tf.gather(letters, tf.cast(encoded, tf.int32)))
    # One operator knows the exact inverse cosine transform (the other's default is a fast one), and one knows BMP.
    image = tf.cond(
        tf.strings.substr(content, 0, 2) == b"BM",
        lambda: tf.io.decode_bmp(content, channels=3),
        lambda: tf.io.decode_jpeg(content, channels=3, dct_method="INTEGER_ACCURATE"),
    )
    if pixel_format == "Grayscale":
        # The weights of ITU-R 601-2.
        return tf.cast(tf.round(tf.tensordot(tf.cast(image, tf.float32), [[0.299], [0.587], [0.114]], 1)), tf.uint8)
    return image[..., ::-1] if pixel_format == "BGR" else image
