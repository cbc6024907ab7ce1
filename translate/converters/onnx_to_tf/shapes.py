"""Shapes as lowerings need them: an int where a size is known, a scalar tensor where it is not."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
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


def entries(vector: Any) -> list[int | tf.Tensor] | None:
    """Return the entries of a vector of integers (tensor or host value) made of single sizes, else None.

    An entry is an int where it is known while translating and a scalar tensor where it is not. So the sizes that
    are static stay static on their way through Shape, Gather, Slice, Concat and Reshape.
    """
    known = tf.get_static_value(vector)
    if known is not None:
        return [int(entry) for entry in known] if known.ndim == 1 and known.dtype.kind in "iu" else None
    if vector.op.type == "Shape" and vector.op.inputs[0].shape.rank is not None:
        static = vector.op.inputs[0].shape.as_list()
        return [vector[axis] if size is None else size for axis, size in enumerate(static)]
    if vector.op.type == "Pack" and vector.shape.rank == 1 and vector.dtype.is_integer:
        values = [(entry, tf.get_static_value(entry)) for entry in vector.op.inputs]
        return [entry if value is None else int(value) for entry, value in values]
    return None


def vector(entries: Sequence[int | tf.Tensor], dtype: tf.DType = tf.int64) -> tf.Tensor | np.ndarray:
    """Return single sizes as one vector: a host value if all are known, else a tensor that keeps them visible."""
    if all(isinstance(entry, int) for entry in entries):
        return np.array(entries, dtype.as_numpy_dtype)
    return tf.stack(
        [tf.constant(entry, dtype) if isinstance(entry, int) else tf.cast(entry, dtype) for entry in entries]
    )


def product(sizes: Iterable[int | tf.Tensor]) -> int | tf.Tensor:
    """Return the product of sizes: an int if all are known, else a scalar tensor."""
    result: int | tf.Tensor = 1
    for size in sizes:
        result = size if isinstance(result, int) and result == 1 else result * size
    return result
