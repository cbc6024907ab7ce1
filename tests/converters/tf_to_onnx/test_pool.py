"""Pooling, against TensorFlow."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from tests.converters.tf_to_onnx.cases import check, floats, refuses

SIZES = [{"n": 2, "h": 9, "w": 11}, {"n": 1, "h": 8, "w": 6}]


@pytest.mark.parametrize("padding", ["SAME", "VALID"])
@pytest.mark.parametrize("strides", [1, 2, 3])
def test_pools(padding: str, strides: int) -> None:
    for pool in (tf.nn.max_pool2d, tf.nn.avg_pool2d):
        check(lambda x, pool=pool: pool(x, 3, strides, padding), floats("n", "h", "w", 4), sizes=SIZES)
    # onnxruntime 1.31 refuses SAME for a window that is shorter than its stride.
    window = max(2, strides)
    check(lambda x: tf.nn.max_pool3d(x, window, strides, padding), floats(1, 3, "h", "w", 2), sizes=SIZES)
    check(lambda x: tf.nn.avg_pool1d(x, 2, strides, padding), floats("n", "h", 2), sizes=SIZES)


def test_strides_over_the_batch_are_refused() -> None:
    pool = tf.raw_ops.MaxPool
    refuses(lambda x: pool(input=x, ksize=[2, 1, 1, 1], strides=[2, 1, 1, 1], padding="VALID"), floats(4, 4, 4, 4),
            match="not 1 for batch")  # fmt: skip


@pytest.mark.parametrize("padding", ["SAME", "VALID"])
@pytest.mark.parametrize("whole", [False, True])
def test_where_the_largest_are(padding: str, whole: bool) -> None:
    check(lambda x: tuple(tf.nn.max_pool_with_argmax(x, 3, 2, padding, include_batch_in_index=whole)),
          floats("n", "h", "w", 4), sizes=SIZES)  # fmt: skip


@pytest.mark.parametrize("padding", ["SAME", "VALID"])
@pytest.mark.parametrize(("strides", "rates"), [(1, 1), (2, 1), (1, 2), (3, 2)])
def test_dilation(padding: str, strides: int, rates: int) -> None:
    filters = np.random.default_rng(1).standard_normal([3, 2, 4], np.float32)
    image = floats("n", "h", "w", 4) if strides == 1 or padding == "VALID" else floats("n", 9, 8, 4)
    steps, gaps = [1, strides, strides, 1], [1, rates, rates, 1]
    check(lambda x: tf.nn.dilation2d(x, filters, steps, padding, "NHWC", gaps), image, sizes=SIZES)
