"""Layers, against TensorFlow."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tests.converters.tf_to_onnx.cases import check, floats, refuses

CASES: list[Callable[..., Any]] = [
    tf.nn.relu,
    tf.nn.relu6,
    tf.nn.elu,
    tf.nn.selu,
    tf.nn.softplus,
    tf.nn.softsign,
    tf.nn.silu,
    tf.nn.softmax,
    tf.nn.log_softmax,
    tf.nn.l2_loss,
    tf.nn.gelu,
    lambda x: tf.nn.softmax(x, axis=1),
    lambda x: tf.nn.gelu(x, approximate=True),
    lambda x: tf.nn.leaky_relu(x, 0.3),
    lambda x: tf.nn.bias_add(x, np.arange(4, dtype=np.float32)),
    lambda x: tf.nn.crelu(x),
    lambda x: tf.math.l2_normalize(x, -1),
    lambda x: tf.nn.moments(x, [1]),
]


@pytest.mark.parametrize("function", CASES)
def test_activations(function: Callable[..., Any]) -> None:
    check(function, floats("n", "m", 4))


def test_normalisations() -> None:
    vector = np.arange(1, 5, dtype=np.float32)

    def normalise(x: Any, training: bool) -> Any:
        return tf.compat.v1.nn.fused_batch_norm(x, vector, -vector, vector / 2, vector, 0.01, is_training=training)[0]

    check(lambda x: normalise(x, False), floats("n", "h", "w", 4))
    refuses(lambda x: normalise(x, True), floats("n", "h", "w", 4), match="training mode")
    check(lambda x: tf.nn.lrn(x, 2, 1.0, 0.1, 0.75), floats("n", "h", "w", 8))
