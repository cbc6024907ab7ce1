"""Sequences and optionals: Python lists of tensors and None, which are gone once the model is translated."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import tensorflow as tf

from translate.converters.onnx_to_tf.shapes import dims
from translate.converters.onnx_to_tf.table import lower
from translate.converters.operators.sequence import LOWERINGS
from translate.errors import UnsupportedError

for _op_type, _function in LOWERINGS.items():
    lower(_op_type)(_function)


@lower("SequenceAt")
def sequence_at(input_sequence: list[Any], position: tf.Tensor | np.ndarray) -> Any:
    """Return the element at `position`, which may count from the end."""
    known = tf.get_static_value(position)
    if known is not None:
        return input_sequence[int(known)]
    place = tf.math.floormod(tf.cast(position, tf.int32), len(input_sequence))
    return tf.switch_case(place, [_constantly(item) for item in input_sequence])


@lower("SequenceInsert")
def sequence_insert(
    input_sequence: list[Any], tensor: list[Any] | tf.Tensor, position: tf.Tensor | np.ndarray | None = None
) -> list[Any]:
    """Return the sequence with `tensor` before `position`, which may count from the end; at the end if absent."""
    length = len(input_sequence)
    known = np.array(length) if position is None else tf.get_static_value(position)
    if known is not None:
        place = int(known) + length if known < 0 else int(known)
        return [*input_sequence[:place], tensor, *input_sequence[place:]]
    place = _from_start(position, length)
    # Element i comes from the old place i before the new element, and from i - 1 after it.
    shifted = [tensor, *input_sequence], [tensor] * (length + 1), [*input_sequence, tensor]
    return [
        tf.switch_case(tf.sign(place - i) + 1, [_constantly(item) for item in items])
        for i, items in enumerate(zip(*shifted, strict=True))
    ]


@lower("SequenceErase")
def sequence_erase(input_sequence: list[Any], position: tf.Tensor | np.ndarray | None = None) -> list[Any]:
    """Return the sequence without the element at `position`, which may count from the end; the last one if absent."""
    length = len(input_sequence)
    known = np.array(-1) if position is None else tf.get_static_value(position)
    if known is not None:
        place = int(known) % length
        return [*input_sequence[:place], *input_sequence[place + 1 :]]
    place = _from_start(position, length)
    pairs = pairwise(input_sequence)
    return [tf.cond(place > i, _constantly(same), _constantly(following)) for i, (same, following) in enumerate(pairs)]


@lower("SplitToSequence")
def split_to_sequence(
    input: tf.Tensor, split: tf.Tensor | np.ndarray | None = None, *, axis: int = 0, keepdims: int = 1
) -> list[Any]:
    """Cut along `axis` into a sequence: parts of the one size `split`, of the sizes `split`, or single slices.

    Limits: how many parts there are must be known when translating.
    """
    size = dims(input)[axis]
    if split is not None and len(split.shape) == 1:
        return list(tf.split(input, split, axis, num=split.shape[0]))
    part = 1 if split is None else tf.get_static_value(split)
    if not isinstance(size, int) or part is None:
        raise UnsupportedError("how many parts there are shows only when the model runs")
    if split is None and not keepdims:
        return list(tf.unstack(input, axis=axis))
    whole, rest = divmod(size, int(part))
    return list(tf.split(input, [int(part)] * whole + [rest] * (rest > 0), axis))


@lower("ConcatFromSequence")
def concat_from_sequence(input_sequence: list[Any], *, axis: int, new_axis: int = 0) -> tf.Tensor:
    """Join the elements along `axis`, which is a new one if `new_axis`."""
    if not input_sequence:
        raise UnsupportedError("the sequence has no elements")
    return tf.stack(input_sequence, axis) if new_axis else tf.concat(input_sequence, axis)


def _constantly(item: Any) -> Callable[[], Any]:
    return lambda: tf.convert_to_tensor(item)


def _from_start(position: tf.Tensor, length: int) -> tf.Tensor:
    position = tf.cast(tf.reshape(position, []), tf.int32)
    return tf.where(position < 0, position + length, position)
