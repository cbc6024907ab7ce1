"""Joining, cutting, padding and selecting parts of tensors."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from keras import ops

from translate.converters.lowering import Context
from translate.converters.onnx_to_keras.build import Sizes, builder
from translate.converters.onnx_to_keras.dtypes import dtype_of
from translate.converters.onnx_to_keras.shape import result_sizes, sizes_of
from translate.converters.onnx_to_keras.table import CHANNELS_LAST, Array, Tensor, lower
from translate.converters.onnx_to_keras.worlds import Size, fixed
from translate.errors import UnsupportedError

# ONNX's "to the end", whatever the size of the axis.
_END = 2**31 - 1


@lower("Concat")
def concat(*inputs: Tensor, axis: int) -> Tensor:
    """Join tensors along `axis`."""
    return ops.concatenate(list(inputs), axis=axis)


@lower("Split")
def split(
    input: Tensor,
    split: Tensor | Array | None = None,
    *,
    axis: int = 0,
    num_outputs: int | None = None,
    context: Context,
) -> tuple[Tensor, ...]:
    """Cut along `axis` into parts of sizes `split`, or into `num_outputs` equal ones.

    Limits: the sizes of the parts must be known.
    """
    axis %= len(input.shape)
    parts, start = [], 0
    for value in context.node.outputs:
        sizes = builder().worlds.shape(value)
        size = None if sizes is None else fixed(sizes[axis])
        if size is None:
            raise UnsupportedError("the sizes of its parts are open")
        parts.append(input[(*(slice(None),) * axis, slice(start, start + size))])
        start += size
    return tuple(parts)


@lower("Slice")
def slice_(
    data: Tensor,
    starts: Tensor | Array,
    ends: Tensor | Array,
    axes: Array | None = None,
    steps: Array | None = None,
    *,
    context: Context,
) -> Tensor:
    """Cut the part from `starts` to `ends` (exclusive) by `steps` out of `axes`; negative counts from the end.

    Limits: axes and steps must be known.
    """
    before, after = sizes_of(context), result_sizes(context)
    first, last = _entries(starts), _entries(ends)
    of_axis = range(len(first)) if axes is None else [int(axis) % len(before) for axis in axes.ravel()]
    strides = [1] * len(first) if steps is None else [int(step) for step in steps.ravel()]
    index: list[slice] = [slice(None)] * len(before)
    for axis, start, end, step in zip(of_axis, first, last, strides, strict=True):
        if before[axis] == after[axis] and step == 1 and None not in before[axis]:
            continue
        begin, stop = fixed(start), fixed(end)
        if _is_to_the_end(before[axis], end):
            stop = None
        elif stop is None:
            # Counted from the end, it may be the same in all worlds.
            stop = _from_the_end(before[axis], end)
            begin = None if stop is None else begin
        if begin is None:
            if step != 1:
                raise UnsupportedError("where its steps begin or end is open")
            data = _taken(data, axis, starts, first.index(start), after[axis])
            continue
        index[axis] = slice(begin, stop, step)
    return data if all(part == slice(None) for part in index) else data[tuple(index)]


def _entries(value: Any) -> list[Size]:
    if isinstance(value, Sizes):
        return value.entries()
    if isinstance(value, np.ndarray):
        return [(int(entry), int(entry)) for entry in value.ravel()]
    raise UnsupportedError("where it begins or ends shows only when the model runs")


def _is_to_the_end(sizes: Size, end: Size) -> bool:
    ends = [stop or 0 for stop in end]
    return all(stop >= (_END if size is None else size) for size, stop in zip(sizes, ends, strict=True))


def _from_the_end(sizes: Size, end: Size) -> int | None:
    if None in sizes:
        return None
    rest = {stop - size for size, stop in zip(sizes, end, strict=True) if size is not None and stop is not None}
    number = rest.pop()
    return number if not rest and number < 0 else None


def _taken(data: Tensor, axis: int, starts: Any, place: int, size: Size) -> Tensor:
    """Return `size` elements of an axis from an entry of `starts` on."""
    begin = _entries(starts)[place]
    positions = builder().positions(size)
    if begin != (0, 0):
        first = builder().tensor(starts)
        positions = ops.add(positions, ops.cast(ops.reshape(first, (-1,))[place], "int64"))
    return ops.take(data, positions, axis=axis)


@lower("Pad")
def pad(
    data: Tensor,
    pads: Array,
    constant_value: Array | None = None,
    axes: Array | None = None,
    *,
    mode: Literal["constant", "reflect"] = "constant",
) -> Tensor:
    """Add elements before and after along `axes`: a constant, or a reflection without the border.

    Limits: how many must be known, and none may be negative.
    """
    rank = len(data.shape)
    of_axis = range(rank) if axes is None else [int(axis) % rank for axis in axes.ravel()]
    amounts = [(0, 0)] * rank
    for place, axis in enumerate(of_axis):
        amounts[axis] = int(pads[place]), int(pads[place + len(of_axis)])
    if any(amount < 0 for pair in amounts for amount in pair):
        raise UnsupportedError("its padding is negative")
    if mode == "reflect":
        return ops.pad(data, amounts, mode="reflect")
    fill = None if constant_value is None or not constant_value.size else constant_value.item()
    return ops.pad(data, amounts, constant_values=fill or None)


@lower("Tile")
def tile(input: Tensor, repeats: Array) -> Tensor:
    """Repeat the whole along each axis.

    Limits: how often must be known.
    """
    return ops.tile(input, tuple(int(count) for count in repeats))


@lower("DepthToSpace", domain=CHANNELS_LAST)
def depth_to_space(x: Tensor, *, blocksize: int, mode: Literal["DCR", "CRD"] = "DCR") -> Tensor:
    """Move channels of x [N, H, W, C] into blocks of the image."""
    if mode == "CRD":
        # Keras has the blocks outside of the channels.
        channels = x.shape[-1] // blocksize**2
        order = np.arange(x.shape[-1]).reshape(channels, blocksize**2).T.ravel()
        x = ops.take(x, order, axis=-1)
    return ops.depth_to_space(x, blocksize)


@lower("SpaceToDepth", domain=CHANNELS_LAST)
def space_to_depth(x: Tensor, *, blocksize: int) -> Tensor:
    """Move blocks of the image x [N, H, W, C] into channels."""
    return ops.space_to_depth(x, blocksize)


@lower("TopK")
def top_k(x: Tensor, k: Array, *, axis: int = -1, largest: int = 1, sorted: int = 1) -> tuple[Tensor, Tensor]:
    """Return the `k` largest or smallest elements along `axis` in order, and their int64 indices.

    Limits: real numbers only where the smallest are wanted.
    """
    y = ops.swapaxes(x, axis, -1)
    values, places = ops.top_k(y if largest else ops.negative(y), int(k.item()))
    values = values if largest else ops.negative(values)
    return ops.swapaxes(values, axis, -1), ops.cast(ops.swapaxes(places, axis, -1), "int64")


@lower("Trilu")
def trilu(input: Tensor, k: Array | None = None, *, upper: int = 1) -> Tensor:
    """Keep the upper or lower triangle of matrices, from diagonal `k` on."""
    diagonal = 0 if k is None else int(k.item())
    if dtype_of(input) == "bool":
        kept = (ops.triu if upper else ops.tril)(ops.cast(input, "int32"), diagonal)
        return ops.cast(kept, "bool")
    return (ops.triu if upper else ops.tril)(input, diagonal)
