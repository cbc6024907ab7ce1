"""Slices, and reading and writing by numbers of elements."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx_ir as ir

from translate.converters.tf_to_onnx.build import Host, cast, dims, like, op, rank
from translate.converters.tf_to_onnx.table import lower
from translate.errors import UnsupportedError

# Beyond every size: the end of a slice that goes to the end.
_LAST = 2**31 - 1


@lower("Slice")
def slice_(x: ir.Value, begin: ir.Value | Host, size: ir.Value | Host) -> ir.Value:
    """A block of the given sizes; -1 is all that follows."""
    count = rank(x)
    starts, ends = [], []
    for i in range(count):
        low, length = _element(begin, i), _element(size, i)
        if isinstance(length, int):
            high = _LAST if length == -1 else low + length if isinstance(low, int) else op.Add(low, [length])
        else:
            high = op.Where(op.Equal(length, [-1]), [_LAST], op.Add(length, [low] if isinstance(low, int) else low))
        starts.append(low)
        ends.append(high)
    return op.Slice(x, _vector(starts), _vector(ends), list(range(count)))


@lower("StridedSlice")
def strided_slice(
    x: ir.Value,
    begin: ir.Value | Host,
    end: ir.Value | Host,
    strides: Host,
    *,
    begin_mask: int = 0,
    end_mask: int = 0,
    ellipsis_mask: int = 0,
    new_axis_mask: int = 0,
    shrink_axis_mask: int = 0,
) -> Any:
    """Python's slicing: ranges, single indices, an ellipsis and new axes, each a bit in its mask."""
    if shrink_axis_mask == len(strides) == 1 and isinstance(begin, np.ndarray):
        known = _known_size(x, int(begin[0]))
        if known is not None:
            return known
    count = len(strides)
    added = sum(1 for i in range(count) if new_axis_mask >> i & 1)
    # What an ellipsis stands for; without one, it is as if there were one at the end.
    hidden = rank(x) - (count - added - (1 if ellipsis_mask else 0))
    ranges: list[tuple[int, Any, Any, int]] = []
    squeeze, unsqueeze = [], []
    axis = out = 0
    for i in range(count):
        if ellipsis_mask >> i & 1:
            axis, out = axis + hidden, out + hidden
            continue
        if new_axis_mask >> i & 1:
            unsqueeze.append(out)
            out += 1
            continue
        low, high, step = _element(begin, i), _element(end, i), int(strides[i])
        if shrink_axis_mask >> i & 1:
            squeeze.append(axis)
            out -= 1
            if isinstance(low, int):
                ranges.append((axis, low, _LAST if low == -1 else low + 1, 1))
            else:
                # Not a slice: that between two computed ends has no size that is known before it is run.
                x = op.Gather(x, low, axis=axis)
        else:
            low = low if not begin_mask >> i & 1 else 0 if step > 0 else _LAST
            high = high if not end_mask >> i & 1 else _LAST if step > 0 else -_LAST
            ranges.append((axis, low, high, step))
        axis, out = axis + 1, out + 1
    ranges = [found for found in ranges if found[1:] != (0, _LAST, 1)]
    if ranges:
        axes, lows, highs, steps = zip(*ranges, strict=True)
        x = op.Slice(x, _vector(lows), _vector(highs), list(axes), list(steps))
    x = op.Squeeze(x, squeeze) if squeeze else x
    return op.Unsqueeze(x, unsqueeze) if unsqueeze else x


