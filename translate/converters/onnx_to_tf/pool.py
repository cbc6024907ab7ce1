"""Pools, on tensors [N, *spatial, C]."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce

import numpy as np
import tensorflow as tf

from translate.converters.lowering import Context
from translate.converters.onnx_to_tf.conv import crop
from translate.converters.onnx_to_tf.dialect import is_for_tflite
from translate.converters.onnx_to_tf.reduce import mean
from translate.converters.onnx_to_tf.shapes import dims, rank
from translate.converters.onnx_to_tf.table import CHANNELS_LAST, lower
from translate.converters.onnx_to_tf.windows import Window, spatial_rank


@lower("MaxPool", domain=CHANNELS_LAST)
def max_pool(
    x: tf.Tensor,
    *,
    auto_pad: str = "NOTSET",
    ceil_mode: int = 0,
    dilations: Sequence[int] | None = None,
    kernel_shape: Sequence[int],
    pads: Sequence[int] | None = None,
    storage_order: int = 0,
    strides: Sequence[int] | None = None,
    context: Context,
) -> tf.Tensor | tuple[tf.Tensor, tf.Tensor]:
    """Take the largest element of each window over x [N, *spatial, C]: [N, *counts, C], and where it was.

    The second output is the element's position in x, counted as if x were [N, C, *spatial].

    Limits: up to three spatial axes.
    """
    spatial = spatial_rank(x, 3)
    window = Window.over(x, kernel_shape, strides, dilations, pads, auto_pad, ceil_mode)
    if len(context.node.outputs) > 1:
        return _max_pool_with_indices(x, window, storage_order)
    if window.is_dilated or (spatial == 3 and x.dtype != tf.float32):
        return reduce(tf.maximum, (element for _, element in window.slices(window.pad(x, _lowest(x.dtype)))))
    # The gradient of tf.nn.max_pool3d is wrong on CPU: it goes to all elements within 1e-5 of a window's largest.
    return _native(tf.nn.max_pool2d, _by_planes(tf.nn.max_pool2d), x, window, _lowest(x.dtype))


def _by_planes(pool_2d: Callable[..., tf.Tensor]) -> Callable[..., tf.Tensor]:
    """Return a pool over three axes made of one over two: over the planes of x [N, D, H, W, C], then along depth."""

    def pool(x: tf.Tensor, kernel: Sequence[int], strides: Sequence[int], padding: str) -> tf.Tensor:
        batch, depth, *plane, channels = dims(x)
        planes = tf.reshape(x, [batch * depth, *plane, channels])
        planes = pool_2d(planes, kernel[1:], strides[1:], padding)
        height, width = dims(planes)[1:-1]
        columns = tf.reshape(planes, [batch, depth, height * width, channels])
        columns = pool_2d(columns, (kernel[0], 1), (strides[0], 1), padding)
        return tf.reshape(columns, [batch, dims(columns)[1], height, width, channels])

    return pool


def _lowest(dtype: tf.DType) -> float | int:
    return -np.inf if dtype.is_floating else dtype.min


def _native(
    pool_2d: Callable[..., tf.Tensor], pool_3d: Callable[..., tf.Tensor], x: tf.Tensor, window: Window, fill: float
) -> tf.Tensor:
    # Padding that the kernel leaves out (SAME) is free; padding it explicitly is nothing that XLA compiles.
    x, padding = (x, "SAME") if window.is_same else (window.pad(x, fill), "VALID")
    if len(window.kernel) == 1:
        window = window.with_unit_axis()
        return tf.squeeze(pool_2d(x[:, None], window.kernel, (1, *window.strides[1:]), padding), 1)
    pool = pool_2d if len(window.kernel) == 2 else pool_3d
    return pool(x, window.kernel, window.strides, padding)


def _max_pool_with_indices(x: tf.Tensor, window: Window, storage_order: int) -> tuple[tf.Tensor, tf.Tensor]:
    batch, *sizes, channels = (tf.cast(size, tf.int64) for size in dims(x))
    spatial = range(len(sizes))
    # The distance between neighbours along each spatial axis.
    order = reversed(spatial) if storage_order == 0 else spatial
    distance, plane = {}, tf.constant(1, tf.int64)
    for axis in order:
        distance[axis], plane = plane, plane * sizes[axis]
    positions = [tf.cast(window.positions(axis), tf.int64) for axis in spatial]

    best, where = None, tf.constant(-1, tf.int64)
    for position, element in window.slices(window.pad(x, _lowest(x.dtype))):
        here, inside = tf.constant(0, tf.int64), tf.constant(True)
        for axis in spatial:
            along = tf.reshape(positions[axis][:, position[axis]], [-1] + [1] * (len(sizes) - axis))
            here += along * distance[axis]
            inside &= (along >= 0) & (along < sizes[axis])
        better = inside if best is None else inside & ((element > best) | (where < 0))
        where = tf.where(better, here, where if best is not None else tf.constant(-1, tf.int64))
        where = tf.broadcast_to(where, tf.shape(element))
        best = element if best is None else tf.maximum(element, best)
    assert best is not None
    plane_number = tf.range(batch)[:, None] * channels + tf.range(channels)
    return best, where + plane * tf.reshape(plane_number, [batch, *[1] * len(sizes), channels])


@lower("AveragePool", domain=CHANNELS_LAST)
def average_pool(
    x: tf.Tensor,
    *,
    auto_pad: str = "NOTSET",
    ceil_mode: int = 0,
    count_include_pad: int = 0,
    dilations: Sequence[int] | None = None,
    kernel_shape: Sequence[int],
    pads: Sequence[int] | None = None,
    strides: Sequence[int] | None = None,
) -> tf.Tensor:
    """Average the elements of each window over x [N, *spatial, C]: [N, *counts, C].

    What is outside the input counts only with `count_include_pad`, and what `ceil_mode` adds behind it never.

    Limits: up to three spatial axes.
    """
    window = Window.over(x, kernel_shape, strides, dilations, pads, auto_pad, ceil_mode)
    y = _average(x, window, skip_padding=window.is_same and not count_include_pad)
    if window.is_valid or (window.is_same and not count_include_pad and _has_native_average(x, window)):
        return y
    # The average of all the window's elements, padding included, times how many there are of how many count.
    for axis, size in enumerate(window.kernel):
        factor = size / tf.maximum(tf.cast(window.elements(axis, bool(count_include_pad)), x.dtype), 1)
        if tf.get_static_value(factor) is None or not np.all(tf.get_static_value(factor) == 1):
            y *= tf.reshape(factor, [-1] + [1] * (len(window.kernel) - axis))
    return y


def _has_native_average(x: tf.Tensor, window: Window) -> bool:
    return not window.is_dilated and not (len(window.kernel) == 3 and x.dtype != tf.float32)


def _average(x: tf.Tensor, window: Window, skip_padding: bool = False) -> tf.Tensor:
    """Average all elements of each window; padding counts as zeros unless `skip_padding`, which needs SAME."""
    spatial_rank(x, 3)
    if not _has_native_average(x, window):
        elements = [element for _, element in window.slices(window.pad(x))]
        return tf.add_n(elements) / len(elements)
    if not skip_padding:
        x, window = window.pad(x), window.without_padding()
    pool_3d = _by_planes(tf.nn.avg_pool2d) if is_for_tflite() else tf.nn.avg_pool3d
    return _native(tf.nn.avg_pool2d, pool_3d, x, window, 0)


@lower("LpPool", domain=CHANNELS_LAST)
def lp_pool(
    x: tf.Tensor,
    *,
    auto_pad: str = "NOTSET",
    ceil_mode: int = 0,
    dilations: Sequence[int] | None = None,
    kernel_shape: Sequence[int],
    p: int = 2,
    pads: Sequence[int] | None = None,
    strides: Sequence[int] | None = None,
) -> tf.Tensor:
    """Take the p-norm of each window over x [N, *spatial, C]: [N, *counts, C].

    Limits: up to three spatial axes.
    """
    window = Window.over(x, kernel_shape, strides, dilations, pads, auto_pad, ceil_mode)
    total = _average(_power(x, p), window) * tf.cast(np.prod(window.kernel), x.dtype)
    return _root(total, p)


def _power(x: tf.Tensor, p: int) -> tf.Tensor:
    if p == 1:
        return tf.abs(x)
    return tf.square(x) if p == 2 else tf.pow(tf.abs(x), tf.cast(p, x.dtype))


def _root(x: tf.Tensor, p: int) -> tf.Tensor:
    if p == 1:
        return x
    return tf.sqrt(x) if p == 2 else tf.pow(x, tf.cast(1 / p, x.dtype))


def _spatial_axes(x: tf.Tensor) -> list[int]:
    return list(range(1, rank(x) - 1))


@lower("GlobalAveragePool", domain=CHANNELS_LAST)
def global_average_pool(x: tf.Tensor) -> tf.Tensor:
    """Average x [N, *spatial, C] over its spatial axes: [N, 1..., C]."""
    return mean(x, _spatial_axes(x), True)


@lower("GlobalMaxPool", domain=CHANNELS_LAST)
def global_max_pool(x: tf.Tensor) -> tf.Tensor:
    """Take the largest element of x [N, *spatial, C] over its spatial axes: [N, 1..., C]."""
    return tf.reduce_max(x, _spatial_axes(x), keepdims=True)


@lower("GlobalLpPool", domain=CHANNELS_LAST)
def global_lp_pool(x: tf.Tensor, *, p: int = 2) -> tf.Tensor:
    """Take the p-norm of x [N, *spatial, C] over its spatial axes: [N, 1..., C]."""
    return _root(tf.reduce_sum(_power(x, p), _spatial_axes(x), keepdims=True), p)


@lower("MaxUnpool", domain=CHANNELS_LAST)
def max_unpool(
    x: tf.Tensor,
    indices: tf.Tensor,
    output_shape: tf.Tensor | None = None,
    *,
    kernel_shape: Sequence[int],
    pads: Sequence[int] | None = None,
    strides: Sequence[int] | None = None,
) -> tf.Tensor:
    """Put the elements of x [N, *spatial, C] where MaxPool found them, and zeros elsewhere: [N, *larger, C].

    `indices` [N, *spatial, C] count the elements of the tensor that was pooled as if it were [N, C, *larger].
    """
    spatial = len(kernel_shape)
    strides, pads = strides or [1] * spatial, pads or [0] * (2 * spatial)
    batch, *sizes, channels = dims(x)
    larger = [
        (sizes[axis] - 1) * strides[axis] + kernel_shape[axis] - pads[axis] - pads[axis + spatial]
        for axis in range(spatial)
    ]
    plane, depth = (tf.cast(tf.reduce_prod(size), tf.int64) for size in (larger, channels))
    image, channel = indices // (plane * depth), indices // plane % depth
    # The same count for [N, *larger, C].
    places = (image * plane + indices % plane) * depth + channel
    flat = tf.scatter_nd(tf.reshape(places, [-1, 1]), tf.reshape(x, [-1]), [tf.cast(batch, tf.int64) * plane * depth])
    y = tf.reshape(flat, [batch, *larger, channels])
    if output_shape is None:
        return y
    wanted = tf.unstack(tf.cast(output_shape[2:], tf.int32), spatial)
    return crop(y, [(0, size - other) for size, other in zip(larger, wanted, strict=True)])
