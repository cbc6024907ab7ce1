"""Shapes, what changes the shape of a tensor but not its elements, and what is made from a shape."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from keras import layers, ops

from translate.converters.lowering import Context
from translate.converters.onnx_to_keras.build import builder
from translate.converters.onnx_to_keras.dtypes import dtype_of
from translate.converters.onnx_to_keras.table import Array, Tensor, lower
from translate.converters.onnx_to_keras.worlds import Size, fixed
from translate.errors import UnsupportedError


def sizes_of(context: Context, place: int = 0) -> list[Size]:
    """Return the sizes of the axes of an input of the node. Raises `UnsupportedError` where they are not known."""
    return _known(context.node.inputs[place])


def result_sizes(context: Context) -> list[Size]:
    """Return the sizes of the axes of the node's output. Raises `UnsupportedError` where they are not known."""
    return _known(context.node.outputs[0])


def _known(value: Any) -> list[Size]:
    sizes = builder().worlds.shape(value)
    if sizes is None:
        raise UnsupportedError("the number of axes shows only when the model runs")
    return list(sizes)


@lower("Shape")
def shape(data: Tensor, *, start: int = 0, end: int | None = None, context: Context) -> Tensor:
    """Return the sizes of axes `start` to `end` (exclusive), a vector of int64."""
    sizes = sizes_of(context)[start:end]
    numbers = [fixed(size) for size in sizes]
    return ops.stack(
        [
            builder().count(size) if number is None else ops.cast(ops.multiply(builder().one("int64"), number), "int64")
            for size, number in zip(sizes, numbers, strict=True)
        ]
    )


@lower("Reshape")
def reshape(data: Tensor, shape: Tensor | Array, *, allowzero: int = 0, context: Context) -> Tensor:
    """Give `data` the sizes in `shape`: -1 is what is left over; 0 keeps the size of the axis unless `allowzero`.

    Limits: of several sizes that are open, all but one must be sizes of axes before.
    """
    return reshaped(data, sizes_of(context), result_sizes(context))


@lower("Flatten")
def flatten(input: Tensor, *, axis: int = 1, context: Context) -> Tensor:
    """Flatten to a matrix: the axes before `axis` to the rows, the others to the columns."""
    return reshaped(input, sizes_of(context), result_sizes(context))


def reshaped(x: Tensor, before: Sequence[Size], after: Sequence[Size]) -> Tensor:
    """Give x, of the sizes `before`, those of `after`. Raises `UnsupportedError` where Keras cannot say it."""
    first = builder().origin(x)
    try:
        y = _reshaped(x, before, after)
    except UnsupportedError:
        if first is None:
            raise
        y = _reshaped(first.tensor, first.sizes, after)
    builder().keep_origin(y, after, *((x, before) if first is None else (first.tensor, first.sizes)))
    return y


def _reshaped(x: Tensor, before: Sequence[Size], after: Sequence[Size]) -> Tensor:
    if list(before) == list(after) and None not in {number for size in before for number in size}:
        return x
    wanted = [fixed(size) for size in after]
    if wanted and before and after[0] == before[0] and wanted[0] is None and wanted[1:].count(None) <= 1:
        # The layer keeps the first axis as it is.
        return layers.Reshape(tuple(-1 if size is None else size for size in wanted[1:]))(x)
    if wanted.count(None) <= 1:
        return ops.reshape(x, tuple(-1 if size is None else size for size in wanted))
    if any(None in size for size in (*before, *after)):
        raise UnsupportedError("several of its sizes show only when the model runs")
    for here, there in _kept(before, after):
        rest = [fixed(size) for place, size in enumerate(after) if place != there]
        if rest.count(None) <= 1:
            first = ops.moveaxis(x, here, 0)
            y = layers.Reshape(tuple(-1 if size is None else size for size in rest))(first)
            return ops.moveaxis(y, 0, there)
    return _split(x, before, after)


def _kept(before: Sequence[Size], after: Sequence[Size]) -> list[tuple[int, int]]:
    """Return the open axes that are the same before and after, with as many elements to their left."""
    pairs = [(here, there) for here in range(len(before)) for there in range(len(after))]
    return [
        (here, there)
        for here, there in pairs
        if before[here] == after[there]
        and fixed(before[here]) is None
        and _product(before[:here]) == _product(after[:there])
    ]


def _product(sizes: Sequence[Size]) -> tuple[int, ...]:
    worlds = zip(*sizes, strict=True) if sizes else ((), ())
    return tuple(int(np.prod([number or 0 for number in world])) for world in worlds)


