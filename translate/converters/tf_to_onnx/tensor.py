"""Shapes, slices and joins."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import onnx_ir as ir

from translate.converters.tf_to_onnx.build import Host, cast, dims, like, op, rank
from translate.converters.tf_to_onnx.conv import back, channels_first
from translate.converters.tf_to_onnx.table import lower
from translate.errors import UnsupportedError

# Beyond every size: the end of a slice that goes to the end.
_LAST = 2**31 - 1


@lower("Shape")
def shape(x: ir.Value, *, out_type: int = int(ir.DataType.INT32)) -> Any:
    """The sizes of a tensor; known at once where all are."""
    if x.shape is not None and x.shape.is_static():
        return np.asarray(dims(x), ir.DataType(out_type).numpy())
    return cast(op.Shape(x), out_type)


@lower("Cast")
def cast_(x: ir.Value, *, DstT: int, Truncate: int = 0) -> ir.Value:
    """To another dtype."""
    return cast(x, DstT)


@lower("Reshape")
def reshape(x: ir.Value, shape: ir.Value) -> ir.Value:
    """Other sizes for the same values; -1 is whatever is left, and a size of 0 is 0."""
    return op.Reshape(x, cast(shape, ir.DataType.INT64), allowzero=1)


@lower("Transpose")
def transpose(x: ir.Value, perm: Host) -> ir.Value:
    """Permute the axes."""
    return op.Transpose(x, perm=[int(axis) for axis in perm])


@lower("ConjugateTranspose")
def conjugate_transpose(x: ir.Value, perm: Host) -> ir.Value:
    """Permute the axes of real numbers."""
    y: ir.Value = transpose(x, perm)
    return y


@lower("ExpandDims")
def expand_dims(x: ir.Value, axis: Host) -> ir.Value:
    """A new axis of size one."""
    return op.Unsqueeze(x, [int(axis)])


@lower("Squeeze")
def squeeze(x: ir.Value, *, squeeze_dims: Sequence[int] = ()) -> ir.Value:
    """Without axes of size one. Limits: without axes named, all sizes must be known."""
    if squeeze_dims:
        return op.Squeeze(x, list(squeeze_dims))
    sizes = dims(x)
    if None in sizes:
        raise UnsupportedError("which axes have size one is not known")
    return op.Squeeze(x, [axis for axis, size in enumerate(sizes) if size == 1])


@lower("ShapeN")
def shape_n(*xs: ir.Value, out_type: int = int(ir.DataType.INT32)) -> Any:
    """The sizes of several tensors."""
    return tuple(shape(x, out_type=out_type) for x in xs)


@lower("Rank")
def rank_(x: ir.Value) -> Any:
    """The number of axes."""
    return np.asarray(rank(x), np.int32)


@lower("Size")
def size_(x: ir.Value, *, out_type: int = int(ir.DataType.INT32)) -> Any:
    """The number of elements."""
    return cast(op.Size(x), out_type)


@lower("ZerosLike")
def zeros_like(x: ir.Value) -> ir.Value:
    """Zeros of the same shape."""
    return op.Expand(like(x, 0), op.Shape(x))


@lower("OnesLike")
def ones_like(x: ir.Value) -> ir.Value:
    """Ones of the same shape."""
    return op.Expand(like(x, 1), op.Shape(x))


@lower("BroadcastTo")
def broadcast_to(x: ir.Value, shape: ir.Value) -> ir.Value:
    """Repeat along axes of size one."""
    return op.Expand(x, cast(shape, ir.DataType.INT64))


@lower("BroadcastArgs")
def broadcast_args(a: ir.Value, b: ir.Value) -> ir.Value:
    """The shape that two shapes are broadcast to. Limits: of as many axes."""
    if dims(a) != dims(b) or None in dims(a):
        raise UnsupportedError("shapes with different numbers of axes")
    return op.Where(op.Equal(a, like(a, 1)), b, a)


@lower("Tile")
def tile(x: ir.Value, multiples: ir.Value) -> ir.Value:
    """Repeat along each axis."""
    return op.Tile(x, cast(multiples, ir.DataType.INT64))


@lower("ConcatV2")
def concat(*xs: ir.Value | Host) -> ir.Value:
    """Join along an axis, the last input."""
    *parts, axis = xs
    if not isinstance(axis, np.ndarray):
        raise UnsupportedError("the axis must be known when translating")
    values = [op.value(part) for part in parts]
    return op.Concat(*values, axis=int(axis)) if len(values) > 1 else op.Identity(values[0])


@lower("Pad")
def pad(x: ir.Value, paddings: ir.Value) -> ir.Value:
    """Zeros around; `paddings` [rank, 2]."""
    return op.Pad(x, _pads(paddings), like(x, 0))


@lower("PadV2")
def pad_v2(x: ir.Value, paddings: ir.Value, value: ir.Value) -> ir.Value:
    """One value around; `paddings` [rank, 2]."""
    return op.Pad(x, _pads(paddings), value)


@lower("MirrorPad")
def mirror_pad(x: ir.Value, paddings: ir.Value, *, mode: Literal["REFLECT"]) -> ir.Value:
    """The mirrored inside around, without the border itself; `paddings` [rank, 2]."""
    return op.Pad(x, _pads(paddings), mode="reflect")


def _pads(paddings: ir.Value) -> ir.Value:
    """Return `[rank, 2]` as ONNX has it: all low ones, then all high ones."""
    return op.Reshape(op.Transpose(cast(paddings, ir.DataType.INT64), perm=[1, 0]), [-1])


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


@lower("SplitV")
def split_v(x: ir.Value, sizes: ir.Value | Host, axis: Host, *, num_split: int) -> Any:
    """Cut an axis into parts of the given sizes."""
    if isinstance(sizes, np.ndarray) and -1 in sizes:
        length = dims(x)[int(axis)]
        if length is None:
            raise UnsupportedError("a part is what is left over of an open size")
        sizes = np.where(sizes == -1, length - (sizes.sum() + 1), sizes)
    wide = cast(op.value(sizes), ir.DataType.INT64)
    return op.node("Split", x, wide, outputs=num_split, axis=int(axis))


@lower("Unpack")
def unpack(x: ir.Value, *, num: int, axis: int = 0) -> Any:
    """The parts of an axis, each without it."""
    return tuple(op.Gather(x, np.int64(i), axis=axis) for i in range(num))


@lower("GatherV2")
def gather(x: ir.Value, indices: ir.Value, axis: Host, *, batch_dims: int = 0) -> ir.Value:
    """Take slices by their numbers. Limits: with batch axes, the slices are single numbers or follow the batch axes."""
    if batch_dims == 0:
        return op.Gather(x, indices, axis=int(axis))
    along = int(axis) % rank(x)
    if along == batch_dims and rank(indices) >= batch_dims:
        return op.GatherND(x, op.Unsqueeze(cast(indices, ir.DataType.INT64), [-1]), batch_dims=batch_dims)
    raise UnsupportedError(f"batch_dims={batch_dims} along axis {along}")


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


@lower("TensorScatterAdd")
def scatter_add(x: ir.Value, indices: ir.Value, updates: ir.Value, *, bad_indices_policy: str = "") -> ir.Value:
    """Add to slices by their coordinates."""
    return op.ScatterND(x, cast(indices, ir.DataType.INT64), updates, reduction="add")


@lower("Select")
def select_v1(condition: ir.Value, x: ir.Value, y: ir.Value) -> ir.Value:
    """`x` where the condition holds, else `y`; a condition of one axis chooses whole rows."""
    if 0 < rank(condition) < rank(x):
        condition = op.Unsqueeze(condition, list(range(1, rank(x))))
    return op.Where(condition, x, y)


@lower("SelectV2")
def select(condition: ir.Value, x: ir.Value, y: ir.Value) -> ir.Value:
    """`x` where the condition holds, else `y`."""
    return op.Where(condition, x, y)


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


@lower("ReverseV2")
def reverse(x: ir.Value, axes: Host) -> ir.Value:
    """Backwards along axes."""
    along = [int(axis) for axis in axes.reshape(-1)]
    if not along:
        return op.Identity(x)
    count = len(along)
    return op.Slice(x, [_LAST] * count, [-_LAST] * count, along, [-1] * count)


@lower("MatrixBandPart")
def matrix_band_part(x: ir.Value, low: Host, high: Host) -> ir.Value:
    """Zeros outside `low` diagonals below and `high` above the main one; negative means all."""
    if int(low) >= 0:
        x = op.Trilu(x, np.int64(-int(low)), upper=1)
    return op.Trilu(x, np.int64(int(high)), upper=0) if int(high) >= 0 else x


@lower("SpaceToDepth")
def space_to_depth(x: ir.Value, *, block_size: int, data_format: Literal["NHWC"] = "NHWC") -> ir.Value:
    """Blocks of pixels into channels."""
    return back(op.SpaceToDepth(channels_first(x, data_format), blocksize=block_size), data_format)


@lower("DepthToSpace")
def depth_to_space(x: ir.Value, *, block_size: int, data_format: Literal["NHWC"] = "NHWC") -> ir.Value:
    """Channels into blocks of pixels."""
    return back(op.DepthToSpace(channels_first(x, data_format), blocksize=block_size, mode="DCR"), data_format)


@lower("SpaceToBatchND")
def space_to_batch(x: ir.Value, block_shape: Host, paddings: ir.Value) -> ir.Value:
    """Blocks of the spatial axes into the batch.

    `[N, *spatial, *rest]` → `[prod(block) * N, *spatial / block, *rest]`.
    """
    blocks, axes = [int(size) for size in block_shape], rank(x)
    count = len(blocks)
    wide = op.Transpose(cast(paddings, ir.DataType.INT64), perm=[1, 0])
    lows, highs = (op.Squeeze(part, [0]) for part in op.node("Split", wide, outputs=2, axis=0, num_outputs=2))
    around = [[0] * (axes - count - 1)] if axes > count + 1 else []
    x = op.Pad(x, op.Concat([0], lows, *around, [0], highs, *around, axis=0), like(x, 0))
    sizes = op.Shape(x)
    parts: list[Any] = [op.Slice(sizes, [0], [1])]
    for i, block in enumerate(blocks):
        parts += [op.Div(op.Slice(sizes, [i + 1], [i + 2]), [block]), [block]]
    rest = op.Slice(sizes, [count + 1], [_LAST])
    x = op.Reshape(x, op.Concat(*parts, rest, axis=0))
    inner = [2 + 2 * i for i in range(count)]
    outer = [1 + 2 * i for i in range(count)]
    x = op.Transpose(x, perm=[*inner, 0, *outer, *range(1 + 2 * count, axes + count)])
    batch = op.Mul(parts[0], [math.prod(blocks)])
    return op.Reshape(x, op.Concat(batch, *(part for part in parts[1:] if isinstance(part, ir.Value)), rest, axis=0))


@lower("BatchToSpaceND")
def batch_to_space(x: ir.Value, block_shape: Host, crops: ir.Value) -> ir.Value:
    """The inverse of SpaceToBatchND: parts of the batch into blocks of the spatial axes, then cropped."""
    blocks, axes = [int(size) for size in block_shape], rank(x)
    count = len(blocks)
    sizes = op.Shape(x)
    batch = op.Div(op.Slice(sizes, [0], [1]), [math.prod(blocks)])
    rest = op.Slice(sizes, [1], [_LAST])
    x = op.Reshape(x, op.Concat(blocks, batch, rest, axis=0))
    mixed = [axis for i in range(count) for axis in (count + 1 + i, i)]
    x = op.Transpose(x, perm=[count, *mixed, *range(2 * count + 1, axes + count)])
    grown = [op.Mul(op.Slice(sizes, [i + 1], [i + 2]), [block]) for i, block in enumerate(blocks)]
    x = op.Reshape(x, op.Concat(batch, *grown, op.Slice(sizes, [count + 1], [_LAST]), axis=0))
    wide = op.Transpose(cast(crops, ir.DataType.INT64), perm=[1, 0])
    lows, highs = (op.Squeeze(part, [0]) for part in op.node("Split", wide, outputs=2, axis=0, num_outputs=2))
    return op.Slice(x, lows, op.Sub(op.Concat(*grown, axis=0), highs), list(range(1, count + 1)))


@lower("Pack")
def pack(*xs: ir.Value, axis: int = 0) -> ir.Value:
    """Join tensors of one shape on a new axis."""
    axis = axis % (rank(xs[0]) + 1)
    return op.Concat(*(op.Unsqueeze(x, [axis]) for x in xs), axis=axis)


@lower("Split")
def split(axis: Host, x: ir.Value, *, num_split: int) -> Any:
    """Cut an axis into equal parts."""
    return op.node("Split", x, outputs=num_split, axis=int(axis), num_outputs=num_split)


@lower("Fill")
def fill(dims: ir.Value, value: ir.Value, *, index_type: int = 0) -> ir.Value:
    """One value everywhere."""
    return op.Expand(value, cast(dims, ir.DataType.INT64))


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
) -> ir.Value:
    """Python's slicing: ranges, single indices, an ellipsis and new axes, each a bit in its mask."""
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
            high, step = _after(low), 1
            out -= 1
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


def _element(vector: ir.Value | Host, index: int) -> ir.Value | int:
    """Return one element of a vector: the number where it is known, else int64 [1]."""
    if isinstance(vector, np.ndarray):
        return int(vector[index])
    return cast(op.Slice(vector, [index], [index + 1], [0]), ir.DataType.INT64)


def _after(index: ir.Value | int) -> ir.Value | int:
    """Return where a slice of the one element at `index` ends: one past -1 is the end, not 0."""
    if isinstance(index, int):
        return _LAST if index == -1 else index + 1
    return op.Where(op.Equal(index, [-1]), [_LAST], op.Add(index, [1]))


def _vector(elements: Sequence[ir.Value | int]) -> Any:
    """Join elements (numbers or int64 [1]) to a vector; a list of numbers where all are known."""
    if all(isinstance(element, int) for element in elements):
        return list(elements)
    return op.Concat(*([element] if isinstance(element, int) else element for element in elements), axis=0)
