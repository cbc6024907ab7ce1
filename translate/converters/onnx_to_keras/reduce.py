"""Reductions along axes, and the places of extremes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

from keras import ops

from translate.converters.onnx_to_keras.dtypes import dtype_of
from translate.converters.onnx_to_keras.table import Array, Tensor, lower


def stepwise(reduction: Callable[..., Any]) -> Callable[..., Any]:
    """Let a sum or mean go over one axis at a time, the last one first.

    Where an axis that stays lies inside those that go, TensorFlow's CPU kernel adds up all terms one after the other.
    """

    def reduce(x: Tensor, axes: tuple[int, ...] | None, keepdims: bool) -> Tensor:
        rank = len(x.shape)
        steps = sorted((axis % rank for axis in (range(rank) if axes is None else axes)), reverse=True)
        if steps == list(range(rank - 1, rank - 1 - len(steps), -1)):
            return reduction(x, axis=axes, keepdims=keepdims)
        for axis in steps:
            x = reduction(x, axis=axis, keepdims=keepdims)
        return x

    return reduce


mean, total = stepwise(ops.mean), stepwise(ops.sum)


def _max(x: Tensor, axes: tuple[int, ...] | None, keepdims: bool) -> Tensor:
    return (ops.any if dtype_of(x) == "bool" else ops.max)(x, axis=axes, keepdims=keepdims)


def _min(x: Tensor, axes: tuple[int, ...] | None, keepdims: bool) -> Tensor:
    return (ops.all if dtype_of(x) == "bool" else ops.min)(x, axis=axes, keepdims=keepdims)


def _lower_reductions(reductions: Mapping[str, Callable[..., Any]]) -> None:
    def register(op_type: str, reduction: Callable[..., Any]) -> None:
        @lower(op_type)
        def reduce(
            data: Tensor, axes: Array | None = None, *, keepdims: int = 1, noop_with_empty_axes: int = 0
        ) -> Tensor:
            """Reduce `axes`, or all of them."""
            if noop_with_empty_axes and (axes is None or not axes.size):
                return data
            kept = None if axes is None or not axes.size else tuple(int(axis) for axis in axes.ravel())
            # Integers keep their dtype, where Keras would widen them.
            return ops.cast(reduction(data, kept, bool(keepdims)), dtype_of(data))

    for op_type, reduction in reductions.items():
        register(op_type, reduction)


_lower_reductions(
    {
        "ReduceL1": lambda x, axes, keepdims: total(ops.abs(x), axes, keepdims),
        "ReduceL2": lambda x, axes, keepdims: ops.sqrt(total(ops.square(x), axes, keepdims)),
        "ReduceLogSumExp": lambda x, axes, keepdims: ops.logsumexp(x, axis=axes, keepdims=keepdims),
        "ReduceMax": _max,
        "ReduceMean": mean,
        "ReduceMin": _min,
        "ReduceProd": lambda x, axes, keepdims: ops.prod(x, axis=axes, keepdims=keepdims),
        "ReduceSum": total,
        "ReduceSumSquare": lambda x, axes, keepdims: total(ops.square(x), axes, keepdims),
    }
)


@lower("ArgMax")
def argmax(x: Tensor, *, axis: int = 0, keepdims: int = 1, select_last_index: Literal[0] = 0) -> Tensor:
    """Return the int64 index of the first largest element along `axis`."""
    return ops.cast(ops.argmax(x, axis=axis, keepdims=bool(keepdims)), "int64")


@lower("ArgMin")
def argmin(x: Tensor, *, axis: int = 0, keepdims: int = 1, select_last_index: Literal[0] = 0) -> Tensor:
    """Return the int64 index of the first smallest element along `axis`."""
    return ops.cast(ops.argmin(x, axis=axis, keepdims=bool(keepdims)), "int64")