def _split(x: Tensor, before: Sequence[Size], after: Sequence[Size]) -> Tensor:
    """Split one axis into an open one and a known one after it: [B * H, ...] to [B, H, ...]."""
    axis = next((place for place, sizes in enumerate(zip(before, after, strict=False)) if len(set(sizes)) > 1), 0)
    parts = fixed(after[axis + 1]) if len(after) == len(before) + 1 else None
    if parts is None or list(before[axis + 1 :]) != list(after[axis + 2 :]):
        raise UnsupportedError("it has several open sizes that its input has not")
    index = (slice(None),) * axis
    return ops.stack([x[(*index, slice(part, None, parts))] for part in range(parts)], axis=axis + 1)


@lower("Squeeze")
def squeeze(data: Tensor, axes: Array | None = None) -> Tensor:
    """Remove `axes` of size 1, or all of them."""
    if axes is None:
        return ops.squeeze(data)
    return ops.squeeze(data, axis=tuple(int(axis) for axis in axes.ravel())) if axes.size else data


@lower("Unsqueeze")
def unsqueeze(data: Tensor, axes: Array) -> Tensor:
    """Insert axes of size 1, so that they are `axes` of the result."""
    rank = len(data.shape) + axes.size
    for axis in sorted(int(axis) % rank for axis in axes.ravel()):
        data = ops.expand_dims(data, axis)
    return data


@lower("Transpose")
def transpose(data: Tensor, *, perm: Sequence[int] | None = None) -> Tensor:
    """Put the axes in the order `perm`, or in reverse."""
    order = tuple(perm) if perm is not None else tuple(reversed(range(len(data.shape))))
    if len(order) > 1 and order[0] == 0:
        return layers.Permute(order[1:])(data)
    return ops.transpose(data, order)


@lower("Expand")
def expand(input: Tensor, shape: Tensor | Array, *, context: Context) -> Tensor:
    """Broadcast `input` and a tensor of the sizes in `shape` against each other."""
    return broadcast(input, sizes_of(context), result_sizes(context))


def broadcast(x: Tensor, before: Sequence[Size], after: Sequence[Size]) -> Tensor:
    """Broadcast x, of the sizes `before`, to the sizes `after`."""
    rank = len(after)
    before = [(1,) * len(after[0])] * (rank - len(before)) + list(before) if after else []
    if rank > len(x.shape):
        x = ops.expand_dims(x, tuple(range(rank - len(x.shape))))
    grown = [axis for axis in range(rank) if before[axis] != after[axis]]
    for axis in grown:
        size = fixed(after[axis])
        ones = np.ones(size, np.int32) if size is not None else builder().ones(after[axis])
        line = ops.reshape(ones, [-1 if place == axis else 1 for place in range(rank)])
        if dtype_of(x) == "bool":
            x = ops.logical_and(x, ops.cast(line, "bool"))
        else:
            x = ops.multiply(x, ops.cast(line, dtype_of(x)))
    return x


@lower("ConstantOfShape")
def constant_of_shape(input: Tensor | Array, *, value: np.ndarray[Any, Any] | None = None, context: Context) -> Tensor:
    """Return a tensor with the sizes in `input`, filled with `value` (one element; float32 zero if absent)."""
    element = np.zeros([], np.float32) if value is None else value.reshape([])
    after = result_sizes(context)
    one = np.broadcast_to(element, [1] * len(after)).copy()
    return broadcast(one, [(1, 1)] * len(after), after)


@lower("Range")
def range_(
    start: Tensor | Array,
    limit: Tensor | Array,
    delta: Tensor | Array,
    *,
    stash_type: Literal[1] = 1,
    context: Context,
) -> Tensor:
    """Return the numbers from `start` by steps of `delta` up to `limit` (exclusive), as a vector.

    Limits: how many they are must follow from the sizes of the inputs.
    """
    (count,) = result_sizes(context)
    if None in count:
        raise UnsupportedError("how many numbers there are shows only when the model runs")
    dtype = context.node.outputs[0].dtype
    name = "int64" if dtype is None else dtype.numpy().name
    numbers = ops.cast(builder().positions(count), name)
    start, delta = (builder().tensor(value) for value in (start, delta))
    if not _is(delta, 1):
        numbers = ops.multiply(numbers, ops.reshape(delta, ()))
    return numbers if _is(start, 0) else ops.add(numbers, ops.reshape(start, ()))


def _is(value: Any, number: int) -> bool:
    return isinstance(value, np.ndarray) and value.size == 1 and value.item() == number


@lower("Identity")
def identity(input: Tensor) -> Tensor:
    """Return `input`."""
    return input


@lower("Dropout")
def dropout(data: Tensor, ratio: Array | None = None, training_mode: Array | None = None) -> Tensor:
    """Return `data`.

    Limits: not in training mode.
    """
    if training_mode is not None and bool(training_mode):
        raise UnsupportedError("it drops elements at random")
    return data
