"""Operations that take numbers from places, or put them there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from translate.converters.keras_to_torch.ops.dtypes import torch_dtype
from translate.converters.keras_to_torch.table import lower
from translate.converters.onnx_to_torch.values import Value, record, static_size
from translate.errors import UnsupportedError


@lower("Take", part="ops")
def take(op: Any, x: torch.Tensor, *, indices: Any) -> torch.Tensor:
    """Take elements along an axis."""
    if isinstance(indices, int):
        return x.select(op.axis, indices) if op.axis is not None else x.flatten()[indices]
    if not isinstance(indices, Value):
        indices = record(torch.tensor, indices)
    axis = 0 if op.axis is None else op.axis % x.ndim
    x = x.flatten() if op.axis is None else x
    return x[(*[slice(None)] * axis, indices.to(torch.int64))]


@lower("TakeAlongAxis", part="ops")
def take_along_axis(op: Any, x: torch.Tensor, *, indices: torch.Tensor) -> torch.Tensor:
    """Take elements along an axis, for each place at another index."""
    x, axis = (x.flatten(), 0) if op.axis is None else (x, op.axis)
    places = indices.to(torch.int64)
    return torch.take_along_dim(x, torch.where(places < 0, places + x.size(axis), places), axis)


@lower("OneHot", part="ops")
def one_hot(op: Any, x: torch.Tensor) -> torch.Tensor:
    """Write a number as a vector that is one at its place; none for what is out of range."""
    hot: torch.Tensor = x.unsqueeze(-1) == record(torch.arange, op.num_classes)
    hot = hot.to(torch_dtype(op.dtype or "float32"))
    return hot if op.axis in (-1, x.ndim) else torch.movedim(hot, -1, op.axis)


@lower("MultiHot", part="ops", own_dtype=True)
def multi_hot(op: Any, x: torch.Tensor) -> torch.Tensor:
    """Write the numbers of the second axis as one vector that is one at their places.

    Limits: the classes as the last axis.
    """
    if op.axis != -1:
        raise UnsupportedError("an axis that is not the last")
    hot = torch.any(x.unsqueeze(-1) == record(torch.arange, op.num_classes), 1 if x.ndim > 1 else 0)
    return hot.to(torch_dtype(op.dtype or "float32"))


@lower("Nonzero", part="ops")
def nonzero(op: Any, x: torch.Tensor) -> list[torch.Tensor]:
    """Return where the elements are that are not zero: for each axis, their indices."""
    places = torch.nonzero(x)
    return [places[:, axis] for axis in range(x.ndim)]


@lower("UnravelIndex", part="ops")
def unravel_index(op: Any, indices: torch.Tensor) -> tuple[Any, ...]:
    """Return the index along each axis of what has a number when all are counted.

    Limits: indices of one axis.
    """
    if indices.ndim != 1:
        raise UnsupportedError("indices of several axes")
    parts: list[Any] = []
    for size in reversed(op.shape):
        parts.insert(0, indices % size)
        indices = indices // size
    return tuple(parts)


@lower("Scatter", part="ops")
def scatter(op: Any, indices: torch.Tensor, *, values: torch.Tensor) -> Any:
    """Put values [N, ...] at indices [N, K] of a tensor of zeros; those at one place are added up."""
    zeros = record(torch.zeros, list(op.shape), dtype=values.dtype)
    return zeros.index_put(_columns(indices), values, accumulate=True)


def _columns(indices: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """Return the indices [..., K] for each axis."""
    count = static_size(indices, indices.ndim - 1)
    if count is None:
        raise UnsupportedError("indices of an unknown number of axes")
    places = indices.to(torch.int64)
    return tuple(places[..., axis] for axis in range(count))


@lower("ScatterUpdate", part="ops")
def scatter_update(op: Any, inputs: torch.Tensor, *, indices: Any, updates: torch.Tensor) -> torch.Tensor:
    """Put values at indices [..., K] of a tensor, in the place of what is there or added to it.

    Limits: no reduction or "add".
    """
    if op.reduction not in (None, "add"):
        raise UnsupportedError(f"the reduction {op.reduction}")
    if not isinstance(indices, Value):
        indices = record(torch.tensor, indices)
    return inputs.index_put(_columns(indices), updates.to(inputs.dtype), accumulate=op.reduction == "add")


def _starts(start_indices: Any, rank: int) -> list[Any]:
    """Return the first index along each axis: a number, or a tensor without axes."""
    if isinstance(start_indices, Value):
        return [start_indices[axis] for axis in range(rank)]
    return list(start_indices)


def _places(start: Any, size: int) -> Any:
    """Return the indices of a slice: a slice where its start is known, else a tensor."""
    if isinstance(start, int):
        return slice(start, start + size)
    return start.to(torch.int64) + record(torch.arange, size)


@lower("Slice", part="ops")
def slice_(op: Any, inputs: torch.Tensor, *, start_indices: Any) -> torch.Tensor:
    """Cut a block of a given shape out, from indices on."""
    for axis, (start, size) in enumerate(zip(_starts(start_indices, inputs.ndim), op.shape, strict=True)):
        if size is None or size == -1:
            inputs = inputs[(*[slice(None)] * axis, slice(start, None))]
        elif isinstance(start, Value) or start != 0 or size != static_size(inputs, axis):
            inputs = inputs[(*[slice(None)] * axis, _places(start, size))]
    return inputs


@lower("SliceUpdate", part="ops")
def slice_update(op: Any, inputs: torch.Tensor, *, start_indices: Any, updates: torch.Tensor) -> torch.Tensor:
    """Put a block into a tensor, from indices on."""
    places = []
    for axis, start in enumerate(_starts(start_indices, inputs.ndim)):
        size = updates.size(axis)
        begin = start.to(torch.int64) if isinstance(start, Value) else start
        at = record(torch.arange, size) + begin
        places.append(at.reshape([-1 if other == axis else 1 for other in range(inputs.ndim)]))
    return inputs.index_put(tuple(places), updates.to(inputs.dtype))


# What a segment without elements is, and how PyTorch calls the reduction.
_SEGMENTS: dict[str, tuple[str, Callable[[torch.dtype], Any]]] = {
    "SegmentSum": ("sum", lambda dtype: 0),
    "SegmentProd": ("prod", lambda dtype: 1),
    "SegmentMax": ("amax", lambda dtype: _limits(dtype).min),
    "SegmentMin": ("amin", lambda dtype: _limits(dtype).max),
}


def _limits(dtype: torch.dtype) -> Any:
    return torch.finfo(dtype) if dtype.is_floating_point else torch.iinfo(dtype)


@lower(*_SEGMENTS, part="ops")
def segment(op: Any, data: torch.Tensor, *, segment_ids: torch.Tensor) -> Any:
    """Reduce the slices [N, ...] that belong to one segment.

    Limits: a number of segments that is given.
    """
    if op.num_segments is None:
        raise UnsupportedError("a number of segments that depends on the data")
    reduction, empty = _SEGMENTS[type(op).__name__]
    # A negative number, or one that is too large, is of no segment; one row more takes what belongs to them.
    ids = segment_ids.to(torch.int64)
    ids = torch.where((ids < 0) | (ids >= op.num_segments), op.num_segments, ids)
    places = ids.reshape([-1] + [1] * (data.ndim - 1)).expand(data.shape)
    start = record(torch.full, [op.num_segments + 1, *data.shape[1:]], empty(data.dtype), dtype=data.dtype)
    return start.scatter_reduce(0, places, data, reduction)[: op.num_segments]
