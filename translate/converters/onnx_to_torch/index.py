"""Gathering and scattering by indices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, TypeAlias

import numpy as np
import torch
from torch import nn

from translate.converters.onnx_to_torch.control import repeat_while
from translate.converters.onnx_to_torch.layers import layer
from translate.converters.onnx_to_torch.shapes import Size, axis_from_start, entries, product, tensor
from translate.converters.onnx_to_torch.table import lower
from translate.converters.onnx_to_torch.values import Weight, record

Either: TypeAlias = torch.Tensor | np.ndarray


@lower("Gather")
def gather(data: torch.Tensor, indices: torch.Tensor | np.ndarray, *, axis: int = 0) -> torch.Tensor:
    """Take slices of `data` along `axis`: the axes of `indices` take its place. Negative indices count from the end.

    A weight [rows, columns] becomes an nn.Embedding, for which indices must not be negative.
    """
    axis = axis_from_start(axis, data)
    if isinstance(indices, np.ndarray):
        if indices.ndim == 0:
            return data.select(axis, int(indices))
        if indices.size == 1 and indices.ndim == 1 and int(indices[0]) >= 0:
            return data.narrow(axis, int(indices[0]), 1)
    elif isinstance(data, Weight) and data.ndim == 2 and axis == 0:
        rows, columns = data.shape
        y = layer(lambda: nn.Embedding(rows, columns, dtype=data.dtype), tensor(indices), weight=data)
        if y is not None:
            return y
    places = tensor(indices).to(torch.int64)
    if places.ndim == 0:
        # PyTorch would read a single index as a number, to take a view.
        return data[(slice(None),) * axis + (places.reshape([1]),)].squeeze(axis)
    return data[(slice(None),) * axis + (places,)]


@lower("GatherElements")
def gather_elements(data: torch.Tensor, indices: torch.Tensor, *, axis: int = 0) -> torch.Tensor:
    """Take one element of `data` for each of `indices`, from its own place but along `axis`."""
    return torch.gather(data, axis, counted_from_start(indices, data.size(axis)))


def counted_from_start(indices: torch.Tensor, size: Size) -> torch.Tensor:
    """Return `indices` into an axis of `size`, which may count from its end, as int64 from its start."""
    indices = indices.to(torch.int64)
    return torch.where(indices < 0, indices + size, indices)


@lower("GatherND")
def gather_nd(data: torch.Tensor, indices: torch.Tensor, *, batch_dims: int = 0) -> torch.Tensor:
    """Take a slice of `data` for each vector along the last axis of `indices`, behind `batch_dims` common axes."""
    if batch_dims:
        sizes = [data.size(axis) for axis in range(batch_dims)]
        data = data.reshape([-1, *data.shape[batch_dims:]])
        indices = indices.reshape([-1, *indices.shape[batch_dims:]])
        depth = indices.shape[-1]
        rows = record(torch.arange, data.size(0)).reshape([-1] + [1] * (indices.ndim - 2)).expand(indices.shape[:-1])
        picked = data[(rows, *(indices[..., i] for i in range(depth)))]
        return picked.reshape([*sizes, *picked.shape[1:]])
    return data[tuple(indices[..., i] for i in range(indices.shape[-1]))]


@lower("ScatterElements")
def scatter_elements(
    data: torch.Tensor,
    indices: torch.Tensor,
    updates: torch.Tensor,
    *,
    axis: int = 0,
    reduction: Literal["none", "add", "mul", "max", "min"] = "none",
) -> torch.Tensor:
    """Put each element of `updates` into its own place of `data`, but along `axis` where `indices` says."""
    places = counted_from_start(indices, data.size(axis))
    if reduction == "none":
        return data.scatter(axis, places, updates)
    return data.scatter_reduce(axis, places, updates, REDUCTIONS[reduction])


@lower("Scatter")
def scatter(data: torch.Tensor, indices: torch.Tensor, updates: torch.Tensor, *, axis: int = 0) -> torch.Tensor:
    """Do as ScatterElements, which took its place in opset 11."""
    return scatter_elements(data, indices, updates, axis=axis)


REDUCTIONS = {"add": "sum", "mul": "prod", "max": "amax", "min": "amin"}


@lower("ScatterND")
def scatter_nd(
    data: torch.Tensor,
    indices: torch.Tensor,
    updates: torch.Tensor,
    *,
    reduction: Literal["none", "add", "mul", "max", "min"] = "none",
) -> torch.Tensor:
    """Put a slice of `updates` into a copy of `data` for each vector along the last axis of `indices`."""
    depth = indices.shape[-1]
    places = tuple(counted_from_start(indices[..., i], data.size(i)) for i in range(depth))
    if reduction in ("none", "add"):
        return torch.index_put(data, places, updates, accumulate=reduction == "add")
    # One index into the axes that are addressed, taken as one.
    flat = places[0]
    for axis in range(1, depth):
        flat = flat * data.size(axis) + places[axis]
    rows = data.reshape([product(data.shape[:depth]), *data.shape[depth:]])
    flat = flat.reshape([-1] + [1] * (data.ndim - depth))
    changes = updates.reshape([-1, *data.shape[depth:]])
    result = rows.scatter_reduce(0, flat.expand_as(changes), changes, REDUCTIONS[reduction])
    return result.reshape(list(data.shape))


@lower("TensorScatter")
def tensor_scatter(
    past_cache: torch.Tensor,
    update: torch.Tensor,
    write_indices: torch.Tensor | None = None,
    *,
    axis: int = -2,
    mode: Literal["linear", "circular"] = "linear",
) -> torch.Tensor:
    """Write `update` into `past_cache`, both [batch, .., sequence, ..], from step `write_indices[b]` of `axis` on.

    In circular mode the steps past the end of the cache go to its start.
    """
    axis = axis_from_start(axis, past_cache)
    step = record(torch.arange, update.size(axis)).reshape([-1] + [1] * (update.ndim - axis - 1))
    if write_indices is not None:
        step = step + write_indices.to(torch.int64).reshape([-1] + [1] * (update.ndim - 1))
    if mode == "circular":
        step = torch.remainder(step, past_cache.size(axis))
    return past_cache.scatter(axis, step.expand_as(update), update)


@lower("NonMaxSuppression")
def non_max_suppression(
    boxes: torch.Tensor,
    scores: torch.Tensor,
    max_output_boxes_per_class: Either | None = None,
    iou_threshold: Either | None = None,
    score_threshold: Either | None = None,
    *,
    center_point_box: int = 0,
) -> torch.Tensor:
    """Select boxes by falling score, leaving out those that overlap a selected one by more than `iou_threshold`.

    `boxes` is [batch, box, 4], corners (y1, x1, y2, x2) or, with `center_point_box`, (x, y, width, height); `scores` is
    [batch, class, box]. Returns int64 [selected, 3]: batch, class, box.

    Limits: at least one box.
    """
    if center_point_box:
        centre, half = boxes[..., :2], boxes[..., 2:] / 2
        low, high = centre - half, centre + half
    else:
        low, high = torch.minimum(boxes[..., :2], boxes[..., 2:]), torch.maximum(boxes[..., :2], boxes[..., 2:])
    area = (high - low).prod(-1)
    most = _at_most(max_output_boxes_per_class, boxes.size(1))
    slots, places = record(torch.arange, most), record(torch.arange, boxes.size(1))
    limit = 0.0 if iou_threshold is None else _scalar(iou_threshold)
    nothing = float("-inf")

    def select(state: Sequence[Any]) -> tuple[Any, Sequence[Any]]:
        count, left, selected = state
        # The best box that is left, [batch, class, 1], of each class at once; where all are gone it is none.
        best = left.argmax(-1, True)
        found = torch.gather(left, 2, best) > nothing
        selected = torch.where(found & (slots == count), best, selected)
        pair = best.expand([-1, -1, 2])
        own_low, own_high = (torch.gather(corner, 1, pair).unsqueeze(2) for corner in (low, high))
        shared = torch.minimum(own_high, high.unsqueeze(1)) - torch.maximum(own_low, low.unsqueeze(1))
        intersection = torch.clamp(shared, min=0).prod(-1)
        union = (own_high - own_low).prod(-1) + area.unsqueeze(1) - intersection
        overlap = torch.where(union > 0, intersection / union, 0.0)
        left = torch.where((overlap > limit) | (places == best), nothing, left)
        return (left > nothing).any() & (count + 1 < most), (count + 1, left, selected)

    left = scores if score_threshold is None else torch.where(scores > _scalar(score_threshold), scores, nothing)
    empty = record(torch.full, [scores.size(0), scores.size(1), most], -1, dtype=torch.int64)
    _, _, selected = repeat_while(select, (record(torch.zeros, [], dtype=torch.int64), left, empty))
    which = torch.nonzero(selected >= 0)
    box = selected[which[:, 0], which[:, 1], which[:, 2]]
    return torch.cat([which[:, :2], box.unsqueeze(1)], 1)


def _at_most(number: Either | None, boxes: Size) -> Size:
    most = 0 if number is None else entries(number)[0]
    if isinstance(most, int) and isinstance(boxes, int):
        return min(most, boxes)
    return record(torch.sym_min, most, boxes)


def _scalar(number: Either) -> Any:
    return entries(number)[0] if isinstance(number, np.ndarray) else number.reshape([])
