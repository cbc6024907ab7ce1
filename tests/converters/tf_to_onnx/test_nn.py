"""Layers, against TensorFlow."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tests.converters.tf_to_onnx.cases import check, floats, ints, refuses, run
from translate.converters.tf_to_onnx.models import from_model
from translate.models.tf_graph import GraphModel

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


@pytest.mark.parametrize("scaled", [False, True])
def test_the_first_batch_normalisation(scaled: bool) -> None:
    """TensorFlow makes it no more, and runs it in sessions of its time only; here are the numbers of its definition."""
    mean, variance, offset, scale = np.random.default_rng(0).uniform(0.5, 1.5, (4, 3)).astype(np.float32)
    with tf.Graph().as_default() as graph:
        tf.compat.v1.placeholder(tf.float32, [None, 5, 4, 3], name="x")
        for name, array in (("m", mean), ("v", variance), ("b", offset), ("g", scale)):
            tf.constant(array, name=name)
    definition = graph.as_graph_def()
    definition.versions.producer = 8
    node = definition.node.add(name="y", op="BatchNormWithGlobalNormalization", input=["x", "m", "v", "b", "g"])
    node.attr["T"].type = tf.float32.as_datatype_enum
    node.attr["variance_epsilon"].f = 1e-3
    node.attr["scale_after_normalization"].b = scaled
    x = np.random.default_rng(1).normal(size=(2, 5, 4, 3)).astype(np.float32)
    expected = (x - mean) / np.sqrt(variance + 1e-3) * (scale if scaled else 1) + offset
    exported = from_model(GraphModel(definition))
    np.testing.assert_allclose(run(exported, {"x": x})[0], expected, rtol=1e-5, atol=1e-6)


def test_cross_entropy() -> None:
    labels = np.float32([[0.2, 0.5, 0.3]])
    check(lambda x: tuple(tf.raw_ops.SoftmaxCrossEntropyWithLogits(features=x, labels=labels)), floats(1, 3))
    check(lambda x, y: tuple(tf.raw_ops.SparseSoftmaxCrossEntropyWithLogits(features=x, labels=y)),
          floats("n", 4), ints("n", high=4))  # fmt: skip
