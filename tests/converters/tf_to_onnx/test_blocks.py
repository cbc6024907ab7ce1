"""Blocks of pixels, against TensorFlow."""

from __future__ import annotations

import tensorflow as tf

from tests.converters.tf_to_onnx.cases import check, floats

SIZES = [{"n": 2, "h": 4, "w": 6}, {"n": 3, "h": 8, "w": 2}]


def test_depth() -> None:
    check(lambda x: tf.nn.space_to_depth(x, 2), floats("n", "h", "w", 3), sizes=SIZES)
    check(lambda x: tf.nn.depth_to_space(x, 2), floats("n", "h", "w", 12), sizes=SIZES)


def test_batch() -> None:
    check(lambda x: tf.space_to_batch(x, [2, 2], [[0, 0], [1, 1]]), floats("n", "h", "w", 3), sizes=SIZES)
    check(lambda x: tf.batch_to_space(x, [2, 3], [[0, 1], [1, 0]]), floats(12, "h", "w", 3), sizes=SIZES)
