"""Sequences and optionals, where they are Python lists and None: lowerings to any target."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import onnx_ir as ir

from translate.converters.lowering import Context
from translate.converters.lowering.bind import Array
from translate.errors import UnsupportedError


def sequence_construct(*inputs: list[Any] | Any) -> list[Any]:
    """Return a sequence of `inputs`."""
    return list(inputs)


def sequence_empty(*, dtype: int | None = None) -> list[Any]:
    """Return a sequence without elements."""
    return []


def sequence_length(input_sequence: list[Any]) -> Array:
    """Return the number of elements, an int64 scalar that is known when translating."""
    return np.array(len(input_sequence), np.int64)


def sequence_map(
    input_sequence: list[Any], *additional_inputs: list[Any] | Any, body: ir.Graph, context: Context
) -> tuple[list[Any], ...]:
    """Run `body` on each element, with those of other sequences and with tensors; return sequences of its outputs."""
    rows = []
    for i, item in enumerate(input_sequence):
        others = [extra[i] if isinstance(extra, list) else extra for extra in additional_inputs]
        rows.append(context.run(body, item, *others))
    return tuple([row[i] for row in rows] for i in range(len(body.outputs)))


def optional(input: list[Any] | Any | None = None, *, type: Any = None) -> Any:
    """Return `input` as an optional, which is empty without it."""
    return input


def optional_has_element(input: list[Any] | Any | None = None) -> Array:
    """Say whether the optional holds something; known when translating."""
    return np.array(input is not None)


def optional_get_element(input: list[Any] | Any | None = None) -> Any:
    """Return what the optional holds."""
    if input is None:
        raise UnsupportedError("the optional is empty")
    return input


# By operator.
LOWERINGS: Mapping[str, Callable[..., Any]] = {
    "SequenceConstruct": sequence_construct,
    "SequenceEmpty": sequence_empty,
    "SequenceLength": sequence_length,
    "SequenceMap": sequence_map,
    "Optional": optional,
    "OptionalHasElement": optional_has_element,
    "OptionalGetElement": optional_get_element,
}
