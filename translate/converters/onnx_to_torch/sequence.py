"""Sequences and optionals: Python lists of tensors and None, which are gone once the model is translated."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import onnx_ir as ir
import torch

from translate.converters.lowering import Context
from translate.converters.onnx_to_torch.shapes import entries, tensor
from translate.converters.onnx_to_torch.table import lower
from translate.errors import UnsupportedError

Either: TypeAlias = torch.Tensor | np.ndarray


@lower("SequenceConstruct")
def sequence_construct(*inputs: list[Any] | torch.Tensor) -> list[Any]:
    """Return a sequence of `inputs`."""
    return list(inputs)


@lower("SequenceEmpty")
def sequence_empty(*, dtype: int | None = None) -> list[Any]:
    """Return a sequence without elements."""
    return []


@lower("SequenceLength")
def sequence_length(input_sequence: list[Any]) -> np.ndarray:
    """Return the number of elements, an int64 scalar that is known when translating."""
    return np.array(len(input_sequence), np.int64)


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


@lower("SequenceMap")
def sequence_map(
    input_sequence: list[Any], *additional_inputs: list[Any] | torch.Tensor, body: ir.Graph, context: Context
) -> tuple[list[Any], ...]:
    """Run `body` on each element, with those of other sequences and with tensors; return sequences of its outputs."""
    rows = []
    for i, item in enumerate(input_sequence):
        others = [extra[i] if isinstance(extra, list) else extra for extra in additional_inputs]
        rows.append(context.run(body, item, *others))
    return tuple([row[i] for row in rows] for i in range(len(body.outputs)))


@lower("Optional")
def optional(input: list[Any] | torch.Tensor | None = None, *, type: Any = None) -> Any:
    """Return `input` as an optional, which is empty without it."""
    return input


@lower("OptionalHasElement")
def optional_has_element(input: list[Any] | torch.Tensor | None = None) -> np.ndarray:
    """Say whether the optional holds something; known when translating."""
    return np.array(input is not None)


@lower("OptionalGetElement")
def optional_get_element(input: list[Any] | torch.Tensor | None = None) -> Any:
    """Return what the optional holds."""
    if input is None:
        raise UnsupportedError("the optional is empty")
    return input
