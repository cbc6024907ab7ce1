"""Shapes as lowerings need them: an int where a size is known, a scalar tensor where it is not."""

from __future__ import annotations

import tensorflow as tf

from translate.errors import UnsupportedError


def rank(x: tf.Tensor) -> int:
    """Return the number of axes of `x`; raises `UnsupportedError` when not even that is known."""
    if x.shape.rank is None:
        raise UnsupportedError("the number of axes of an input is not known")
    return int(x.shape.rank)


def axis_from_start(axis: int, x: tf.Tensor) -> int:
    """Return `axis` of `x`, which may count from the end, as counted from the start."""
    return axis + rank(x) if axis < 0 else axis


def dims(x: tf.Tensor, dtype: tf.DType = tf.int32) -> list[int | tf.Tensor]:
    """Return the size of each axis of `x`: an int where it is known, a scalar tensor of `dtype` where it is not."""
    static = x.shape.as_list() if x.shape.rank is not None else [None] * rank(x)
    if None not in static:
        return static
    dynamic = tf.shape(x, out_type=dtype)
    return [dynamic[axis] if size is None else size for axis, size in enumerate(static)]