@lower("GatherV2")
def gather(x: ir.Value, indices: ir.Value, axis: Host, *, batch_dims: int = 0) -> ir.Value:
    """Take slices by their numbers."""
    if batch_dims == 0:
        return op.Gather(x, indices, axis=int(axis.item()))
    along = int(axis.item()) % rank(x)
    if along == batch_dims and rank(indices) >= batch_dims:
        return op.GatherND(x, op.Unsqueeze(cast(indices, ir.DataType.INT64), [-1]), batch_dims=batch_dims)
    # [*batch, *before, size, *after] → [*batch, size, *before, *after], and back.
    before, after, each = along - batch_dims, rank(x) - along - 1, rank(indices) - batch_dims
    batch = list(range(batch_dims))
    moved = op.Transpose(x, perm=[*batch, along, *range(batch_dims, along), *range(along + 1, rank(x))])
    y = op.GatherND(moved, op.Unsqueeze(cast(indices, ir.DataType.INT64), [-1]), batch_dims=batch_dims)
    first = batch_dims + each
    order = [*batch, *range(first, first + before), *range(batch_dims, first)]
    return op.Transpose(y, perm=[*order, *range(first + before, first + before + after)])


@lower("Gather", "ResourceGather")
def gather_v1(
    x: ir.Value, indices: ir.Value, *, batch_dims: int = 0, validate_indices: int = 1, dtype: int = 0
) -> ir.Value:
    """Take slices of the first axis by their numbers."""
    if batch_dims:
        raise UnsupportedError(f"batch_dims={batch_dims}")
    return op.Gather(x, indices, axis=0)


@lower("GatherNd", "ResourceGatherNd")
def gather_nd(x: ir.Value, indices: ir.Value, *, dtype: int = 0, bad_indices_policy: str = "") -> ir.Value:
    """Take slices by the coordinates in the last axis of `indices`."""
    return op.GatherND(x, cast(indices, ir.DataType.INT64))


@lower("ScatterNd")
def scatter_nd(indices: ir.Value, updates: ir.Value, shape: ir.Value, *, bad_indices_policy: str = "") -> ir.Value:
    """Zeros with slices added by their coordinates."""
    empty = op.Expand(like(updates, 0), cast(shape, ir.DataType.INT64))
    return op.ScatterND(empty, cast(indices, ir.DataType.INT64), updates, reduction="add")


@lower("TensorScatterUpdate")
def scatter_update(x: ir.Value, indices: ir.Value, updates: ir.Value, *, bad_indices_policy: str = "") -> ir.Value:
    """Replace slices by their coordinates."""
    return op.ScatterND(x, cast(indices, ir.DataType.INT64), updates)


@lower("TensorScatterSub")
def scatter_sub(x: ir.Value, indices: ir.Value, updates: ir.Value, *, bad_indices_policy: str = "") -> ir.Value:
    """Subtract from slices by their coordinates."""
    return op.ScatterND(x, cast(indices, ir.DataType.INT64), op.Neg(updates), reduction="add")


@lower("TensorScatterMax")
def scatter_max(x: ir.Value, indices: ir.Value, updates: ir.Value, *, bad_indices_policy: str = "") -> ir.Value:
    """The larger of slices and updates by their coordinates."""
    return op.ScatterND(x, cast(indices, ir.DataType.INT64), updates, reduction="max")


@lower("TensorScatterMin")
def scatter_min(x: ir.Value, indices: ir.Value, updates: ir.Value, *, bad_indices_policy: str = "") -> ir.Value:
    """The smaller of slices and updates by their coordinates."""
    return op.ScatterND(x, cast(indices, ir.DataType.INT64), updates, reduction="min")


@lower("TensorScatterAdd")
def scatter_add(x: ir.Value, indices: ir.Value, updates: ir.Value, *, bad_indices_policy: str = "") -> ir.Value:
    """Add to slices by their coordinates."""
    return op.ScatterND(x, cast(indices, ir.DataType.INT64), updates, reduction="add")


@lower("Where")
def where(condition: ir.Value) -> ir.Value:
    """The coordinates of what is not zero, one row for each."""
    return op.Transpose(op.NonZero(condition), perm=[1, 0])


