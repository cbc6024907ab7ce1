"""Slices with equal numbers, or equal numbers themselves, put together."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir

from translate.converters.tf_to_onnx.build import cast, dims, like, op, rank
from translate.converters.tf_to_onnx.table import lower

_INT64 = ir.DataType.INT64


def segments(name: str, x: ir.Value, ids: ir.Value, count: ir.Value, start: Any) -> ir.Value:
    """Combine the slices of `x` with equal ids [K]; a segment without any keeps `start`."""
    size = op.Reshape(cast(count, _INT64), [1])
    shape = op.Concat(size, op.Shape(x, start=1), axis=0) if rank(x) > 1 else size
    return op.ScatterND(op.Expand(like(x, start), shape), op.Unsqueeze(cast(ids, _INT64), [1]), x, reduction=name)


def _unsorted(name: str, x: ir.Value, ids: ir.Value, count: ir.Value, start: Any) -> ir.Value:
    """As `segments`, with ids of any axes that `x` begins with; slices with a negative id are dropped."""
    axes = rank(ids)
    if axes != 1:
        x = op.Reshape(x, op.Concat([-1], op.Shape(x, start=axes), axis=0))
        ids = op.Reshape(ids, [-1])
    size, wide = op.Reshape(cast(count, _INT64), [1]), cast(ids, _INT64)
    # ONNX counts negative numbers from the end: they go to one segment more.
    place = op.Where(op.Less(wide, np.int64(0)), size, wide)
    return op.Slice(segments(name, x, place, op.Add(size, [1]), start), [0], size, [0])


@lower("UnsortedSegmentSum", "SegmentSumV2")
def unsorted_segment_sum(x: ir.Value, ids: ir.Value, count: ir.Value) -> ir.Value:
    """Sums of the slices with equal ids."""
    return _unsorted("add", x, ids, count, 0)


@lower("UnsortedSegmentProd", "SegmentProdV2")
def unsorted_segment_prod(x: ir.Value, ids: ir.Value, count: ir.Value) -> ir.Value:
    """Products of the slices with equal ids."""
    return _unsorted("mul", x, ids, count, 1)


@lower("UnsortedSegmentMax", "SegmentMaxV2")
def unsorted_segment_max(x: ir.Value, ids: ir.Value, count: ir.Value) -> ir.Value:
    """The greatest of the slices with equal ids."""
    return _unsorted("max", x, ids, count, _limit(x, "min"))


@lower("UnsortedSegmentMin", "SegmentMinV2")
def unsorted_segment_min(x: ir.Value, ids: ir.Value, count: ir.Value) -> ir.Value:
    """The least of the slices with equal ids."""
    return _unsorted("min", x, ids, count, _limit(x, "max"))


def _limit(x: ir.Value, end: str) -> Any:
    """Return the least ("min") or greatest ("max") number of the dtype of `x`."""
    assert x.dtype is not None
    info = np.finfo if x.dtype.is_floating_point() else np.iinfo
    return getattr(info(x.dtype.numpy()), end)


def segment_count(ids: ir.Value) -> ir.Value:
    """Return the number of segments, whose ids rise."""
    return op.Add(op.Gather(cast(ids, _INT64), np.int64(-1)), np.int64(1))


def _rising(name: str, x: ir.Value, ids: ir.Value, start: Any) -> ir.Value:
    """Combine the slices with equal ids, which rise; a segment without any is 0."""
    count = segment_count(ids)
    ones = op.Expand(like(x, 1), op.Concat(op.Shape(x, start=0, end=1), [1] * (rank(x) - 1), axis=0))
    has_any = op.Greater(segments("add", ones, ids, count, 0), like(x, 0))
    return op.Where(has_any, segments(name, x, ids, count, start), like(x, 0))


@lower("SegmentMax")
def segment_max(x: ir.Value, ids: ir.Value) -> ir.Value:
    """The greatest of the slices with equal ids, which rise."""
    return _rising("max", x, ids, _limit(x, "min"))


@lower("SegmentMin")
def segment_min(x: ir.Value, ids: ir.Value) -> ir.Value:
    """The least of the slices with equal ids, which rise."""
    return _rising("min", x, ids, _limit(x, "max"))


@lower("SegmentProd")
def segment_prod(x: ir.Value, ids: ir.Value) -> ir.Value:
    """Products of the slices with equal ids, which rise; 1 of a segment without any."""
    return segments("mul", x, ids, segment_count(ids), 1)


@lower("SegmentSum")
def segment_sum(x: ir.Value, ids: ir.Value) -> ir.Value:
    """Sums of the slices with equal ids, which rise."""
    return segments("add", x, ids, segment_count(ids), 0)


@lower("SegmentMean")
def segment_mean(x: ir.Value, ids: ir.Value) -> ir.Value:
    """Means of the slices with equal ids, which rise."""
    count = segment_count(ids)
    ones = op.Expand(like(x, 1), op.Concat(op.Shape(x, start=0, end=1), [1] * (rank(x) - 1), axis=0))
    parts = op.Max(segments("add", ones, ids, count, 0), like(x, 1))
    return op.Div(segments("add", x, ids, count, 0), parts)


@lower("Bincount", "DenseBincount")
def bincount(x: ir.Value, size: ir.Value, weights: ir.Value, *, binary_output: int = 0) -> ir.Value:
    """How often each number below `size` occurs in `x` [N], or in each row of `x` [B, N].

    Or the sum of the weights where it does; or, with `binary_output`, whether it does.
    """
    width = op.Reshape(cast(size, _INT64), [1])
    # Numbers from `size` on go to one place more.
    place = op.Min(cast(x, _INT64), width)
    one_more = op.Add(width, [1])
    rows = op.Shape(x, start=0, end=-1)
    if rank(x) == 2:
        row = op.Range(np.int64(0), op.Squeeze(rows, [0]), np.int64(1))
        place = op.Add(place, op.Unsqueeze(op.Mul(row, one_more), [1]))
    weighted = dims(weights) != [0] and not binary_output
    values = op.Reshape(weights, [-1]) if weighted else op.Expand(like(weights, 1), op.Reshape(op.Size(x), [1]))
    total = op.Mul(op.ReduceProd(rows, [0], keepdims=1), one_more)
    counts = segments("max" if binary_output else "add", values, op.Reshape(place, [-1]), total, 0)
    return op.Slice(op.Reshape(counts, op.Concat(rows, one_more, axis=0)), [0], width, [-1])


@lower("HistogramFixedWidth")
def histogram(x: ir.Value, ends: ir.Value, bins: ir.Value, *, dtype: int = int(ir.DataType.INT32)) -> ir.Value:
    """How many numbers fall into each of `bins` intervals between `ends` [2]; what is outside, into the outermost."""
    low, high = op.Slice(ends, [0], [1]), op.Slice(ends, [1], [2])
    assert x.dtype is not None
    wide = ir.DataType.DOUBLE
    last = op.Sub(cast(bins, _INT64), np.int64(1))
    step = op.Div(op.Sub(cast(high, wide), cast(low, wide)), cast(bins, wide))
    number = cast(op.Floor(op.Div(cast(op.Sub(op.Reshape(x, [-1]), low), wide), step)), _INT64)
    place = op.Max(op.Min(number, last), np.int64(0))
    ones = op.Expand(np.ones([], ir.DataType(dtype).numpy()), op.Shape(place))
    return segments("add", ones, place, bins, 0)
