"""Boxes that overlap, against TensorFlow."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tests.converters.tf_to_onnx.cases import check, floats

R = tf.raw_ops


def corners(x: Any) -> Any:
    """Make of any numbers boxes that overlap now and then."""
    low = tf.abs(x[..., :2]) / 2
    return tf.concat([low, low + 0.1 + tf.abs(x[..., 2:]) / 2], -1)


def test_the_first_version() -> None:
    check(lambda x, s: R.NonMaxSuppression(boxes=corners(x), scores=s, max_output_size=4, iou_threshold=0.3),
          floats("n", 4, low=-1, high=1), floats("n"))  # fmt: skip


@pytest.mark.parametrize("pad", [False, True])
@pytest.mark.parametrize("clip", [False, True])
@pytest.mark.parametrize("own", [1, 3])
def test_all_classes_at_once(own: int, clip: bool, pad: bool) -> None:
    def function(x: Any, s: Any) -> Any:
        return tuple(tf.image.combined_non_max_suppression(corners(x), s, 2, 7, 0.3, 0.1, pad, clip))

    boxes, scores = floats("b", "n", own, 4, low=-1, high=1), floats("b", "n", 3)
    check(function, boxes, scores, sizes=[{"b": 2, "n": 9}, {"b": 1, "n": 1}, {"b": 3, "n": 40}])


def test_no_box_is_good_enough() -> None:
    scores = np.zeros([1, 3, 2], np.float32)
    check(lambda x: tuple(tf.image.combined_non_max_suppression(corners(x), scores, 2, 4, 0.3, 0.1)),
          floats(1, 3, 1, 4))  # fmt: skip
