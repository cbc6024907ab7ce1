"""Shapes, slices and joins."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx_ir as ir

from translate.converters.tf_to_onnx.build import Host, cast, dims, op, rank
from translate.converters.tf_to_onnx.table import lower

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
