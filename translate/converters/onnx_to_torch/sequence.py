"""Sequences and optionals: Python lists of tensors and None, which are gone once the model is translated."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import torch

from translate.converters.onnx_to_torch.shapes import entries, tensor
from translate.converters.onnx_to_torch.table import lower
from translate.converters.operators.sequence import LOWERINGS
from translate.errors import UnsupportedError

Either: TypeAlias = torch.Tensor | np.ndarray


for _op_type, _function in LOWERINGS.items():
    lower(_op_type)(_function)


@lower("SequenceAt")
def sequence_at(input_sequence: list[Any], position: Either) -> Any:
    """Return the element at `position`, which may count from the end.

    Limits: where `position` is computed, all elements must have one shape.
    """
    if isinstance(position, np.ndarray):
        return input_sequence[int(position.item())]
    return torch.stack([tensor(item) for item in input_sequence])[position.reshape([1])].squeeze(0)


@lower("SequenceInsert")
def sequence_insert(
    input_sequence: list[Any], tensor: list[Any] | torch.Tensor, position: Either | None = None
) -> list[Any]:
    """Return the sequence with `tensor` before `position`, which may count from the end; at the end if absent.

    Limits: `position` must be known when translating.
    """
    place = len(input_sequence) if position is None else _known(position)
    place = place + len(input_sequence) if place < 0 else place
    return [*input_sequence[:place], tensor, *input_sequence[place:]]


@lower("SequenceErase")
def sequence_erase(input_sequence: list[Any], position: Either | None = None) -> list[Any]:
    """Return the sequence without the element at `position`, which may count from the end; the last one if absent.

    Limits: `position` must be known when translating.
    """
    place = (-1 if position is None else _known(position)) % len(input_sequence)
    return [*input_sequence[:place], *input_sequence[place + 1 :]]


def _known(position: Any) -> int:
    if not isinstance(position, np.ndarray):
        raise UnsupportedError("which element of the sequence is meant shows only when the model runs")
    return int(position.item())


@lower("SplitToSequence")
def split_to_sequence(
    input: torch.Tensor, split: Either | None = None, *, axis: int = 0, keepdims: int = 1
) -> list[Any]:
    """Cut along `axis` into a sequence: parts of the one size `split`, of the sizes `split`, or single slices.

    Limits: how many parts there are must be known when translating.
    """
    if split is not None and split.ndim == 1:
        return list(torch.split(input, entries(split), axis))
    part = 1 if split is None else entries(split)[0]
    if not isinstance(input.size(axis), int) or not isinstance(part, int):
        raise UnsupportedError("how many parts there are shows only when the model runs")
    if split is None and not keepdims:
        return list(torch.unbind(input, axis))
    return list(torch.split(input, part, axis))


@lower("ConcatFromSequence")
def concat_from_sequence(input_sequence: list[Any], *, axis: int, new_axis: int = 0) -> torch.Tensor:
    """Join the elements along `axis`, which is a new one if `new_axis`."""
    if not input_sequence:
        raise UnsupportedError("the sequence has no elements")
    items = [tensor(item) for item in input_sequence]
    return torch.stack(items, axis) if new_axis else torch.cat(items, axis)
