"""Convolutions that TensorFlow dilates by moving pixels to the batch become one with a dilation."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import onnx_ir as ir
import pytest
import tensorflow as tf

from tests.converters.tf_to_onnx.cases import check, floats, operators, run
from translate.converters.tf_to_onnx.models import from_keras
from translate.models.open import open_model

L = keras.layers
SIZES = [{"n": 2, "h": 9, "w": 12}, {"n": 3, "h": 10, "w": 11}]


def exported(layer: Any, shape: tuple[int | None, ...], size: int) -> tuple[ir.Model, Counter[str]]:
    """Export a layer, and compare with Keras at one size of what is open."""
    net = keras.Sequential([keras.Input(shape), layer])
    generator = np.random.default_rng(0)
    for weight in net.weights:
        weight.assign(generator.normal(size=weight.shape))
    model = from_keras(open_model(net))
    x = generator.normal(size=(2, *(one or size for one in shape))).astype(np.float32)
    (y,) = run(model, {str(model.graph.inputs[0].name): x})
    np.testing.assert_allclose(y, net(x).numpy(), rtol=1e-4, atol=1e-5)
    return model, Counter(operators(model))


@pytest.mark.parametrize("size", [None, 20])
@pytest.mark.parametrize(
    ("layer", "rank"),
    [
        (lambda: L.Conv1D(4, 3, dilation_rate=2, padding="same"), 1),
        (lambda: L.Conv1D(4, 3, dilation_rate=3, padding="causal"), 1),
        (lambda: L.Conv1D(4, 2, dilation_rate=2, padding="valid"), 1),
        (lambda: L.Conv2D(4, 3, dilation_rate=(2, 3), padding="same"), 2),
        (lambda: L.DepthwiseConv2D(3, dilation_rate=2, padding="same"), 2),
        (lambda: L.DepthwiseConv2D(3, dilation_rate=2, padding="valid", depth_multiplier=2), 2),
    ],
)
def test_keras(layer: Callable[[], Any], rank: int, size: int | None) -> None:
    shape = (size,) * rank + (3,)
    for length in (20, 21) if size is None else (size,):
        model, count = exported(layer(), shape, length)
        (convolution,) = (node for node in model.graph if node.op_type == "Conv")
        assert max(convolution.attributes["dilations"].as_ints()) >= 2
        # The moves to the batch would be Reshapes.
        assert count["Reshape"] <= 2 and count["Slice"] == 0, count


KERNEL = tf.constant(np.random.default_rng(1).normal(size=(3, 3, 3, 4)).astype(np.float32))


def moved(x: tf.Tensor, between: Callable[[tf.Tensor], tf.Tensor], crops: Any, padding: str = "VALID") -> tf.Tensor:
    y = tf.space_to_batch(x, [2, 3], [[1, 1 + tf.shape(x)[1] % 2], [3, 3 + -tf.shape(x)[2] % 3]])
    return tf.batch_to_space(tf.nn.conv2d(between(y), KERNEL, 1, padding), [2, 3], crops)


@pytest.mark.parametrize(
    "function",
    [
        lambda x: moved(x, tf.nn.relu, [[0, 0], [0, 0]]),
        # Paddings cannot say these: what is cut off is at the low side; zeros are between the blocks.
        lambda x: moved(x, tf.identity, [[1, 0], [0, 0]]),
        lambda x: moved(x, tf.identity, [[0, 0], [0, 0]], padding="SAME"),
    ],
)
def test_others_stay_as_they_are(function: Callable[[tf.Tensor], tf.Tensor]) -> None:
    model = check(function, floats("n", "h", "w", 3), sizes=SIZES)
    (convolution,) = (node for node in model.graph if node.op_type == "Conv")
    assert "dilations" not in convolution.attributes or set(convolution.attributes["dilations"].as_ints()) == {1}
