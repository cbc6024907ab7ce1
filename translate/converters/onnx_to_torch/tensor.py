"""Joining, cutting, moving, padding, sorting and selecting parts of tensors."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F

from translate.converters.onnx_to_torch.shapes import Size, axis_from_start, entries, is_number
from translate.converters.onnx_to_torch.table import lower
from translate.converters.onnx_to_torch.values import Value, record
from translate.converters.onnx_to_torch.widen import UNSIGNED, widen
from translate.errors import UnsupportedError

# From here on a bound means "to the very end", whatever the size of the axis.
END = np.iinfo(np.int32).max


@lower("Concat")
def concat(*inputs: torch.Tensor, axis: int) -> torch.Tensor:
    """Join tensors along `axis`."""
    return torch.cat(inputs, axis) if len(inputs) > 1 else inputs[0]


@lower("Split")
def split(
    input: torch.Tensor,
    split: torch.Tensor | np.ndarray | None = None,
    *,
    axis: int = 0,
    num_outputs: int | None = None,
) -> tuple[torch.Tensor, ...]:
    """Cut along `axis` into parts of sizes `split`, or into `num_outputs` equal ones, the last perhaps smaller."""
    if split is not None:
        return tuple(torch.split(input, entries(split), axis))
    if num_outputs is None:
        raise UnsupportedError("neither split nor num_outputs is given")
    size = input.size(axis)
    part = -(-size // num_outputs)
    if isinstance(size, int) and size % num_outputs == 0:
        return tuple(torch.split(input, part, axis))
    return tuple(torch.split(input, [part] * (num_outputs - 1) + [size - part * (num_outputs - 1)], axis))


@lower("Slice")
def slice_(
    data: torch.Tensor,
    starts: torch.Tensor | np.ndarray,
    ends: torch.Tensor | np.ndarray,
    axes: np.ndarray | None = None,
    steps: np.ndarray | None = None,
) -> torch.Tensor:
    """Cut the part from `starts` to `ends` (exclusive) by `steps` out of `axes`; negative counts from the end."""
    first, last = entries(starts), entries(ends)
    along = range(len(first)) if axes is None else [axis_from_start(int(axis), data) for axis in axes]
    by = [1] * len(first) if steps is None else [int(step) for step in steps]
    index = [slice(None)] * data.ndim
    for axis, start, end, step in zip(along, first, last, by, strict=True):
        if step < 0:
            # PyTorch has no negative steps: what they would take is cut out and turned around.
            data = torch.flip(data, [axis])
            start, end, step = _turned(start, data.size(axis)), _turned(end, data.size(axis)), -step
        index[axis] = slice(_begin(start), _end(end), step if step != 1 else None)
    while index and _is_whole(index[-1]):
        index.pop()
    return data[tuple(index)] if index else data


def _turned(bound: Size, size: Size) -> Size:
    """Return a bound of a slice that counts down as one of the axis turned around."""
    if not isinstance(bound, int):
        raise UnsupportedError("a slice that counts down has a bound that shows only when the model runs")
    if bound < 0 and isinstance(size, int):
        # Before the first element is after the last one.
        bound = max(bound, -size - 1)
    if bound < 0:
        return -bound - 1 if bound > -END else END
    if isinstance(size, int):
        return max(size - 1 - bound, 0)
    return 0 if bound >= END else record(torch.sym_max, size - 1 - bound, 0)


def _begin(bound: Size) -> Size | None:
    if not isinstance(bound, int):
        return bound
    return None if bound == 0 or bound <= -END else min(bound, END)


def _end(bound: Size) -> Size | None:
    if not isinstance(bound, int):
        return bound
    return None if bound >= END else max(bound, -END)


def _is_whole(part: slice) -> bool:
    return part.start is None and part.stop is None and part.step is None


@lower("Transpose")
def transpose(data: torch.Tensor, *, perm: tuple[int, ...] | None = None) -> torch.Tensor:
    """Reorder the axes: axis `i` of the result is axis `perm[i]` of `data`; without `perm`, in reverse."""
    perm = tuple(reversed(range(data.ndim))) if perm is None else perm
    moved = [axis for axis, source in enumerate(perm) if axis != source]
    if not moved:
        return data
    return data.transpose(*moved) if len(moved) == 2 else data.permute(*perm)


@lower("Tile")
def tile(input: torch.Tensor, repeats: torch.Tensor | np.ndarray) -> torch.Tensor:
    """Repeat `input` along each axis as often as `repeats` says."""
    return input.repeat(entries(repeats))


@lower("Pad")
def pad(
    data: torch.Tensor,
    pads: torch.Tensor | np.ndarray,
    constant_value: torch.Tensor | np.ndarray | None = None,
    axes: np.ndarray | None = None,
    *,
    mode: Literal["constant", "edge", "reflect", "wrap"] = "constant",
) -> torch.Tensor:
    """Pad `axes` by `pads`, all that come before and then all that come after; negative ones cut off."""
    amounts = entries(pads)
    along = list(range(data.ndim)) if axes is None else [axis_from_start(int(axis), data) for axis in axes]
    of_axis = {axis: (amounts[i], amounts[i + len(along)]) for i, axis in enumerate(along)}
    if mode == "constant":
        value = 0 if constant_value is None else entries(constant_value)[0]
        return pad_constant(data, [of_axis.get(axis, (0, 0)) for axis in range(data.ndim)], value)
    for axis, (before, after) in of_axis.items():
        data = _pad_axis(data, axis, before, after, mode)
    return data


def pad_constant(data: torch.Tensor, amounts: list[tuple[Size, Size]], value: Any = 0) -> torch.Tensor:
    """Pad each axis by (before, after) with `value`, or cut off where negative."""
    # torch's begin with the last axis, and may end before the first.
    while amounts and all(is_number(amount, 0) for amount in amounts[0]):
        amounts = amounts[1:]
    if not amounts:
        return data
    flat = [amount for pair in reversed(amounts) for amount in pair]
    return F.pad(data, flat) if is_number(value, 0) else F.pad(data, flat, value=value)


def _pad_axis(data: torch.Tensor, axis: int, before: Size, after: Size, mode: str) -> torch.Tensor:
    """Pad one axis with elements of its own, of which there may be fewer than are added."""
    if is_number(before, 0) and is_number(after, 0):
        return data
    size = data.size(axis)
    position = record(torch.arange, -before, size + after)
    if mode == "edge":
        position = torch.clamp(position, 0, size - 1)
    elif mode == "wrap":
        position = torch.remainder(position, size)
    else:
        # There and back again: positions repeat with this period.
        period = max(2 * (size - 1), 1) if isinstance(size, int) else record(torch.sym_max, 2 * (size - 1), 1)
        position = torch.remainder(position, period)
        position = torch.minimum(position, period - position)
    return torch.index_select(data, axis, position)


@lower("Trilu")
def trilu(input: torch.Tensor, k: torch.Tensor | np.ndarray | None = None, *, upper: int = 1) -> torch.Tensor:
    """Keep the upper or lower triangle of matrices [..., rows, columns], with the diagonal `k`, and zero the rest."""
    if isinstance(k, Value):
        # torch.triu takes no tensor.
        rows, columns = record(torch.arange, input.size(-2)).unsqueeze(1), record(torch.arange, input.size(-1))
        kept = columns - rows >= k if upper else columns - rows <= k
        return torch.where(kept, input, torch.zeros_like(input))
    diagonal = 0 if k is None else entries(k)[0]
    return torch.triu(input, diagonal) if upper else torch.tril(input, diagonal)


@lower("ReverseSequence")
def reverse_sequence(
    input: torch.Tensor, sequence_lens: torch.Tensor, *, batch_axis: int = 1, time_axis: int = 0
) -> torch.Tensor:
    """Reverse the first `sequence_lens[b]` steps of `time_axis` for each b of `batch_axis`."""
    time = record(torch.arange, input.size(time_axis)).unsqueeze(1)
    lengths = sequence_lens.unsqueeze(0)
    # [time, batch]: where each step comes from.
    source = torch.where(time < lengths, lengths - 1 - time, time)
    source = source if time_axis < batch_axis else source.t()
    trailing = [1] * (input.ndim - 2)
    return torch.gather(input, time_axis, source.reshape([*source.shape, *trailing]).expand_as(input))


@lower("Compress")
def compress(input: torch.Tensor, condition: torch.Tensor, *, axis: int | None = None) -> torch.Tensor:
    """Keep the slices along `axis` (elements if None) where `condition` holds; it may be shorter than the axis."""
    flat = input if axis is not None else input.reshape([-1])
    return torch.index_select(flat, axis or 0, torch.nonzero(condition)[:, 0])


@lower("OneHot")
def one_hot(
    indices: torch.Tensor, depth: torch.Tensor | np.ndarray, values: torch.Tensor, *, axis: int = -1
) -> torch.Tensor:
    """Insert at `axis` an axis of size `depth` that is `values[1]` at the index and `values[0]` elsewhere.

    An index may be negative, counting from the end; outside of the axis there is no one.
    """
    (length,) = entries(depth)
    length = length if not isinstance(length, float) else int(length)
    position = indices.to(torch.int64)
    position = torch.where(position < 0, position + length, position)
    axis = axis + indices.ndim + 1 if axis < 0 else axis
    places = record(torch.arange, length).reshape([-1] + [1] * (indices.ndim - axis))
    return torch.where(position.unsqueeze(axis) == places, values[1], values[0])


@lower("NonZero")
def non_zero(x: torch.Tensor) -> torch.Tensor:
    """Return the indices of the elements that are not zero, int64 [rank, count]."""
    return torch.nonzero(x).t()


@lower("TopK")
def top_k(
    x: torch.Tensor, k: torch.Tensor | np.ndarray, *, axis: int = -1, largest: int = 1, sorted: int = 1
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the `k` largest or smallest elements along `axis` and their positions (int64); of equals, the first."""
    (count,) = entries(k)
    # torch.topk does not say which of equal elements it takes; a stable sort does.
    values, positions = torch.sort(widen(x, *UNSIGNED), dim=axis, descending=bool(largest), stable=True)
    taken = values.narrow(axis, 0, count), positions.narrow(axis, 0, count)
    return taken[0].to(x.dtype) if x.dtype in UNSIGNED else taken[0], taken[1]


@lower("Unique")
def unique(x: torch.Tensor, *, axis: int | None = None, sorted: int = 1) -> tuple[torch.Tensor, ...]:
    """Return the distinct slices along `axis` (elements if None), in ascending order or as they come.

    Then, each int64: the first position of each, which distinct one each slice is, and the count of each.
    """
    flat = x.reshape([-1]) if axis is None else x
    along = 0 if axis is None else axis_from_start(axis, x)
    y, which, counts = torch.unique(flat, sorted=True, return_inverse=True, return_counts=True, dim=along)
    length = flat.size(along)
    first = record(torch.full, [y.size(along)], length, dtype=torch.int64)
    first = first.scatter_reduce(0, which, record(torch.arange, length), "amin")
    if not sorted:
        order = torch.argsort(first)
        rank_of = torch.argsort(order)
        y, first, which, counts = torch.index_select(y, along, order), first[order], rank_of[which], counts[order]
    return y, first, which, counts
