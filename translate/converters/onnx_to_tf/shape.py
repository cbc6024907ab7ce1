"""Shapes, what changes the shape of a tensor but not its elements, constants, and what is made from a shape."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import numpy as np
import tensorflow as tf

from translate.converters.onnx_to_tf.draws import draws
from translate.converters.onnx_to_tf.dtypes import tf_dtype
from translate.converters.onnx_to_tf.shapes import dims, entries, product, rank, vector
from translate.converters.onnx_to_tf.table import FUSED, lower
from translate.converters.operators.shape import constant

Either: TypeAlias = tf.Tensor | np.ndarray


@lower("Shape")
def shape(data: tf.Tensor, *, start: int = 0, end: int | None = None) -> Either:
    """Return the sizes of axes `start` to `end` (exclusive), a vector of int64; a host value where they are known."""
    if data.shape.rank is None:
        return tf.shape(data, out_type=tf.int64)[start:end]
    if start == 0 and (end is None or end >= data.shape.rank) and not data.shape.is_fully_defined():
        return tf.shape(data, out_type=tf.int64)
    return vector(dims(data, tf.int64)[start:end])


@lower("Size")
def size(data: tf.Tensor) -> Either:
    """Return the number of elements, an int64 scalar; a host value where it is known."""
    if data.shape.is_fully_defined():
        return np.array(data.shape.num_elements(), np.int64)
    return tf.size(data, out_type=tf.int64)


@lower("Reshape")
def reshape(data: tf.Tensor, shape: tf.Tensor | np.ndarray, *, allowzero: int = 0) -> tf.Tensor:
    """Give `data` the sizes in `shape`: -1 is what is left over; 0 keeps the size of the axis unless `allowzero`.

    Limits: a 0 that keeps a size must be known when translating, or `shape` be a vector of unknown origin.
    """
    target = entries(shape)
    if target is None:
        return tf.reshape(data, shape if allowzero else _copy_for_zero(shape, data))
    if data.shape.rank is None:
        return tf.reshape(data, shape if allowzero else _copy_for_zero(tf.convert_to_tensor(shape), data))
    source = dims(data, tf.int64)
    kept = [] if allowzero else [axis for axis, entry in enumerate(target) if isinstance(entry, int) and entry == 0]
    if -1 in _ints(target):
        rest = [size for axis, size in enumerate(source) if axis not in kept]
        others = [entry for axis, entry in enumerate(target) if axis not in kept and not _is(entry, -1)]
        # Where all else is known, so is what is left over, even if an axis that is kept is not.
        if len(_ints(rest)) == len(rest) and len(_ints(others)) == len(others) and 0 not in others:
            target = [product(rest) // product(others) if _is(entry, -1) else entry for entry in target]
    target = [source[axis] if axis in kept else entry for axis, entry in enumerate(target)]
    known = _ints(target)
    if len(known) == len(target) - 1 and all(entry > 0 for entry in known):
        # The one size that is not known follows from the others.
        target = [entry if isinstance(entry, int) else -1 for entry in target]
    return tf.reshape(data, vector(target))


def _copy_for_zero(shape: tf.Tensor, data: tf.Tensor) -> tf.Tensor:
    copied = tf.concat([tf.shape(data, out_type=shape.dtype), tf.zeros_like(shape)], 0)[: tf.size(shape)]
    result = tf.where(shape == 0, copied, shape)
    result.set_shape(shape.shape)
    return result


def _ints(entries: list[int | tf.Tensor]) -> list[int]:
    return [entry for entry in entries if isinstance(entry, int)]


def _is(entry: int | tf.Tensor, value: int) -> bool:
    return isinstance(entry, int) and entry == value


@lower("Flatten")
def flatten(input: tf.Tensor, *, axis: int = 1) -> tf.Tensor:
    """Flatten to a matrix: the axes before `axis` to the rows, the others to the columns."""
    sizes = dims(input)
    axis = axis + len(sizes) if axis < 0 else axis
    rows, columns = product(sizes[:axis]), product(sizes[axis:])
    # One size follows from the other, unless there are no elements to tell it from.
    if isinstance(columns, int) and columns > 0 and not isinstance(rows, int):
        rows = -1
    elif isinstance(rows, int) and rows > 0 and not isinstance(columns, int):
        columns = -1
    return tf.reshape(input, [rows, columns])


@lower("Squeeze")
def squeeze(data: tf.Tensor, axes: tf.Tensor | np.ndarray | None = None) -> Either:
    """Remove `axes` of size 1, or all of them."""
    single = entries(data) if data.shape.rank == 1 and data.dtype.is_integer else None
    if single is not None and len(single) == 1:
        return np.array(single[0], data.dtype.as_numpy_dtype) if isinstance(single[0], int) else single[0]
    if axes is None:
        return tf.squeeze(data)
    known = tf.get_static_value(axes)
    if known is None:
        row = _column(axes, rank(data))
        kept = tf.tensor_scatter_nd_update(tf.ones([rank(data)], tf.bool), row, tf.fill([tf.size(axes)], False))
        return tf.reshape(data, tf.boolean_mask(tf.shape(data), kept))
    return tf.squeeze(data, known.ravel().tolist()) if known.size else data


@lower("Unsqueeze")
def unsqueeze(data: tf.Tensor, axes: tf.Tensor | np.ndarray) -> tf.Tensor:
    """Insert axes of size 1, so that they are `axes` of the result."""
    known = tf.get_static_value(axes)
    if known is None:
        result_rank = rank(data) + dims(axes)[0]
        row = _column(axes, result_rank)
        new = tf.tensor_scatter_nd_update(tf.zeros([result_rank], tf.bool), row, tf.fill([tf.size(axes)], True))
        sizes = tf.pad(tf.shape(data), [[0, 1]])
        position = tf.cumsum(tf.cast(~new, tf.int32), exclusive=True)
        return tf.reshape(data, tf.where(new, 1, tf.gather(sizes, position)))
    if data.shape.rank == 0 and data.dtype.is_integer:
        return tf.reshape(tf.stack([data]), [1] * known.size) if known.size > 1 else tf.stack([data])
    result_rank = rank(data) + known.size
    for axis in sorted(axis % result_rank for axis in known.ravel().tolist()):
        data = tf.expand_dims(data, axis)
    return data


def _column(axes: tf.Tensor, rank: int | tf.Tensor) -> tf.Tensor:
    return tf.reshape(tf.math.floormod(axes, tf.cast(rank, axes.dtype)), [-1, 1])


@lower("Expand")
def expand(input: tf.Tensor, shape: tf.Tensor | np.ndarray) -> tf.Tensor:
    """Broadcast `input` and a tensor of the sizes in `shape` against each other."""
    target = entries(shape)
    if target is None or input.shape.rank is None:
        return _broadcast_both(input, shape)
    source = dims(input, tf.int64)
    length = max(len(source), len(target))
    padded = [1] * (length - len(source)) + source
    target = [1] * (length - len(target)) + target
    sizes = [_broadcast(one, other) for one, other in zip(padded, target, strict=True)]
    if None in sizes:
        y = _broadcast_both(input, vector(target))
        y.set_shape([size if isinstance(size, int) else None for size in sizes])
        return y
    if all(isinstance(size, int) for size in sizes) and sizes == input.shape.as_list():
        return input
    return tf.broadcast_to(input, vector(sizes))


def _broadcast_both(input: tf.Tensor, shape: tf.Tensor) -> tf.Tensor:
    sizes = tf.broadcast_dynamic_shape(tf.shape(input, out_type=tf.int64), tf.cast(shape, tf.int64))
    return tf.broadcast_to(input, sizes)


def _broadcast(one: int | tf.Tensor, other: int | tf.Tensor) -> int | tf.Tensor | None:
    """Return the size that two sizes broadcast to; None where that shows only when the model runs."""
    if _is(one, 1) or one is other:
        return other
    if _is(other, 1):
        return one
    # A known size that is not 1 wins: the other one has to be the same or 1.
    if isinstance(one, int):
        return one
    return other if isinstance(other, int) else None


@lower("ConstantOfShape")
def constant_of_shape(input: tf.Tensor | np.ndarray, *, value: np.ndarray | None = None) -> tf.Tensor:
    """Return a tensor with the sizes in `input`, filled with `value` (one element; float32 zero if absent)."""
    element = np.zeros([], np.float32) if value is None else value.reshape([])
    sizes = entries(input)
    return tf.fill(input if sizes is None else vector(sizes), element)


lower("Constant")(constant)


@lower("Range")
def range_(start: tf.Tensor, limit: tf.Tensor, delta: tf.Tensor, *, stash_type: Literal[1] = 1) -> tf.Tensor:
    """Return the numbers from `start` by steps of `delta` up to `limit` (exclusive), as a vector.

    Limits: half-precision ranges are computed in float32 (stash_type=1) only.
    """
    # Opset 11 allows vectors of one element.
    start, limit, delta = (tf.reshape(scalar, []) for scalar in (start, limit, delta))
    wide = {tf.int16: tf.int32, tf.float16: tf.float32, tf.bfloat16: tf.float32}.get(start.dtype, start.dtype)
    return tf.cast(tf.range(tf.cast(start, wide), tf.cast(limit, wide), tf.cast(delta, wide)), start.dtype)


@lower("EyeLike")
def eye_like(input: tf.Tensor, *, dtype: int | None = None, k: int = 0) -> tf.Tensor:
    """Return ones on the diagonal `k` and zeros elsewhere, of the shape of `input` [rows, columns]."""
    rows, columns = dims(input)
    diagonal = tf.range(rows)[:, None] + k == tf.range(columns)
    return tf.cast(diagonal, input.dtype if dtype is None else tf_dtype(dtype))


@lower("Identity")
def identity(input: list[Any] | tf.Tensor | np.ndarray) -> Any:
    """Return `input`: a tensor, a sequence or an optional."""
    return input


@lower("StopGradient", domain=FUSED)
def stop_gradient(x: tf.Tensor) -> tf.Tensor:
    """Return `x`, through which no gradient goes."""
    return tf.stop_gradient(x)


@lower("Dropout", deterministic=False)
def dropout(
    data: tf.Tensor,
    ratio: tf.Tensor | np.ndarray | None = None,
    training_mode: tf.Tensor | np.ndarray | None = None,
    *,
    seed: int | None = None,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Return `data` and a mask of ones; in training, drop elements at random and scale the others to keep the mean.

    Limits: in training, the random numbers are TensorFlow's.
    """
    known = tf.get_static_value(training_mode)
    if training_mode is None or (known is not None and not known):
        return data, tf.ones_like(data, tf.bool)
    share = tf.constant(0.5) if ratio is None else 1 - tf.convert_to_tensor(ratio)
    if known is None:
        share = tf.where(training_mode, share, tf.ones([], share.dtype))
    kept = draws().happens(tf.cast(share, tf.float32), tf.shape(data), seed)
    return tf.where(kept, data / tf.cast(share, data.dtype), tf.zeros([], data.dtype)), kept