@lower("OneHot")
def one_hot(indices: ir.Value, depth: ir.Value, on: ir.Value, off: ir.Value, *, axis: int = -1) -> ir.Value:
    """A new axis with `on` at the index and `off` elsewhere; everywhere `off` for an index out of range."""
    wide = cast(indices, ir.DataType.INT64)
    # ONNX counts negative indices from the end.
    beyond = op.Where(op.Less(wide, np.int64(0)), cast(depth, ir.DataType.INT64), wide)
    values = op.Concat(op.Unsqueeze(off, [0]), op.Unsqueeze(on, [0]), axis=0)
    return op.OneHot(beyond, cast(depth, ir.DataType.INT64), values, axis=axis)


def _element(vector: ir.Value | Host, index: int) -> ir.Value | int:
    """Return one element of a vector: the number where it is known, else int64 [1]."""
    if isinstance(vector, np.ndarray):
        return int(vector[index])
    return cast(op.Slice(vector, [index], [index + 1], [0]), ir.DataType.INT64)


def _known_size(x: ir.Value, index: int) -> Host | None:
    """Return element `index` of `x` where it is a size that is known, and `x` the shape of a tensor."""
    node, dtype = x.producer(), x.dtype
    while node is not None and node.op_type == "Cast":
        node = None if node.inputs[0] is None else node.inputs[0].producer()
    if node is None or node.op_type != "Shape" or node.attributes or node.inputs[0] is None or dtype is None:
        return None
    size = dims(node.inputs[0])[index]
    return None if size is None else np.asarray(size, dtype.numpy())


def _vector(elements: Sequence[ir.Value | int]) -> Any:
    """Join elements (numbers or int64 [1]) to a vector; a list of numbers where all are known."""
    if all(isinstance(element, int) for element in elements):
        return list(elements)
    return op.Concat(*([element] if isinstance(element, int) else element for element in elements), axis=0)


@lower("InvertPermutation")
def invert_permutation(x: ir.Value) -> ir.Value:
    """Where each number stands."""
    wide = cast(x, ir.DataType.INT64)
    places = op.Range(np.int64(0), op.Squeeze(op.Shape(x), [0]), np.int64(1))
    assert x.dtype is not None
    return cast(op.ScatterElements(places, wide, places, axis=0), x.dtype)


@lower("DynamicPartition")
def dynamic_partition(x: ir.Value, partitions: ir.Value, *, num_partitions: int) -> Any:
    """The slices of each number. Limits: numbers of one axis."""
    if rank(partitions) != 1:
        raise UnsupportedError("partitions with more than one axis")
    return tuple(op.Compress(x, op.Equal(partitions, np.int32(place)), axis=0) for place in range(num_partitions))


@lower("DynamicStitch", "ParallelDynamicStitch")
def dynamic_stitch(*xs: ir.Value) -> ir.Value:
    """Slices put where their numbers say; of several with one number, ONNX does not say which."""
    indices, data = xs[: len(xs) // 2], xs[len(xs) // 2 :]
    places = [op.Reshape(cast(index, ir.DataType.INT64), [-1]) for index in indices]
    inner = [op.Shape(values, start=rank(index)) for index, values in zip(indices, data, strict=True)]
    rows = [op.Reshape(values, op.Concat([-1], size, axis=0)) for values, size in zip(data, inner, strict=True)]
    place, row = op.Concat(*places, axis=0), op.Concat(*rows, axis=0)
    count = op.Add(op.ReduceMax(place, [0]), np.asarray([1]))
    empty = op.Expand(like(row, 0), op.Concat(count, inner[0], axis=0))
    return op.ScatterND(empty, op.Unsqueeze(place, [1]), row)


@lower("UnravelIndex")
def unravel_index(indices: ir.Value, sizes: ir.Value) -> ir.Value:
    """The coordinates [axes, ...] of the elements with the numbers `indices` in a tensor of the given sizes."""
    count = dims(sizes)[0]
    if count is None:
        raise UnsupportedError("the number of axes is not known")
    rest, rows = indices, []
    for axis in reversed(range(count)):
        size = op.Gather(sizes, np.int64(axis), axis=0)
        rows.append(op.Mod(rest, size))
        rest = op.Div(rest, size)
    return op.Concat(*(op.Unsqueeze(row, [0]) for row in reversed(rows)), axis=0)
