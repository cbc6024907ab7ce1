"""Images, against TensorFlow."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tests.converters.tf_to_onnx.cases import check, floats, refuses

IMAGE = floats("n", "h", "w", 3, low=0, high=1)
R = tf.raw_ops
CENTERS: list[dict[str, Any]] = [{"half_pixel_centers": True}, {"align_corners": True}, {}]


@pytest.mark.parametrize("centers", CENTERS)
@pytest.mark.parametrize("size", [[5, 11], [12, 3], [8, 14]])
def test_sizes(centers: dict[str, Any], size: list[int]) -> None:
    check(lambda x: R.ResizeBilinear(images=x, size=size, **centers), IMAGE, rtol=1e-4)
    check(lambda x: R.ResizeNearestNeighbor(images=x, size=size, **centers), IMAGE)


def test_a_size_that_is_computed() -> None:
    check(lambda x: tf.image.resize(x, tf.shape(x)[1:3] * 2), IMAGE, rtol=1e-4)


@pytest.mark.parametrize("centers", [{"half_pixel_centers": True}, {}])
def test_cubic_sizes(centers: dict[str, Any]) -> None:
    # Powers of two: TensorFlow rounds positions to 1/1024.
    check(lambda x: R.ResizeBicubic(images=x, size=[16, 8], **centers), floats("n", 4, 4, 3), rtol=1e-4, atol=1e-5)


def test_crops() -> None:
    boxes = np.asarray([[0.1, 0.2, 0.8, 0.9], [-0.2, 0.0, 1.2, 1.0], [0.9, 0.8, 0.1, 0.3]], np.float32)
    for size in ([4, 5], [1, 3]):
        check(lambda x, size=size: tf.image.crop_and_resize(x, boxes, [0, 2, 1], size, extrapolation_value=7.0),
              IMAGE, rtol=1e-4, atol=1e-5)  # fmt: skip
    refuses(lambda x: tf.image.crop_and_resize(x, boxes, [0, 2, 1], [4, 5], "nearest"), IMAGE, match="bilinear")


@pytest.mark.parametrize("padding", ["SAME", "VALID"])
def test_patches(padding: str) -> None:
    check(lambda x: tf.image.extract_patches(x, [1, 2, 3, 1], [1, 2, 1, 1], [1, 1, 1, 1], padding), IMAGE)


def test_colours() -> None:
    special = np.asarray([[0, 0, 0], [1, 1, 1], [1, 0, 0], [0, 1, 1], [0.5, 0.5, 0.2]], np.float32)[None, None]
    for x in (IMAGE, special):
        check(tf.image.rgb_to_hsv, x, atol=1e-5)
        check(tf.image.hsv_to_rgb, x, atol=1e-5)
        check(lambda x: R.AdjustSaturation(images=x, scale=1.5), x, atol=1e-5)
        check(lambda x: R.AdjustHue(images=x, delta=0.3), x, atol=1e-5)
        check(lambda x: tf.image.adjust_contrast(x, 1.5), x, atol=1e-5)


def test_overlapping_boxes() -> None:
    corners = floats("n", 2, low=0, high=1)

    def boxes(low: Any) -> Any:
        return tf.concat([low, low + 0.5], 1)

    check(lambda low, s: tf.image.non_max_suppression(boxes(low), s, 3, 0.3), corners, floats("n"))
    check(lambda low, s: tf.image.non_max_suppression(boxes(low), s, 3, 0.3, 0.2), corners, floats("n"))
    check(lambda low, s: tf.image.non_max_suppression_padded(boxes(low), s, 6, 0.3, pad_to_max_output_size=True),
          corners, floats("n"))  # fmt: skip


@pytest.mark.parametrize("padded", [False, True])
def test_non_max_suppression_with_scores(padded: bool) -> None:
    def function(boxes: tf.Tensor, scores: tf.Tensor) -> Any:
        return tf.raw_ops.NonMaxSuppressionV5(
            boxes=tf.concat([boxes, boxes + 0.5], -1),
            scores=scores,
            max_output_size=6,
            iou_threshold=0.4,
            score_threshold=0.1,
            soft_nms_sigma=0.0,
            pad_to_max_output_size=padded,
        )

    check(function, floats("boxes", 2, low=0, high=1), floats("boxes", low=0, high=1))


def test_soft_suppression_is_refused() -> None:
    def function(boxes: tf.Tensor, scores: tf.Tensor) -> Any:
        return tf.image.non_max_suppression_with_scores(boxes, scores, 3, soft_nms_sigma=0.5)

    refuses(function, floats("boxes", 4), floats("boxes"), match="softly")
