"""Resize and Upsample, on tensors [N, *spatial, C]: one axis after the other.

Sizes, scales and regions are given in ONNX's order of axes, N, C, *spatial.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import tensorflow as tf

from translate.converters.onnx_to_tf.dialect import widest
from translate.converters.onnx_to_tf.shapes import dims, rank
from translate.converters.onnx_to_tf.table import CHANNELS_LAST, lower
from translate.converters.onnx_to_tf.windows import Size
from translate.errors import UnsupportedError


@dataclass(frozen=True)
class Axis:
    """How one axis is resized, from `size` to `wanted` elements.

    `scale` is wanted over size before rounding, and `length` is size times scale, again before rounding; with `exact`
    there is nothing to round. `region` is the normalised begin and end of what tf_crop_and_resize cuts out. `number`
    is the axis of the stored tensor.
    """

    number: int
    size: Size
    wanted: Size
    scale: float | tf.Tensor
    length: Size | float
    exact: bool = False
    region: tuple[float | tf.Tensor, float | tf.Tensor] = (0.0, 1.0)

    @property
    def is_kept(self) -> bool:
        """Whether it is known that nothing changes along this axis."""
        same = isinstance(self.wanted, int) and isinstance(self.size, int) and self.wanted == self.size
        unscaled = isinstance(self.scale, float) and self.scale == 1
        whole = not any(isinstance(end, tf.Tensor) for end in self.region) and self.region == (0.0, 1.0)
        return whole and unscaled and (same or not isinstance(self.size, int))


@lower("Resize", since=18, domain=CHANNELS_LAST)
def resize(
    x: tf.Tensor,
    roi: tf.Tensor | np.ndarray | None = None,
    scales: tf.Tensor | np.ndarray | None = None,
    sizes: tf.Tensor | np.ndarray | None = None,
    *,
    antialias: int = 0,
    axes: Sequence[int] | None = None,
    coordinate_transformation_mode: Literal[
        "half_pixel", "half_pixel_symmetric", "pytorch_half_pixel", "align_corners", "asymmetric", "tf_crop_and_resize"
    ] = "half_pixel",
    cubic_coeff_a: float = -0.75,
    exclude_outside: int = 0,
    extrapolation_value: float = 0.0,
    keep_aspect_ratio_policy: Literal["stretch", "not_larger", "not_smaller"] = "stretch",
    mode: Literal["nearest", "linear", "cubic"] = "nearest",
    nearest_mode: Literal["round_prefer_floor", "round_prefer_ceil", "floor", "ceil"] = "round_prefer_floor",
) -> tf.Tensor:
    """Resize x [N, *spatial, C] to `sizes`, or by `scales`, of the axes `axes`.

    Limits: where sizes or scales are computed when the model runs and are given for all axes, batch and channels
    must stay as they are (the model stops with an error otherwise).
    """
    transform = coordinate_transformation_mode
    region = roi if transform == "tf_crop_and_resize" else None
    resized = _axes(x, axes, scales, sizes, region, keep_aspect_ratio_policy)
    if not resized:
        return tf.identity(x)
    if mode == "linear" and not antialias and not exclude_outside and _is_native(x, resized, transform):
        return _native_linear(x, resized, transform)
    if mode == "nearest" and _is_doubling(x, resized, transform, nearest_mode):
        size = tf.stack([axis.wanted for axis in _both(x, resized)])
        return tf.raw_ops.ResizeNearestNeighbor(images=x, size=size, half_pixel_centers=transform != "asymmetric")
    y = x if mode == "nearest" else _floating(x)
    outside = []
    for axis in resized:
        at = _coordinates(axis, transform)
        if transform == "tf_crop_and_resize":
            beyond = (at < 0) | (at > tf.cast(axis.size - 1, widest()))
            outside.append(tf.reshape(beyond, _along(axis, x)))
        if mode == "nearest":
            y = tf.gather(y, _clipped(_nearest(at, nearest_mode), axis.size), axis=axis.number)
        elif antialias:
            y = _antialiased(y, axis, at, mode, cubic_coeff_a, exclude_outside)
        else:
            y = _interpolated(y, axis, at, mode, cubic_coeff_a, exclude_outside)
    y = tf.cast(y, x.dtype)
    for beyond in outside:
        y = tf.where(beyond, tf.cast(extrapolation_value, x.dtype), y)
    return y


@lower("Upsample", since=9, domain=CHANNELS_LAST)
def upsample(
    x: tf.Tensor, scales: tf.Tensor | np.ndarray, *, mode: Literal["nearest", "linear"] = "nearest"
) -> tf.Tensor:
    """Resize x [N, *spatial, C] by `scales`, counting from the corners of the first elements."""
    transform: Literal["asymmetric"] = "asymmetric"
    return resize(x, None, scales, coordinate_transformation_mode=transform, mode=mode, nearest_mode="floor")


def _axes(
    x: tf.Tensor,
    axes: Sequence[int] | None,
    scales: tf.Tensor | np.ndarray | None,
    sizes: tf.Tensor | np.ndarray | None,
    region: tf.Tensor | np.ndarray | None,
    policy: str,
) -> list[Axis]:
    """Return the axes that change, in stored numbers."""
    number_of_axes, shape = rank(x), dims(x)
    stored = [0, number_of_axes - 1, *range(1, number_of_axes - 1)]
    onnx_axes = range(number_of_axes) if axes is None else [axis % number_of_axes for axis in axes]
    numbers = [stored[axis] for axis in onnx_axes]
    scaled = scales is not None and scales.shape != (0,)
    given = scales if scaled else sizes
    if given is None:
        raise UnsupportedError("neither scales nor sizes are given")
    values = _elements(given, len(numbers))
    if axes is None and not isinstance(given, np.ndarray):
        whole = tf.cast(tf.stack([1, 1] if scaled else [shape[0], shape[-1]]), given.dtype)
        with tf.control_dependencies([tf.debugging.assert_equal(given[:2], whole, "only spatial axes can be resized")]):
            values = _elements(tf.identity(given), len(numbers))
        numbers, values = numbers[2:], values[2:]
    sizes_before = [shape[number] for number in numbers]

    if scaled:
        lengths = [_scaled(size, scale) for size, scale in zip(sizes_before, values, strict=True)]
        wanted = [_floor(length) for length in lengths]
    else:
        values, wanted = [_over(w, s) for w, s in zip(values, sizes_before, strict=True)], values
        if policy != "stretch":
            scale = _extreme(values, policy)
            values = [scale for _ in values]
            wanted = [_floor(_times(size, scale) + 0.5) for size in sizes_before]
        lengths = (
            wanted if policy == "stretch" else [_times(size, s) for size, s in zip(sizes_before, values, strict=True)]
        )
    stretched = not scaled and policy == "stretch"
    exact = [stretched or _is_whole(length) or _is_whole(scale) for length, scale in zip(lengths, values, strict=True)]
    regions = _regions(region, len(onnx_axes))[-len(numbers) :]
    every = [Axis(*row) for row in zip(numbers, sizes_before, wanted, values, lengths, exact, regions, strict=True)]
    return [axis for axis in every if not axis.is_kept]


def _elements(values: tf.Tensor | np.ndarray, count: int) -> list[Any]:
    if isinstance(values, np.ndarray):
        return [item.item() for item in values]
    wide = tf.cast(values, widest() if values.dtype.is_floating else tf.int32)
    return list(tf.unstack(wide, count))


def _regions(region: tf.Tensor | np.ndarray | None, count: int) -> list[tuple[Any, Any]]:
    if region is None:
        return [(0.0, 1.0)] * count
    ends = _elements(region, 2 * count)
    return list(zip(ends[:count], ends[count:], strict=True))


def _times(size: Size, scale: float | tf.Tensor) -> float | tf.Tensor:
    return (
        tf.cast(size, widest()) * scale if isinstance(size, tf.Tensor) or isinstance(scale, tf.Tensor) else size * scale
    )


def _scaled(size: Size, scale: float | tf.Tensor) -> float | tf.Tensor:
    """Return size * scale, rounded to float32 as everywhere else: 10 by 0.7, which float32 makes 0.69999999, is 7."""
    if isinstance(size, tf.Tensor) or isinstance(scale, tf.Tensor):
        return tf.cast(tf.cast(size, tf.float32) * tf.cast(scale, tf.float32), widest())
    return float(np.float32(size) * np.float32(scale))


def _over(wanted: Size, size: Size) -> float | tf.Tensor:
    if isinstance(wanted, int) and isinstance(size, int):
        return wanted / size
    return tf.cast(wanted, widest()) / tf.cast(size, widest())


def _floor(value: float | tf.Tensor) -> Size:
    return tf.cast(tf.floor(value), tf.int32) if isinstance(value, tf.Tensor) else int(value)


def _extreme(values: Sequence[float | tf.Tensor], policy: str) -> float | tf.Tensor:
    if not any(isinstance(value, tf.Tensor) for value in values):
        return min(values) if policy == "not_larger" else max(values)
    return tf.reduce_min(values) if policy == "not_larger" else tf.reduce_max(values)


def _unscaled(x: tf.Tensor, axis: Axis) -> tf.Tensor:
    # The quotient of two whole numbers is exact where it is whole; one by a rounded scale may come out just below.
    if axis.exact:
        return x * tf.cast(axis.size, widest()) / tf.cast(axis.wanted, widest())
    return x / axis.scale


def _coordinates(axis: Axis, transform: str) -> tf.Tensor:
    """Return where each element of the result lies in the input: float64 [wanted]."""
    x = tf.cast(tf.range(axis.wanted), widest())
    last, length = tf.cast(axis.size - 1, widest()), tf.cast(axis.length, widest())
    if transform == "asymmetric":
        return _unscaled(x, axis)
    if transform == "align_corners":
        return tf.math.divide_no_nan(x * last, length - 1)
    if transform == "tf_crop_and_resize":
        begin, end = (tf.cast(value, widest()) for value in axis.region)
        inside = tf.where(
            length == 1, (end - begin) * last / 2, tf.math.divide_no_nan(x * (end - begin) * last, length - 1)
        )
        return begin * last + inside
    if transform == "half_pixel_symmetric":
        # The middle of the input is put on the middle of the result, which may be smaller than the length.
        offset = tf.cast(axis.size, widest()) / 2 * (1 - tf.cast(axis.wanted, widest()) / length)
        return offset + _unscaled(x + 0.5, axis) - 0.5
    at = _unscaled(x + 0.5, axis) - 0.5
    return tf.where(length > 1, at, 0) if transform == "pytorch_half_pixel" else at


def _nearest(at: tf.Tensor, nearest_mode: str) -> tf.Tensor:
    rounded = {
        "round_prefer_floor": lambda: tf.math.ceil(at - 0.5),
        "round_prefer_ceil": lambda: tf.floor(at + 0.5),
        "floor": lambda: tf.floor(at),
        "ceil": lambda: tf.math.ceil(at),
    }
    return tf.cast(rounded[nearest_mode](), tf.int32)


def _clipped(index: tf.Tensor, size: Size) -> tf.Tensor:
    return tf.clip_by_value(index, 0, size - 1)


def _along(axis: Axis, x: tf.Tensor) -> list[int]:
    """Return the shape in which [wanted] broadcasts along its axis of x."""
    return [-1] + [1] * (rank(x) - 1 - axis.number)


def _floating(x: tf.Tensor) -> tf.Tensor:
    return x if x.dtype in (tf.float32, tf.float64) else tf.cast(x, tf.float32)


def cubic_weight(distance: tf.Tensor, a: float) -> tf.Tensor:
    """Keys' kernel: R. Keys, "Cubic convolution interpolation for digital image processing", 1981."""
    d = tf.abs(distance)
    near = ((a + 2) * d - (a + 3)) * d * d + 1
    far = ((a * d - 5 * a) * d + 8 * a) * d - 4 * a
    return tf.where(d <= 1, near, tf.where(d < 2, far, 0))


