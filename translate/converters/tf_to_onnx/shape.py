"""Shapes: asking for them and changing them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx_ir as ir

from translate.converters.tf_to_onnx.build import Host, cast, dims, like, op, rank
from translate.converters.tf_to_onnx.table import lower
from translate.errors import UnsupportedError


@lower("Shape")
def shape(x: ir.Value, *, out_type: int = int(ir.DataType.INT32)) -> Any:
    """The sizes of a tensor; known at once where all are."""
    if x.shape is not None and x.shape.is_static():
        return np.asarray(dims(x), ir.DataType(out_type).numpy())
    return cast(op.Shape(x), out_type)


@lower("ShapeN")
def shape_n(*xs: ir.Value, out_type: int = int(ir.DataType.INT32)) -> Any:
    """The sizes of several tensors."""
    return tuple(shape(x, out_type=out_type) for x in xs)


@lower("Rank")
def rank_(x: ir.Value) -> Any:
    """The number of axes."""
    return np.asarray(rank(x), np.int32)


@lower("Size")
def size_(x: ir.Value, *, out_type: int = int(ir.DataType.INT32)) -> Any:
    """The number of elements."""
    return cast(op.Size(x), out_type)


@lower("Reshape")
def reshape(x: ir.Value, shape: ir.Value) -> ir.Value:
    """Other sizes for the same values; -1 is whatever is left, and a size of 0 is 0."""
    return op.Reshape(x, cast(shape, ir.DataType.INT64), allowzero=1)


@lower("ExpandDims")
def expand_dims(x: ir.Value, axis: Host) -> ir.Value:
    """A new axis of size one."""
    return op.Unsqueeze(x, [int(axis.item())])


@lower("Squeeze")
def squeeze(x: ir.Value, *, squeeze_dims: Sequence[int] = ()) -> ir.Value:
    """Without axes of size one. Limits: without axes named, all sizes must be known."""
    if squeeze_dims:
        return op.Squeeze(x, list(squeeze_dims))
    sizes = dims(x)
    if None in sizes:
        raise UnsupportedError("which axes have size one is not known")
    return op.Squeeze(x, [axis for axis, size in enumerate(sizes) if size == 1])


@lower("BroadcastTo")
def broadcast_to(x: ir.Value, shape: ir.Value) -> ir.Value:
    """Repeat along axes of size one."""
    return op.Expand(x, cast(shape, ir.DataType.INT64))


@lower("BroadcastArgs")
def broadcast_args(a: ir.Value, b: ir.Value) -> ir.Value:
    """The shape that two shapes are broadcast to. Limits: both with known numbers of axes."""
    (first,), (second,) = dims(a), dims(b)
    if first is None or second is None:
        raise UnsupportedError("shapes with open numbers of axes")
    a, b = _longer(a, second - first), _longer(b, first - second)
    return op.Where(op.Equal(a, like(a, 1)), b, a)


def _longer(shape: ir.Value, count: int) -> ir.Value:
    """Return `shape` with `count` sizes of one before it."""
    return op.Concat(like(shape, [1] * count), shape, axis=0) if count > 0 else shape


@lower("Fill")
def fill(dims: ir.Value, value: ir.Value, *, index_type: int = 0) -> ir.Value:
    """One value everywhere."""
    return op.Expand(value, cast(dims, ir.DataType.INT64))


@lower("ZerosLike")
def zeros_like(x: ir.Value) -> ir.Value:
    """Zeros of the same shape."""
    return op.Expand(like(x, 0), op.Shape(x))


@lower("OnesLike")
def ones_like(x: ir.Value) -> ir.Value:
    """Ones of the same shape."""
    return op.Expand(like(x, 1), op.Shape(x))
