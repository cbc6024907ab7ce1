"""Sparse tensors, as their coordinates `[values, axes]`, values and shape; sums of rows that numbers pick."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir

from translate.converters.tf_to_onnx.build import cast, dims, like, op, rank
from translate.converters.tf_to_onnx.segments import segment_count, segments
from translate.converters.tf_to_onnx.table import lower
from translate.errors import UnsupportedError

_INT64 = ir.DataType.INT64


@lower("SparseToDense")
def to_dense(
    places: ir.Value, shape: ir.Value, values: ir.Value, default: ir.Value, *, validate_indices: int = 1
) -> ir.Value:
    """`default` everywhere but at `places`: a number, a vector of them or rows of coordinates."""
    where = cast(places, _INT64)
    where = op.Reshape(where, [-1, 1]) if rank(where) < 2 else where
    count = op.Shape(where, start=0, end=1)
    sizes = op.Reshape(cast(shape, _INT64), [-1])
    return op.ScatterND(op.Expand(default, sizes), where, op.Expand(values, count))


@lower("SparseTensorDenseMatMul")
def mat_mul(
    places: ir.Value, values: ir.Value, shape: ir.Value, y: ir.Value, *, adjoint_a: int = 0, adjoint_b: int = 0
) -> ir.Value:
    """The product of a sparse matrix and a dense one, either transposed if asked."""
    row, column = (1, 0) if adjoint_a else (0, 1)
    factor = op.Transpose(y, perm=[1, 0]) if adjoint_b else y
    wide = cast(places, _INT64)
    parts = op.Mul(op.Unsqueeze(values, [1]), op.Gather(factor, op.Gather(wide, np.int64(column), axis=1), axis=0))
    rows = op.Slice(cast(shape, _INT64), [row], [row + 1])
    empty = op.Expand(like(y, 0), op.Concat(rows, op.Shape(factor, start=1), axis=0))
    return op.ScatterND(empty, op.Slice(wide, [row], [row + 1], [1]), parts, reduction="add")


@lower("SparseReorder")
def reorder(places: ir.Value, values: ir.Value, shape: ir.Value) -> Any:
    """The same sparse tensor, its values row by row."""
    axes = dims(places)[1]
    if axes is None:
        raise UnsupportedError("the number of axes is not known")
    wide, sizes = cast(places, _INT64), cast(shape, _INT64)
    number = op.Gather(wide, np.int64(0), axis=1)
    for axis in range(1, axes):
        number = op.Add(op.Mul(number, op.Slice(sizes, [axis], [axis + 1])), op.Gather(wide, np.int64(axis), axis=1))
    _, order = op.node("TopK", number, op.Shape(number), outputs=2, largest=0)
    return op.Gather(places, order, axis=0), op.Gather(values, order, axis=0)


@lower("SparseSegmentSum")
def segment_sum(x: ir.Value, rows: ir.Value, ids: ir.Value, *, sparse_gradient: int = 0) -> ir.Value:
    """Sums of the `rows` of `x` with equal ids, which rise."""
    return segments("add", op.Gather(x, rows, axis=0), ids, segment_count(ids), 0)


@lower("SparseSegmentSumWithNumSegments")
def segment_sum_of(
    x: ir.Value, rows: ir.Value, ids: ir.Value, count: ir.Value, *, sparse_gradient: int = 0
) -> ir.Value:
    """As SparseSegmentSum, for `count` ids."""
    return segments("add", op.Gather(x, rows, axis=0), ids, count, 0)


@lower("SparseSegmentMean", "SparseSegmentMeanWithNumSegments")
def segment_mean(
    x: ir.Value, rows: ir.Value, ids: ir.Value, count: ir.Value | None = None, *, sparse_gradient: int = 0
) -> ir.Value:
    """Means of the `rows` of `x` with equal ids; 0 where there are none."""
    return op.Div(*_sum_and_number(x, rows, ids, count))


@lower("SparseSegmentSqrtN", "SparseSegmentSqrtNWithNumSegments")
def segment_sqrt_n(
    x: ir.Value, rows: ir.Value, ids: ir.Value, count: ir.Value | None = None, *, sparse_gradient: int = 0
) -> ir.Value:
    """Sums of the `rows` of `x` with equal ids, over the root of their number."""
    total, number = _sum_and_number(x, rows, ids, count)
    return op.Div(total, op.Sqrt(number))


def _sum_and_number(x: ir.Value, rows: ir.Value, ids: ir.Value, count: ir.Value | None) -> tuple[ir.Value, ir.Value]:
    """Return the sums, and how many there are in each, 1 at least, with as many axes."""
    count = segment_count(ids) if count is None else count
    ones = op.Expand(like(x, 1), op.Concat(op.Shape(rows), [1] * (rank(x) - 1), axis=0))
    number = op.Max(segments("add", ones, ids, count, 0), like(x, 1))
    return segments("add", op.Gather(x, rows, axis=0), ids, count, 0), number


@lower("CTCGreedyDecoder")
def ctc_greedy_decoder(logits: ir.Value, lengths: ir.Value, *, merge_repeated: int = 0, blank_index: int = -1) -> Any:
    """The likeliest class at each time of logits [T, N, C], without blanks and, if asked, repetitions.

    Returns a sparse tensor [N, longest]: its coordinates, values and shape; and for each of N minus the sum of the
    largest logits [N, 1]. Limits: the number of classes is known.
    """
    classes = dims(logits)[2]
    if classes is None:
        raise UnsupportedError("the number of classes is not known")
    scores = op.Transpose(logits, perm=[1, 0, 2])
    best = op.ArgMax(scores, axis=2, keepdims=0)
    time = op.Range(np.int64(0), op.Squeeze(op.Shape(logits, start=0, end=1), [0]), np.int64(1))
    running = op.Less(op.Unsqueeze(time, [0]), op.Unsqueeze(cast(lengths, _INT64), [1]))
    said = op.And(running, op.Not(op.Equal(best, np.int64(blank_index % classes))))
    if merge_repeated:
        earlier = op.Slice(op.Pad(best, [0, 1, 0, 0], np.int64(-1)), [0], [-1], [1])
        said = op.And(said, op.Not(op.Equal(best, earlier)))
    # Where each goes: after those that are said before it.
    number = op.CumSum(cast(said, _INT64), np.int64(1))
    place = op.Transpose(op.NonZero(said), perm=[1, 0])
    position = op.Sub(op.GatherND(number, place), np.int64(1))
    row = op.Slice(place, [0], [1], [1])
    longest = op.ReduceMax(op.ReduceSum(cast(said, _INT64), [1], keepdims=0), [0], keepdims=1)
    shape = op.Concat(op.Shape(logits, start=1, end=2), longest, axis=0)
    largest = op.Where(running, op.ReduceMax(scores, [2], keepdims=0), like(logits, 0))
    coordinates = op.Concat(row, op.Unsqueeze(position, [1]), axis=1)
    return coordinates, op.GatherND(best, place), shape, op.Neg(op.ReduceSum(largest, [1], keepdims=1))
