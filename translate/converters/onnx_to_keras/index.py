"""Taking elements by their indices, as embeddings where they are rows of a weight, and putting them."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from keras import layers, ops

from translate.converters.lowering import Context
from translate.converters.onnx_to_keras.build import Weight, builder
from translate.converters.onnx_to_keras.shape import sizes_of
from translate.converters.onnx_to_keras.table import FUSED, Array, Tensor, lower
from translate.converters.onnx_to_keras.worlds import fixed
from translate.errors import UnsupportedError


@lower("Gather")
def gather(data: Tensor | Array, indices: Tensor | Array, *, axis: int = 0) -> Tensor:
    """Take slices of `data` along `axis` at `indices`, whose axes take its place; negative ones count from the end."""
    if isinstance(data, Weight) and len(data.shape) == 2 and axis == 0 and not isinstance(indices, np.ndarray):
        indices = builder().tensor(indices)
        if data.role == "tied":
            return builder().tied(data)(indices)
        rows, size = data.shape
        layer = builder().layer(layers.Embedding, [data], _as_is, input_dim=rows, output_dim=size)
        if layer is not None:
            return layer(indices)
    x = builder().tensor(data)
    if isinstance(indices, np.ndarray) and indices.ndim == 0:
        return x[(*(slice(None),) * (axis % len(x.shape)), int(indices))]
    return ops.take(x, builder().tensor(indices), axis=axis)


def _as_is(*arrays: Array) -> Any:
    return arrays


@lower("Embedding", domain=FUSED)
def embedding(data: Tensor | Array, indices: Tensor | Array, *, axis: int = 0, padding_idx: int) -> Tensor:
    """Take slices of `data` as Gather does; the row of the padding is trained like the others."""
    return gather(data, indices, axis=axis)


@lower("GatherElements")
def gather_elements(data: Tensor, indices: Tensor, *, axis: int = 0) -> Tensor:
    """Take the elements of `data` whose place along `axis` is in `indices`, of the same number of axes."""
    return ops.take_along_axis(data, indices, axis=axis)


@lower("GatherND")
def gather_nd(data: Tensor, indices: Tensor, *, batch_dims: Literal[0] = 0, context: Context) -> Tensor:
    """Take the slices of `data` whose places along its first axes are the rows of `indices` [..., axes]."""
    sizes = sizes_of(context)
    axes = context.node.inputs[1]
    count = (builder().worlds.shape(axes) or [(None,)])[-1][0]
    if count == 1:
        return ops.take(data, indices[..., 0], axis=0)
    if count is None or any(fixed(size) is None for size in sizes[count:]):
        raise UnsupportedError("what it takes has open sizes")
    place: Any = None
    for axis, size in enumerate(sizes[:count]):
        number = fixed(size)
        length = builder().count(size) if number is None else number
        index = ops.cast(indices[..., axis], "int64")
        index = ops.where(ops.less(index, 0), ops.add(index, length), index)
        place = index if place is None else ops.add(ops.multiply(place, length), index)
    rows = ops.reshape(data, (-1, *(int(size[0] or 0) for size in sizes[count:])))
    return ops.take(rows, place, axis=0)


@lower("ScatterND")
def scatter_nd(data: Tensor, indices: Tensor, updates: Tensor, *, reduction: Literal["none", "add"] = "none") -> Tensor:
    """Return `data` with `updates` at `indices`, or added there."""
    return ops.scatter_update(data, indices, updates, reduction=None if reduction == "none" else "add")


@lower("OneHot")
def one_hot(indices: Tensor, depth: Array, values: Array, *, axis: int = -1) -> Tensor:
    """Return `values[1]` at `indices` of a new axis and `values[0]` elsewhere; negative indices count from the end."""
    size = int(depth.item())
    places = ops.where(ops.less(indices, 0), ops.add(indices, size), indices)
    hot = ops.one_hot(places, size, axis=axis, dtype="bool")
    return ops.where(hot, values[1], values[0])
