"""Computing in a wider dtype and coming back."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from translate.converters.onnx_to_tf.widen import HALVES, widen, widened


def test_only_the_named_dtypes_are_widened() -> None:
    assert widen(tf.constant([1], tf.uint8), tf.uint8).dtype == tf.int32
    assert widen(tf.constant([1], tf.uint16), tf.uint8).dtype == tf.uint16
    assert widen(None, tf.uint8) is None


def test_results_in_the_wider_dtype_come_back() -> None:
    seen = []

    @widened(*HALVES)
    def both(x: tf.Tensor, y: tf.Tensor | None, *, factor: int) -> tuple[tf.Tensor, tf.Tensor]:
        seen.append((x.dtype, y))
        return x * factor, x > 0

    product, positive = both(tf.constant([2.0], tf.float16), None, factor=3)
    assert seen == [(tf.float32, None)]
    assert (product.dtype, positive.dtype) == (tf.float16, tf.bool)
    assert both(tf.constant([2.0], tf.float64), None, factor=3)[0].dtype == tf.float64


def test_uint64_wraps_around() -> None:
    x = tf.constant([2**64 - 1, 2**63], tf.uint64)
    np.testing.assert_array_equal(widened(tf.uint64)(tf.add)(x, x), np.array([2**64 - 2, 0], np.uint64))
