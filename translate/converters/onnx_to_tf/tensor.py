"""Joining, cutting, moving, padding, sorting and selecting parts of tensors."""

from __future__ import annotations

from typing import Literal, TypeAlias

import numpy as np
import tensorflow as tf

from translate.converters.onnx_to_tf.shapes import axis_from_start, dims, entries, rank, vector
from translate.converters.onnx_to_tf.table import lower
from translate.converters.onnx_to_tf.widen import widen, widened
from translate.errors import UnsupportedError

Either: TypeAlias = tf.Tensor | np.ndarray
# "To the very end", whatever the size of the axis.
END = np.iinfo(np.int32).max


@lower("Concat")
def concat(*inputs: tf.Tensor, axis: int) -> Either:
    """Join tensors along `axis`."""
    if inputs[0].shape.rank == 1 and inputs[0].dtype.is_integer:
        parts = [entries(part) for part in inputs]
        if None not in parts:
            return vector([entry for part in parts for entry in part or []], inputs[0].dtype)
    return tf.concat(inputs, axis)


@lower("Split")
def split(
    input: tf.Tensor, split: tf.Tensor | np.ndarray | None = None, *, axis: int = 0, num_outputs: int | None = None
) -> tuple[tf.Tensor, ...]:
    """Cut along `axis` into parts of sizes `split`, or into `num_outputs` equal ones, of which the last may be smaller.

    Limits: where `split` is computed, how many sizes it holds must be known.
    """
    if split is not None:
        if split.shape[0] is None:
            raise UnsupportedError("how many parts there are shows only when the model runs")
        lengths = split.astype(np.int32) if isinstance(split, np.ndarray) else tf.cast(split, tf.int32)
        return tuple(tf.split(input, lengths, axis, num=split.shape[0]))
    if num_outputs is None:
        raise UnsupportedError("neither split nor num_outputs is given")
    size = dims(input)[axis]
    part = -(-size // num_outputs)
    if isinstance(size, int) and size % num_outputs == 0:
        return tuple(tf.split(input, num_outputs, axis))
    sizes = [part] * (num_outputs - 1) + [size - part * (num_outputs - 1)]
    return tuple(tf.split(input, vector(sizes, tf.int32), axis, num=num_outputs))


@lower("Slice")
def slice_(
    data: tf.Tensor,
    starts: tf.Tensor | np.ndarray,
    ends: tf.Tensor | np.ndarray,
    axes: tf.Tensor | np.ndarray | None = None,
    steps: tf.Tensor | np.ndarray | None = None,
) -> Either:
    """Cut the part from `starts` to `ends` (exclusive) by `steps` out of `axes`; negative counts from the end."""
    known_axes = np.arange(starts.shape[0] or 0) if axes is None else tf.get_static_value(axes)
    known_steps = np.ones(starts.shape[0] or 0, np.int64) if steps is None else tf.get_static_value(steps)
    first, last = entries(starts), entries(ends)
    if known_axes is None or known_steps is None or first is None or last is None:
        return _slice_computed(data, starts, ends, axes, steps)
    of_axis = {
        axis_from_start(int(axis), data): (start, stop, int(step))
        for axis, start, stop, step in zip(known_axes, first, last, known_steps, strict=True)
    }
    single = entries(data) if data.shape.rank == 1 and data.dtype.is_integer else None
    if single is not None and 0 in of_axis and all(isinstance(bound, int) for bound in of_axis[0][:2]):
        return vector(single[slice(*of_axis[0])], data.dtype)
    begin, end, stride, begin_mask, end_mask = [], [], [], 0, 0
    for axis in range(rank(data)):
        start, stop, step = of_axis.get(axis, (0, END, 1))
        # The masks tell TensorFlow's shape inference which bounds do not cut anything off.
        begin_mask |= (isinstance(start, int) and start == 0 and step > 0) << axis
        end_mask |= (isinstance(stop, int) and stop >= END and step > 0) << axis
        begin.append(_int32_range(start))
        end.append(_int32_range(stop))
        stride.append(step)
    if begin_mask == end_mask == 2 ** rank(data) - 1 and all(step == 1 for step in stride):
        return data
    return tf.strided_slice(data, vector(begin), vector(end), vector(stride), begin_mask, end_mask)


def _int32_range(bound: int | tf.Tensor) -> int | tf.Tensor:
    # ONNX's "to the end" is the largest integer of its type, which strided_slice may add a size to.
    return max(-END, min(END, bound)) if isinstance(bound, int) else bound


def _slice_computed(
    data: tf.Tensor, starts: Either, ends: Either, axes: Either | None, steps: Either | None
) -> tf.Tensor:
    """Slice where the axes, or how many there are, show only when the model runs."""
    starts = tf.cast(starts, tf.int64)
    axes = tf.range(tf.size(starts)) if axes is None else axes
    row = tf.reshape(tf.math.floormod(tf.cast(axes, tf.int64), rank(data)), [-1, 1])
    steps = tf.ones_like(starts) if steps is None else tf.cast(steps, tf.int64)
    begin = tf.tensor_scatter_nd_update(tf.zeros([rank(data)], tf.int64), row, starts)
    ends = tf.clip_by_value(tf.cast(ends, tf.int64), -END, END)
    end = tf.tensor_scatter_nd_update(tf.shape(data, out_type=tf.int64), row, ends)
    stride = tf.tensor_scatter_nd_update(tf.ones([rank(data)], tf.int64), row, steps)
    return tf.strided_slice(data, begin, end, stride)


@lower("Transpose")
def transpose(data: tf.Tensor, *, perm: tuple[int, ...] | None = None) -> tf.Tensor:
    """Reorder the axes: axis `i` of the result is axis `perm[i]` of `data`; without `perm`, in reverse."""
    if perm is not None and perm == tuple(range(len(perm))):
        return data
    return tf.transpose(data, perm)


@lower("Tile")
@widened(tf.uint16)
def tile(input: tf.Tensor, repeats: tf.Tensor | np.ndarray) -> tf.Tensor:
    """Repeat `input` along each axis as often as `repeats` says."""
    return tf.tile(input, repeats)


@lower("Pad")
def pad(
    data: tf.Tensor,
    pads: tf.Tensor | np.ndarray,
    constant_value: tf.Tensor | np.ndarray | None = None,
    axes: tf.Tensor | np.ndarray | None = None,
    *,
    mode: Literal["constant", "edge", "reflect", "wrap"] = "constant",
) -> tf.Tensor:
    """Pad `axes` by `pads`, all that come before and then all that come after; negative ones cut off.

    Limits: by mode="reflect", an axis whose size is not known when translating must be longer than its pads.
    """
    known = tf.get_static_value(pads)
    known_axes = np.arange(rank(data)) if axes is None else tf.get_static_value(axes)
    if known is None or known_axes is None:
        return _pad_computed(data, pads, constant_value, axes, mode)
    amounts = np.zeros([rank(data), 2], np.int64)
    amounts[known_axes] = known.reshape(2, -1).T
    kept = tuple(slice(max(0, -before), min(0, after) or None) for before, after in amounts.tolist())
    data = data[kept] if amounts.min(initial=0) < 0 else data
    amounts = amounts.clip(0)
    if not amounts.any():
        return data
    if mode == "constant":
        return _pad_constant(data, amounts, constant_value)
    sizes, padded = dims(data), np.flatnonzero(amounts.any(1)).tolist()
    if mode == "reflect" and not any(
        isinstance(sizes[axis], int) and sizes[axis] <= amounts[axis].max() for axis in padded
    ):
        return tf.pad(data, amounts, "REFLECT")
    for axis in padded:
        data = _pad_axis(data, axis, int(amounts[axis, 0]), int(amounts[axis, 1]), mode)
    return data


def _pad_constant(data: tf.Tensor, amounts: Either, value: Either | None) -> tf.Tensor:
    value = 0 if value is None else tf.reshape(value, [])
    if data.dtype == tf.string and value == 0:
        value = ""
    return tf.pad(data, amounts, constant_values=value)


def _pad_axis(data: tf.Tensor, axis: int, before: int | tf.Tensor, after: int | tf.Tensor, mode: str) -> tf.Tensor:
    """Pad one axis with elements of its own, of which there may be fewer than are added."""
    size = dims(data)[axis]
    position = tf.range(-before, size + after)
    if mode == "edge":
        position = tf.clip_by_value(position, 0, size - 1)
    elif mode == "wrap":
        position = tf.math.floormod(position, size)
    else:
        # There and back again: positions repeat with this period.
        period = tf.maximum(2 * (size - 1), 1)
        position = tf.math.floormod(position, period)
        position = tf.minimum(tf.minimum(position, period - position), size - 1)
    return tf.gather(data, position, axis=axis)


def _pad_computed(data: tf.Tensor, pads: Either, value: Either | None, axes: Either | None, mode: str) -> tf.Tensor:
    """Pad by amounts, or axes, that show only when the model runs."""
    amounts = tf.cast(tf.transpose(tf.reshape(pads, [2, -1])), tf.int32)
    if axes is not None:
        row = tf.reshape(tf.math.floormod(tf.cast(axes, tf.int32), rank(data)), [-1, 1])
        amounts = tf.tensor_scatter_nd_update(tf.zeros([rank(data), 2], tf.int32), row, amounts)
    amounts = tf.ensure_shape(amounts, [rank(data), 2])
    removed = tf.maximum(-amounts, 0)
    data = tf.strided_slice(data, removed[:, 0], tf.shape(data) - removed[:, 1])
    amounts = tf.maximum(amounts, 0)
    if mode == "constant":
        return _pad_constant(data, amounts, value)
    for axis in range(rank(data)):
        data = _pad_axis(data, axis, amounts[axis, 0], amounts[axis, 1], mode)
    return data


@lower("Trilu")
def trilu(input: tf.Tensor, k: tf.Tensor | np.ndarray | None = None, *, upper: int = 1) -> tf.Tensor:
    """Keep the upper or lower triangle of matrices [..., rows, columns], with the diagonal `k`, and zero the rest."""
    rows, columns = dims(input)[-2:]
    offset = tf.range(columns) - tf.range(rows)[:, None]
    k = tf.constant(0) if k is None else tf.cast(tf.reshape(k, []), tf.int32)
    return tf.where(offset >= k if upper else offset <= k, input, tf.zeros([], input.dtype))


@lower("ReverseSequence")
def reverse_sequence(
    input: tf.Tensor, sequence_lens: tf.Tensor, *, batch_axis: int = 1, time_axis: int = 0
) -> tf.Tensor:
    """Reverse the first `sequence_lens[b]` steps of `time_axis` for each b of `batch_axis`."""
    return tf.reverse_sequence(input, sequence_lens, seq_axis=time_axis, batch_axis=batch_axis)


@lower("Compress")
def compress(input: tf.Tensor, condition: tf.Tensor, *, axis: int | None = None) -> tf.Tensor:
    """Keep the slices along `axis` (elements if None) where `condition` holds; it may be shorter than the axis."""
    flat = input if axis is not None else tf.reshape(input, [-1])
    return tf.gather(flat, tf.where(condition)[:, 0], axis=axis or 0)


@lower("OneHot")
def one_hot(indices: tf.Tensor, depth: tf.Tensor, values: tf.Tensor, *, axis: int = -1) -> tf.Tensor:
    """Insert at `axis` an axis of size `depth` that is `values[1]` at the index and `values[0]` elsewhere.

    An index may be negative, counting from the end; outside of the axis there is no one.
    """
    depth = tf.cast(tf.reshape(depth, []), tf.int32)
    position = tf.cast(indices, tf.int64)
    position = tf.where(position < 0, position + tf.cast(depth, tf.int64), position)
    # one_hot takes -1 for the last axis only.
    axis = axis_from_start(axis, tf.expand_dims(position, 0))
    axis = axis if axis < rank(position) else -1
    return tf.one_hot(position, depth, values[1], values[0], axis=axis, dtype=values.dtype)


@lower("NonZero")
def non_zero(x: tf.Tensor) -> tf.Tensor:
    """Return the indices of the elements that are not zero, int64 [rank, count]."""
    return tf.transpose(tf.where(x != tf.zeros([], x.dtype) if x.dtype in (tf.float16, tf.string) else x))


@lower("Unique")
def unique(x: tf.Tensor, *, axis: int | None = None, sorted: int = 1) -> tuple[tf.Tensor, ...]:
    """Return the distinct slices along `axis` (elements if None), in ascending order or as they come.

    Then, each int64: the first position of each, which distinct one each slice is, and the count of each.
    Limits: text cannot be sorted.
    """
    if sorted and x.dtype == tf.string:
        raise UnsupportedError("TensorFlow cannot sort text (sorted=0 works)")
    flat = tf.reshape(x, [-1]) if axis is None else x
    axis = 0 if axis is None else axis_from_start(axis, x)
    y, which, counts = tf.raw_ops.UniqueWithCountsV2(x=flat, axis=[axis], out_idx=tf.int64)
    first = tf.math.unsorted_segment_min(tf.range(tf.size(which, tf.int64)), which, tf.size(counts, tf.int64))
    if not sorted:
        return y, first, which, counts
    order = _lexical_order(y, axis)
    rank_of = tf.math.invert_permutation(order)
    return tf.gather(y, order, axis=axis), tf.gather(first, order), tf.gather(rank_of, which), tf.gather(counts, order)


def _lexical_order(x: tf.Tensor, axis: int) -> tf.Tensor:
    """Return the positions along `axis` in the order of the slices, whose first elements count most; int64."""
    front = tf.transpose(x, [axis, *(a for a in range(rank(x)) if a != axis)])
    rows = tf.shape(front)[0]
    columns = tf.reshape(front, [rows, -1 if rank(x) > 1 else 1])
    order = tf.range(rows)

    def by_column(column: tf.Tensor, order: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        # A stable sort by the last column, then by the one before: the first has the last word.
        values = widen(tf.gather(columns[:, column], order), tf.bool)
        return column - 1, tf.gather(order, tf.argsort(values, stable=True))

    _, order = tf.while_loop(lambda column, _: column >= 0, by_column, (tf.shape(columns)[1] - 1, order))
    return tf.cast(order, tf.int64)


@lower("TopK")
def top_k(
    x: tf.Tensor, k: tf.Tensor | np.ndarray, *, axis: int = -1, largest: int = 1, sorted: int = 1
) -> tuple[tf.Tensor, tf.Tensor]:
    """Return the `k` largest or smallest elements along `axis` and their positions (int64); of equals, the first."""
    axis = axis_from_start(axis, x)
    last = rank(x) - 1
    swap = [last if a == axis else axis if a == last else a for a in range(rank(x))]
    x = transpose(x, perm=tuple(swap))
    known = entries(k)
    count = tf.reshape(k, []) if known is None else known[0]
    count = count if isinstance(count, int) else tf.cast(count, tf.int32)
    # int32, because the gradient of top_k does not know int64.
    values, positions = tf.math.top_k(x if largest else _reversed(x), count, bool(sorted))
    values = values if largest else _reversed(values)
    return transpose(values, perm=tuple(swap)), tf.cast(transpose(positions, perm=tuple(swap)), tf.int64)


def _reversed(x: tf.Tensor) -> tf.Tensor:
    """Map numbers to others of the same dtype in the opposite order, without overflow; its own inverse."""
    return tf.bitwise.invert(x) if x.dtype.is_integer else -x
