"""Joins, cuts and borders, against TensorFlow."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tests.converters.tf_to_onnx.cases import check, floats

CASES: list[Callable[..., Any]] = [
    lambda x: tf.concat([x, x, -x], -1),
    lambda x: tf.concat([x, -x], 0),
    lambda x: tf.stack([x, -x], 1),
    lambda x: tf.unstack(x, axis=-1),
    lambda x: tf.split(x, 3, -1),
    lambda x: tf.split(x, [1, 4, 1], -1),
    lambda x: tf.split(x, [1, -1], -1),
    lambda x: tf.tile(x, [1, 2, 3]),
    lambda x: tf.pad(x, [[0, 0], [1, 2], [0, 3]]),
    lambda x: tf.pad(x, [[0, 0], [1, 2], [0, 3]], constant_values=7.0),
    lambda x: tf.pad(x, [[0, 0], [1, 2], [0, 3]], mode="REFLECT"),
    lambda x: tf.pad(x, [[0, 0], [1, 2], [0, 3]], mode="SYMMETRIC"),
    lambda x: tf.transpose(x, [2, 0, 1]),
    lambda x: tf.reverse(x, [1, -1]),
    lambda x: tf.where(x > 0.0, x, 0.0),
    lambda x: tf.linalg.band_part(x, 1, 2),
    lambda x: tf.linalg.band_part(x, 0, -1),
    lambda x: tf.linalg.band_part(x, tf.minimum(1, tf.shape(x)[0]), tf.shape(x)[0] * 0 - 1),
    lambda x: tf.cast(x, tf.int32),
    lambda x: tf.cast(x > 0.0, tf.float32),
    lambda x: tf.roll(x, [1, -2], [1, 2]),
    lambda x: tf.repeat(x, 3, axis=1),
]


@pytest.mark.parametrize("function", CASES)
def test_tensors(function: Callable[..., Any]) -> None:
    check(function, floats("n", "m", 6))


def test_a_condition_of_one_axis_chooses_rows() -> None:
    rows = np.asarray([True, False, True])
    check(lambda x: tf.raw_ops.Select(condition=rows, x=x, y=-x), floats(3, "n"))


def test_reversed_beginnings() -> None:
    lengths = np.asarray([1, 3, 0, 4], np.int32)
    check(lambda x: tf.reverse_sequence(x, lengths, seq_axis=1, batch_axis=0), floats(4, "m", 2))
    check(lambda x: tf.reverse_sequence(x, lengths, seq_axis=0, batch_axis=2), floats("m", 3, 4))


def test_older_versions() -> None:
    check(lambda x, y: tf.raw_ops.Concat(concat_dim=1, values=[x, y]), floats("n", 2), floats("n", 3))
    check(lambda x: tf.raw_ops.Reverse(tensor=x, dims=[False, True, True]), floats("n", 2, 3))
