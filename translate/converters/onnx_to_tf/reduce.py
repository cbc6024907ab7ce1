"""Reductions over axes, and the positions of extrema."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from translate.converters.onnx_to_tf.math import absolute
from translate.converters.onnx_to_tf.shapes import rank
from translate.converters.onnx_to_tf.table import lower
from translate.converters.onnx_to_tf.widen import HALVES, widened


def _axes(x: tf.Tensor, axes: Any, noop_with_empty_axes: int) -> Any:
    """Return the axes to reduce: all of them where none are given, unless that is to mean none."""
    everything = list(range(rank(x)))
    if axes is None:
        return [] if noop_with_empty_axes else everything
    if isinstance(axes, np.ndarray):
        return axes.tolist() if axes.size or noop_with_empty_axes else everything
    if noop_with_empty_axes or axes.shape.num_elements():
        return axes
    return tf.cond(tf.size(axes) > 0, lambda: axes, lambda: tf.constant(everything, axes.dtype))


def _lower_reductions(reductions: dict[str, Callable[..., tf.Tensor]]) -> None:
    def register(op_type: str, reduction: Callable[..., tf.Tensor]) -> None:
        @lower(op_type, since=13 if op_type == "ReduceSum" else 18)
        def reduce(
            x: tf.Tensor,
            axes: tf.Tensor | np.ndarray | None = None,
            *,
            keepdims: int = 1,
            noop_with_empty_axes: int = 0,
        ) -> tf.Tensor:
            return reduction(x, _axes(x, axes, noop_with_empty_axes), bool(keepdims))

    for op_type, reduction in reductions.items():
        register(op_type, reduction)


def stepwise(reduction: Callable[..., tf.Tensor]) -> Callable[..., tf.Tensor]:
    """Let a sum or mean go over one axis at a time, the last one first.

    Where an axis that stays lies inside those that go, TensorFlow's CPU kernel adds up all terms one after the other:
    the mean of 56·56·16 of them is off by 90 units in the last place, step by step by 1.5, in the same time.
    """

    def reduce(x: tf.Tensor, axes: Any, keepdims: bool) -> tf.Tensor:
        if not isinstance(axes, list) or x.shape.rank is None:
            return reduction(x, axes, keepdims)
        steps = sorted((axis % rank(x) for axis in axes), reverse=True)
        if steps == list(range(rank(x) - 1, rank(x) - 1 - len(steps), -1)):
            return reduction(x, axes, keepdims)
        for axis in steps:
            x = reduction(x, axis, keepdims)
        return x

    return reduce


mean = stepwise(tf.math.reduce_mean)
total = stepwise(tf.math.reduce_sum)


def _max(x: tf.Tensor, axes: Any, keepdims: bool) -> tf.Tensor:
    return (tf.math.reduce_any if x.dtype == tf.bool else tf.math.reduce_max)(x, axes, keepdims)


def _min(x: tf.Tensor, axes: Any, keepdims: bool) -> tf.Tensor:
    return (tf.math.reduce_all if x.dtype == tf.bool else tf.math.reduce_min)(x, axes, keepdims)


def _l1(x: tf.Tensor, axes: Any, keepdims: bool) -> tf.Tensor:
    return total(absolute(x), axes, keepdims)


def _sum_square(x: tf.Tensor, axes: Any, keepdims: bool) -> tf.Tensor:
    return total(tf.math.square(x), axes, keepdims)


def _floating(reduction: Callable[..., tf.Tensor]) -> Callable[..., tf.Tensor]:
    """Let a reduction that leaves the integers compute in float64, and cut its result back to them."""

    def reduce(x: tf.Tensor, axes: Any, keepdims: bool) -> tf.Tensor:
        if x.dtype.is_floating:
            return reduction(x, axes, keepdims)
        return tf.cast(reduction(tf.cast(x, tf.float64), axes, keepdims), x.dtype)

    return reduce


def _l2(x: tf.Tensor, axes: Any, keepdims: bool) -> tf.Tensor:
    # TensorFlow's own norm is one pass, but neither XLA nor TFLite has it.
    return tf.sqrt(_sum_square(x, axes, keepdims))


def _log_sum(x: tf.Tensor, axes: Any, keepdims: bool) -> tf.Tensor:
    return tf.math.log(total(x, axes, keepdims))


# TensorFlow adds up float16 in float16 on CPU: a sum of ones over an outer axis gets stuck at 2048, and the mean of
# 500,000 ones is not a number. PyTorch adds up in float32.
_in_float32 = widened(*HALVES)

_lower_reductions(
    {
        "ReduceL1": _in_float32(_l1),
        "ReduceL2": _in_float32(_floating(_l2)),
        "ReduceLogSum": _in_float32(_floating(_log_sum)),
        "ReduceLogSumExp": _in_float32(_floating(tf.math.reduce_logsumexp)),
        "ReduceMax": _max,
        "ReduceMean": _in_float32(_floating(mean)),
        "ReduceMin": _min,
        "ReduceProd": _in_float32(tf.math.reduce_prod),
        "ReduceSum": _in_float32(total),
        "ReduceSumSquare": _in_float32(_sum_square),
    }
)


@lower("ArgMax")
def argmax(x: tf.Tensor, *, axis: int = 0, keepdims: int = 1, select_last_index: int = 0) -> tf.Tensor:
    """Return the int64 index of the first largest element along `axis`, or of the last one."""
    return _position(tf.math.argmax, x, axis, keepdims, select_last_index)


@lower("ArgMin")
def argmin(x: tf.Tensor, *, axis: int = 0, keepdims: int = 1, select_last_index: int = 0) -> tf.Tensor:
    """Return the int64 index of the first smallest element along `axis`, or of the last one."""
    return _position(tf.math.argmin, x, axis, keepdims, select_last_index)


def _position(find: Callable[..., tf.Tensor], x: tf.Tensor, axis: int, keepdims: int, last: int) -> tf.Tensor:
    index = tf.shape(x, tf.int64)[axis] - 1 - find(tf.reverse(x, [axis]), axis) if last else find(x, axis)
    return tf.expand_dims(index, axis) if keepdims else index