def _linear(distance: tf.Tensor) -> tf.Tensor:
    return tf.maximum(1 - tf.abs(distance), 0)


def _interpolated(
    y: tf.Tensor, axis: Axis, at: tf.Tensor, mode: str, cubic_coeff_a: float, exclude_outside: int
) -> tf.Tensor:
    """Sum the two or four neighbours of each coordinate with their weights."""
    neighbours = np.arange(0, 2) if mode == "linear" else np.arange(-1, 3)
    index = tf.floor(at)[:, None] + neighbours
    distance = at[:, None] - index
    weights = _linear(distance) if mode == "linear" else cubic_weight(distance, cubic_coeff_a)
    index = tf.cast(index, tf.int32)
    if exclude_outside:
        weights = _within(weights, index, axis.size)
    index, weights = _clipped(index, axis.size), tf.cast(weights, y.dtype)
    parts = [
        tf.gather(y, index[:, i], axis=axis.number) * tf.reshape(weights[:, i], _along(axis, y))
        for i in range(len(neighbours))
    ]
    return tf.add_n(parts)


def _within(weights: tf.Tensor, index: tf.Tensor, size: Size) -> tf.Tensor:
    weights = tf.where((index >= 0) & (index < size), weights, 0)
    return weights / tf.reduce_sum(weights, -1, keepdims=True)


