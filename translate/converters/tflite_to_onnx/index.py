"""Slices, and reading and writing by numbers of elements."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import onnx_ir as ir

from translate.converters.tf_to_onnx import index
from translate.converters.tf_to_onnx.build import Host, cast, op, rank
from translate.converters.tflite_to_onnx.table import lower, same_as

same_as(
    {
        "GATHER_ND": index.gather_nd,
        "ONE_HOT": index.one_hot,
        "SCATTER_ND": index.scatter_nd,
        "SLICE": index.slice_,
        "WHERE": index.where,
    }
)


@lower("STRIDED_SLICE")
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
    offset: Literal[0] = 0,
) -> Any:
    """Python's slicing: ranges, single indices, an ellipsis and new axes, each a bit in its mask.

    Limits: `end` is an end and no length (`offset`).
    """
    return index.strided_slice(
        x,
        begin,
        end,
        strides,
        begin_mask=begin_mask,
        end_mask=end_mask,
        ellipsis_mask=ellipsis_mask,
        new_axis_mask=new_axis_mask,
        shrink_axis_mask=shrink_axis_mask,
    )


@lower("GATHER")
def gather(x: ir.Value, indices: ir.Value, *, axis: int = 0, batch_dims: int = 0) -> ir.Value:
    """Take slices by their numbers."""
    y: ir.Value = index.gather(x, indices, np.asarray(axis), batch_dims=batch_dims)
    return y


@lower("EMBEDDING_LOOKUP")
def embedding_lookup(indices: ir.Value, table: ir.Value) -> ir.Value:
    """Take rows of `table` by their numbers."""
    return op.Gather(table, indices, axis=0)


@lower("DYNAMIC_UPDATE_SLICE")
def dynamic_update_slice(x: ir.Value, update: ir.Value, starts: ir.Value) -> ir.Value:
    """Replace a block of the size of `update`, at `starts` [rank], moved so that it lies inside."""
    wide = cast(starts, ir.DataType.INT64)
    room = op.Sub(op.Shape(x), op.Shape(update))
    start = op.Max(op.Min(wide, room), np.int64(0))
    # Where each element of the block lies: [*sizes of the block, rank].
    places = []
    for axis in range(rank(x)):
        size = op.Shape(update, start=axis, end=axis + 1)
        count = op.Range(np.int64(0), op.Squeeze(size, [0]), np.int64(1))
        along = op.Add(count, op.Slice(start, [axis], [axis + 1], [0]))
        others = [i for i in range(rank(x)) if i != axis]
        places.append(op.Expand(op.Unsqueeze(along, others) if others else along, op.Shape(update)))
    coordinates = op.Concat(*(op.Unsqueeze(place, [-1]) for place in places), axis=-1)
    return op.ScatterND(x, coordinates, update)
