"""Shapes, against TensorFlow."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tests.converters.tf_to_onnx.cases import check, exported, floats, operators

X = floats("n", 1, "m", 6)
CASES: list[Callable[..., Any]] = [
    lambda x: tf.shape(x),
    lambda x: tf.shape(x, out_type=tf.int64),
    lambda x: tf.shape_n([x, tf.transpose(x)]),
    lambda x: tf.rank(x),
    lambda x: tf.size(x),
    lambda x: tf.reshape(x, [-1, 3]),
    lambda x: tf.reshape(x, [tf.shape(x)[0], -1, 2, 3]),
    lambda x: tf.expand_dims(x, -1),
    lambda x: tf.squeeze(x, 1),
    lambda x: tf.broadcast_to(x, [tf.shape(x)[0], 5, tf.shape(x)[2], 6]),
    lambda x: tf.fill(tf.shape(x), 3.0),
    lambda x: tf.zeros_like(x),
    lambda x: tf.ones_like(x),
    lambda x: tf.zeros([tf.shape(x)[0], 4]),
    lambda x: tf.broadcast_dynamic_shape(tf.shape(x), tf.constant([1, 7, 1, 1])),
]


@pytest.mark.parametrize("function", CASES)
def test_shapes(function: Callable[..., Any]) -> None:
    check(function, X)


def test_sizes_that_are_known_are_constants() -> None:
    model, _ = exported(lambda x: tf.reshape(x, [tf.shape(x)[1], -1]), [floats("n", 4)])
    assert operators(model) == ["Reshape", "Identity"]
    check(lambda x: tf.squeeze(x), np.ones((1, 3, 1), np.float32))