def _antialiased(
    y: tf.Tensor, axis: Axis, at: tf.Tensor, mode: str, cubic_coeff_a: float, exclude_outside: int
) -> tf.Tensor:
    """Multiply by the matrix of all weights [wanted, size]: how many count depends on the scale."""
    shrink = tf.minimum(tf.cast(axis.scale, widest()), 1)
    reach = tf.cast(tf.math.ceil((1 if mode == "linear" else 2) / shrink), tf.int32) + 1
    index = tf.range(-reach, axis.size + reach)
    distance = (at[:, None] - tf.cast(index, widest())) * shrink
    weights = _linear(distance) if mode == "linear" else cubic_weight(distance, cubic_coeff_a)
    weights /= tf.reduce_sum(weights, -1, keepdims=True)
    if exclude_outside:
        weights = _within(weights, index, axis.size)
    # What lies outside counts as the element at the edge.
    weights = tf.transpose(tf.math.unsorted_segment_sum(tf.transpose(weights), _clipped(index, axis.size), axis.size))
    moved = tf.tensordot(tf.cast(weights, y.dtype), y, [[1], [axis.number]])
    order = list(range(1, rank(y)))
    order.insert(axis.number, 0)
    return tf.transpose(moved, order)


def _both(x: tf.Tensor, resized: Sequence[Axis]) -> list[Axis]:
    """Return the rows and the columns of x [N, H, W, C], also where one of them keeps its size."""
    changed = {axis.number: axis for axis in resized}
    return [
        changed.get(number) or Axis(number, size, size, 1.0, size)
        for number, size in ((1, dims(x)[1]), (2, dims(x)[2]))
    ]


