"""Convolutions, against TensorFlow."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from tests.converters.tf_to_onnx.cases import check, floats, refuses

K = np.random.default_rng(1).normal(size=(3, 3, 4, 6)).astype(np.float32)
IMAGE = floats("n", "h", "w", 4)
SIZES = [{"n": 2, "h": 9, "w": 11}, {"n": 1, "h": 8, "w": 6}]
TOLERANCE = {"rtol": 1e-4, "atol": 1e-5}


@pytest.mark.parametrize("padding", ["SAME", "VALID", [[0, 0], [1, 2], [0, 1], [0, 0]]])
@pytest.mark.parametrize("strides", [1, 2, 3])
def test_convolutions(padding: object, strides: int) -> None:
    check(lambda x: tf.nn.conv2d(x, K, strides, padding), IMAGE, sizes=SIZES, **TOLERANCE)
    check(lambda x: tf.nn.depthwise_conv2d(x, K[..., :2], [1, strides, strides, 1], padding), IMAGE, sizes=SIZES,
          **TOLERANCE)  # fmt: skip


def test_groups_and_dilations() -> None:
    check(lambda x: tf.nn.conv2d(x, K[:, :, :2], 1, "SAME"), IMAGE, sizes=SIZES, **TOLERANCE)
    check(lambda x: tf.nn.conv2d(x, K, 1, "SAME", dilations=2), IMAGE, sizes=SIZES, **TOLERANCE)
    check(lambda x: tf.nn.conv1d(x, K[0], 2, "SAME"), floats("n", "t", 4), sizes=[{"n": 2, "t": 9}], **TOLERANCE)
    check(lambda x: tf.nn.convolution(x, K, padding="SAME", dilations=[2, 3]), IMAGE, sizes=SIZES, **TOLERANCE)
    check(lambda x: tf.nn.conv3d(x, K[None, ..., :4], [1, 1, 2, 2, 1], "SAME"), floats(1, 3, "h", "w", 4),
          sizes=SIZES, **TOLERANCE)  # fmt: skip


@pytest.mark.parametrize("padding", ["SAME", "VALID"])
@pytest.mark.parametrize("kernel", [1, 2, 3])
@pytest.mark.parametrize("strides", [1, 2, 3])
def test_transposed_convolutions(padding: str, kernel: int, strides: int) -> None:
    layer = tf.keras.layers.Conv2DTranspose(5, kernel, strides=strides, padding=padding.lower())
    layer.build((None, None, None, 4))
    check(layer, IMAGE, sizes=SIZES, **TOLERANCE)


def test_what_onnx_has_no_convolution_of_is_refused() -> None:
    kernel = tf.cast(K, tf.bfloat16)
    refuses(lambda x: tf.nn.conv2d(tf.cast(x, tf.bfloat16), kernel, 1, "SAME"), IMAGE, match="bfloat16")
