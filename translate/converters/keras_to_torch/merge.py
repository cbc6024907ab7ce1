"""Layers that make one tensor of several."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any

import torch
import torch.nn.functional as F

from translate.converters.keras_to_torch.here import axis_here
from translate.converters.keras_to_torch.layout import Flow, any_order, identity
from translate.converters.keras_to_torch.masks import merged, stopped
from translate.converters.keras_to_torch.table import lower
from translate.errors import UnsupportedError

_FUNCTIONS: dict[str, Callable[[Any, Any], Any]] = {
    "Add": lambda x, y: x + y,
    "Multiply": lambda x, y: x * y,
    "Maximum": torch.maximum,
    "Minimum": torch.minimum,
    "Subtract": lambda x, y: x - y,
}


def _of_one_rank(xs: Sequence[torch.Tensor]) -> list[torch.Tensor]:
    """Give all tensors as many axes as the one with most of them has, by axes of size 1 behind the batch."""
    rank = max(x.ndim for x in xs)
    return [x[(slice(None), *[None] * (rank - x.ndim))] if x.ndim < rank else x for x in xs]


def _register(name: str, function: Callable[[Any, Any], Any]) -> None:
    @lower(name, layout=any_order, mask=merged)
    def row(layer: Any, xs: Sequence[torch.Tensor]) -> torch.Tensor:
        """Combine the inputs element by element."""
        return reduce(function, _of_one_rank(xs))


for _name, _function in _FUNCTIONS.items():
    _register(_name, _function)


@lower("Average", layout=any_order, mask=merged)
def average(layer: Any, xs: Sequence[torch.Tensor]) -> torch.Tensor:
    """Average the inputs."""
    return reduce(_FUNCTIONS["Add"], _of_one_rank(xs)) / len(xs)


def _mask_of_concatenate(layer: Any, inputs: Sequence[Flow], masks: Any) -> Any:
    masks = list(masks or [])
    if all(mask is None for mask in masks):
        return None
    rank = inputs[0].rank
    if layer.axis % rank == 0 or rank < 2:
        raise UnsupportedError("the mask of a concatenation along the batch")
    held = []
    for flow, mask in zip(inputs, masks, strict=True):
        x = flow.ordered(identity(rank))
        whole = torch.ones_like(x, dtype=torch.bool)
        if mask is None:
            held.append(whole)
        else:
            own = mask.value
            held.append(own.reshape([*own.shape, *[1] * (rank - own.ndim)]) & whole)
    return torch.all(torch.cat(held, layer.axis % rank), -1)


@lower("Concatenate", layout=any_order, mask=_mask_of_concatenate)
def concatenate(layer: Any, xs: Sequence[torch.Tensor]) -> torch.Tensor:
    """Put the inputs one after the other along an axis."""
    return torch.cat(list(xs), axis_here(layer.axis, xs[0].ndim))


@lower("Dot", mask=stopped)
def dot(layer: Any, xs: Sequence[torch.Tensor]) -> torch.Tensor:
    """Multiply two tensors and add up along an axis of each, for each sample."""
    x, y = xs
    axes = layer.axes if isinstance(layer.axes, list | tuple) else (layer.axes, layer.axes)
    i, j = axes[0] % x.ndim, axes[1] % y.ndim
    if layer.normalize:
        x, y = F.normalize(x, dim=i), F.normalize(y, dim=j)
    first = "abcdefgh"[: x.ndim]
    second = "a" + "rstuvwxy"[: y.ndim - 1]
    second = second[:j] + first[i] + second[j + 1 :]
    result = first.replace(first[i], "") + second[1:].replace(first[i], "")
    summed = torch.einsum(f"{first},{second}->{result}", x, y)
    return summed.unsqueeze(1) if len(result) == 1 else summed
