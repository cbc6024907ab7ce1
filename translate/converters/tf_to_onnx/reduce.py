"""Reductions, searches and running sums."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import onnx_ir as ir

from translate.converters.tf_to_onnx.build import Host, cast, dims, like, op, rank
from translate.converters.tf_to_onnx.table import lower


def _reduce(name: str, x: ir.Value, axes: ir.Value | Host, keep_dims: int) -> ir.Value:
    if isinstance(axes, np.ndarray):
        # No axes at all means none here, every one in ONNX.
        wanted: Any = [int(axis.item()) for axis in axes.reshape(-1)]
        nothing = 1 if not wanted else None
    else:
        wanted, nothing = cast(op.Reshape(axes, [-1]), ir.DataType.INT64), 1
    result: ir.Value = op.node(name, x, wanted, keepdims=keep_dims, noop_with_empty_axes=nothing)
    return result


@lower("Mean")
def mean(x: ir.Value, axes: ir.Value | Host, *, keep_dims: int = 0) -> ir.Value:
    """The mean along axes."""
    return _reduce("ReduceMean", x, axes, keep_dims)


@lower("Sum")
def sum_(x: ir.Value, axes: ir.Value | Host, *, keep_dims: int = 0) -> ir.Value:
    """The sum along axes."""
    return _reduce("ReduceSum", x, axes, keep_dims)


@lower("Prod")
def prod(x: ir.Value, axes: ir.Value | Host, *, keep_dims: int = 0) -> ir.Value:
    """The product along axes."""
    return _reduce("ReduceProd", x, axes, keep_dims)


@lower("Max")
def max_(x: ir.Value, axes: ir.Value | Host, *, keep_dims: int = 0) -> ir.Value:
    """The largest along axes."""
    return _reduce("ReduceMax", x, axes, keep_dims)


@lower("Min")
def min_(x: ir.Value, axes: ir.Value | Host, *, keep_dims: int = 0) -> ir.Value:
    """The smallest along axes."""
    return _reduce("ReduceMin", x, axes, keep_dims)


@lower("All")
def all_(x: ir.Value, axes: ir.Value | Host, *, keep_dims: int = 0) -> ir.Value:
    """Whether all are true along axes."""
    return cast(_reduce("ReduceMin", cast(x, ir.DataType.INT32), axes, keep_dims), ir.DataType.BOOL)


@lower("Any")
def any_(x: ir.Value, axes: ir.Value | Host, *, keep_dims: int = 0) -> ir.Value:
    """Whether any is true along axes."""
    return cast(_reduce("ReduceMax", cast(x, ir.DataType.INT32), axes, keep_dims), ir.DataType.BOOL)


@lower("EuclideanNorm")
def euclidean_norm(x: ir.Value, axes: ir.Value | Host, *, keep_dims: int = 0) -> ir.Value:
    """The root of the sum of squares along axes."""
    if isinstance(axes, np.ndarray) and axes.size == 0:
        return op.Abs(x)
    return _reduce("ReduceL2", x, axes, keep_dims)


@lower("ArgMax")
def arg_max(x: ir.Value, axis: Host, *, output_type: int = int(ir.DataType.INT64)) -> ir.Value:
    """Where the largest lies along an axis, the first of equal ones."""
    return cast(op.ArgMax(_orderable(x), axis=int(axis.item()), keepdims=0), output_type)


@lower("ArgMin")
def arg_min(x: ir.Value, axis: Host, *, output_type: int = int(ir.DataType.INT64)) -> ir.Value:
    """Where the smallest lies along an axis, the first of equal ones."""
    return cast(op.ArgMin(_orderable(x), axis=int(axis.item()), keepdims=0), output_type)


def _orderable(x: ir.Value) -> ir.Value:
    return cast(x, ir.DataType.INT32) if x.dtype == ir.DataType.BOOL else x


@lower("Cumsum")
def cumsum(x: ir.Value, axis: ir.Value, *, exclusive: int = 0, reverse: int = 0) -> ir.Value:
    """Running sums along an axis."""
    return op.CumSum(x, axis, exclusive=exclusive, reverse=reverse)


@lower("TopKV2")
def top_k(x: ir.Value, k: ir.Value, *, sorted: int = 1, index_type: int = int(ir.DataType.INT32)) -> Any:
    """The `k` largest along the last axis, the first of equal ones first."""
    values, indices = op.node("TopK", x, op.Reshape(cast(k, ir.DataType.INT64), [1]), outputs=2, axis=-1, sorted=sorted)
    return values, cast(indices, index_type)


@lower("NthElement")
def nth_element(x: ir.Value, n: ir.Value, *, reverse: int = 0) -> ir.Value:
    """The n-th smallest number along the last axis, the n-th largest if `reverse`."""
    values, _ = op.node("TopK", x, op.Shape(x, start=-1), outputs=2, axis=-1, largest=reverse)
    return op.Gather(values, n, axis=-1)


@lower("InTopK")
def in_top_k_v1(predictions: ir.Value, targets: ir.Value, *, k: int) -> ir.Value:
    """As InTopKV2, with `k` known."""
    result: ir.Value = in_top_k(predictions, targets, op.value(np.int64(k)))
    return result


@lower("InTopKV2")
def in_top_k(predictions: ir.Value, targets: ir.Value, k: ir.Value) -> ir.Value:
    """Whether fewer than `k` predictions in a row are larger than that of its target."""
    chosen = op.GatherElements(predictions, cast(op.Unsqueeze(targets, [1]), ir.DataType.INT64), axis=1)
    larger = op.ReduceSum(cast(op.Greater(predictions, chosen), ir.DataType.INT64), [1], keepdims=0)
    return op.Less(larger, cast(k, ir.DataType.INT64))


@lower("Cumprod")
def cumprod(x: ir.Value, axis: Host, *, exclusive: int = 0, reverse: int = 0) -> ir.Value:
    """Running products along an axis."""
    return _running(op.Mul, x, 1.0, int(axis.item()), exclusive, reverse)


@lower("CumulativeLogsumexp")
def cumulative_logsumexp(x: ir.Value, axis: Host, *, exclusive: int = 0, reverse: int = 0) -> ir.Value:
    """The logarithms of running sums of exponentials along an axis."""

    def add(total: ir.Value, item: ir.Value) -> ir.Value:
        both = op.Concat(op.Unsqueeze(total, [0]), op.Unsqueeze(item, [0]), axis=0)
        result: ir.Value = op.ReduceLogSumExp(both, [0], keepdims=0)
        return result

    return _running(add, x, -math.inf, int(axis.item()), exclusive, reverse)


def _running(
    combine: Callable[[ir.Value, ir.Value], ir.Value],
    x: ir.Value,
    start: float,
    axis: int,
    exclusive: int,
    reverse: int,
) -> ir.Value:
    """Combine the elements along `axis` one after the other, from `start` on."""
    along = axis % rank(x)
    sizes = dims(x)
    shape = [op.value([1]) if i == along else op.Shape(x, start=i, end=i + 1) for i in range(rank(x))]
    rest = [part for i, part in enumerate(shape) if i != along]
    first = op.Expand(like(x, start), op.Concat(*rest, axis=0) if rest else op.value(np.zeros(0, np.int64)))
    inner = ir.Shape([size for i, size in enumerate(sizes) if i != along])
    total, item = (ir.Value(name=op.fresh(name), shape=inner, type=x.type) for name in ("total", "item"))
    with op.frame() as frame:
        after = combine(total, item)
        results = [op.Identity(after), op.Identity(total if exclusive else after)]
    body = ir.Graph([total, item], results, nodes=frame.nodes, name=op.fresh("running"))
    _, stacked = op.node("Scan", first, x, outputs=2, body=body, num_scan_inputs=1, scan_input_axes=[along],
                         scan_output_axes=[along], scan_input_directions=[reverse],
                         scan_output_directions=[reverse])  # fmt: skip
    result: ir.Value = stacked
    result.type, result.shape = x.type, x.shape
    return result


def _is_integer(x: ir.Value) -> bool:
    return x.dtype is not None and x.dtype.is_integer()


@lower("Unique")
def unique(x: ir.Value, *, out_idx: int = int(ir.DataType.INT32)) -> Any:
    """The different numbers of a vector in the order in which they come, and for each element which it is."""
    wide = cast(x, ir.DataType.INT64) if _is_integer(x) else x
    values, _, inverse, _ = op.node("Unique", wide, outputs=4, sorted=0)
    assert x.dtype is not None
    return cast(values, x.dtype), cast(inverse, out_idx)


@lower("UniqueV2")
def unique_v2(x: ir.Value, axis: Host, *, out_idx: int = int(ir.DataType.INT32)) -> Any:
    """As Unique, of the slices along `axis`."""
    along = int(axis.reshape(-1)[0]) if axis.size else None
    wide = cast(x, ir.DataType.INT64) if _is_integer(x) else x
    values, _, inverse, _ = op.node("Unique", wide, outputs=4, sorted=0, axis=along)
    assert x.dtype is not None
    return cast(values, x.dtype), cast(inverse, out_idx)


@lower("UniqueWithCountsV2")
def unique_with_counts_v2(x: ir.Value, axis: Host, *, out_idx: int = int(ir.DataType.INT32)) -> Any:
    """As UniqueV2, and how often each slice comes."""
    along = int(axis.reshape(-1)[0]) if axis.size else None
    wide = cast(x, ir.DataType.INT64) if _is_integer(x) else x
    values, _, inverse, counts = op.node("Unique", wide, outputs=4, sorted=0, axis=along)
    assert x.dtype is not None
    return cast(values, x.dtype), cast(inverse, out_idx), cast(counts, out_idx)


@lower("UniqueWithCounts")
def unique_with_counts(x: ir.Value, *, out_idx: int = int(ir.DataType.INT32)) -> Any:
    """As Unique, and how often each number comes."""
    wide = cast(x, ir.DataType.INT64) if _is_integer(x) else x
    values, _, inverse, counts = op.node("Unique", wide, outputs=4, sorted=0)
    assert x.dtype is not None
    return cast(values, x.dtype), cast(inverse, out_idx), cast(counts, out_idx)


@lower("ListDiff")
def list_difference(x: ir.Value, y: ir.Value, *, out_idx: int = int(ir.DataType.INT32)) -> Any:
    """The numbers of `x` that `y` has not, and where they stand in `x`."""
    same = cast(op.Equal(op.Unsqueeze(x, [1]), op.Unsqueeze(y, [0])), ir.DataType.INT32)
    found = op.ReduceSum(same, [1], keepdims=0)
    place = op.Squeeze(op.NonZero(op.Equal(found, np.int32(0))), [0])
    return op.Gather(x, place, axis=0), cast(place, out_idx)
