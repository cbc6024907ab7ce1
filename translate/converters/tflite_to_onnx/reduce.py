"""Reductions, searches and running sums."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import onnx_ir as ir

from translate.converters.tf_to_onnx import reduce, segments
from translate.converters.tf_to_onnx.build import Host
from translate.converters.tflite_to_onnx.table import lower, same_as

same_as(
    {
        "CUMSUM": reduce.cumsum,
        "SEGMENT_SUM": segments.segment_sum,
        "UNSORTED_SEGMENT_PROD": segments.unsorted_segment_prod,
        "UNSORTED_SEGMENT_SUM": segments.unsorted_segment_sum,
    }
)


def _register(name: str, reduction: Callable[..., ir.Value], says: str) -> None:
    def lowering(x: ir.Value, axes: ir.Value | Host, *, keep_dims: int = 0) -> ir.Value:
        return reduction(x, axes, keep_dims=keep_dims)

    lowering.__doc__ = says
    lower(name)(lowering)


_register("MEAN", reduce.mean, "The mean along axes.")
_register("SUM", reduce.sum_, "The sum along axes.")
_register("REDUCE_PROD", reduce.prod, "The product along axes.")
_register("REDUCE_MAX", reduce.max_, "The largest along axes.")
_register("REDUCE_MIN", reduce.min_, "The smallest along axes.")
_register("REDUCE_ANY", reduce.any_, "Whether any is true along axes.")
_register("REDUCE_ALL", reduce.all_, "Whether all are true along axes.")


@lower("ARG_MAX")
def arg_max(x: ir.Value, axis: Host, *, output_type: int = int(ir.DataType.INT32)) -> ir.Value:
    """Where the largest lies along an axis, the first of equal ones."""
    y: ir.Value = reduce.arg_max(x, axis, output_type=output_type)
    return y


@lower("ARG_MIN")
def arg_min(x: ir.Value, axis: Host, *, output_type: int = int(ir.DataType.INT32)) -> ir.Value:
    """Where the smallest lies along an axis, the first of equal ones."""
    y: ir.Value = reduce.arg_min(x, axis, output_type=output_type)
    return y


@lower("TOPK_V2")
def top_k(x: ir.Value, k: ir.Value) -> Any:
    """The `k` largest along the last axis, the first of equal ones first."""
    return reduce.top_k(x, k)


@lower("UNIQUE")
def unique(x: ir.Value, *, idx_out_type: int = int(ir.DataType.INT32)) -> Any:
    """The different numbers of a vector in the order in which they come, and for each element which it is."""
    return reduce.unique(x, out_idx=idx_out_type)