def _is_image(x: tf.Tensor, resized: Sequence[Axis]) -> bool:
    return rank(x) == 4 and all(axis.number in (1, 2) for axis in resized)


def _is_native(x: tf.Tensor, resized: Sequence[Axis], transform: str) -> bool:
    """Whether TensorFlow's bilinear kernel computes just this: it takes the quotient of the sizes for the scale."""
    known = transform in ("half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric")
    exact = all(axis.exact for axis in resized)
    return _is_image(x, resized) and x.dtype in (tf.float32, tf.float16, tf.bfloat16) and exact and known


def _is_whole(value: float | tf.Tensor) -> bool:
    return not isinstance(value, tf.Tensor) and float(value).is_integer()


def _native_linear(x: tf.Tensor, resized: Sequence[Axis], transform: str) -> tf.Tensor:
    axes = _both(x, resized)
    if transform == "pytorch_half_pixel":
        # A single element is the first one here, where the kernel takes the middle.
        kept = [_first_if_single(axis) for axis in axes]
        x = x[:, : kept[0], : kept[1]]
    y = tf.raw_ops.ResizeBilinear(
        images=x,
        size=tf.stack([axis.wanted for axis in axes]),
        align_corners=transform == "align_corners",
        half_pixel_centers=transform.endswith("half_pixel"),
    )
    return tf.cast(y, x.dtype)


def _first_if_single(axis: Axis) -> Size | None:
    if isinstance(axis.wanted, int):
        return 1 if axis.wanted == 1 else None
    if _is_whole(axis.scale) and axis.scale > 0:
        return None
    return tf.where(axis.wanted == 1, 1, axis.size)


def _is_doubling(x: tf.Tensor, resized: Sequence[Axis], transform: str, nearest_mode: str) -> bool:
    """Whether every element is repeated 2, 4, 8 or 16 times: TensorFlow's kernel may round others wrongly."""
    if not (_is_image(x, resized) and x.dtype in (tf.float32, tf.float64, tf.float16, tf.bfloat16)):
        return False
    if not all(isinstance(axis.scale, float) and axis.scale in (2.0, 4.0, 8.0, 16.0) for axis in resized):
        return False
    if nearest_mode.startswith("round"):
        return transform in ("half_pixel", "pytorch_half_pixel")
    return transform == "asymmetric" and nearest_mode == "floor"
