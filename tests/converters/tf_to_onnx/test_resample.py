"""Images resampled by weights, against TensorFlow."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from tests.converters.tf_to_onnx.cases import check, floats

IMAGE = floats("n", "h", "w", 3)
R = tf.raw_ops


@pytest.mark.parametrize("size", [[2, 3], [5, 11], [1, 1]])
@pytest.mark.parametrize("align_corners", [False, True])
def test_areas(size: list[int], align_corners: bool) -> None:
    check(lambda x: R.ResizeArea(images=x, size=size, align_corners=align_corners), IMAGE, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("method", ["lanczos3", "lanczos5", "gaussian", "mitchellcubic", "bilinear", "bicubic", "area"])
def test_sizes_without_aliasing(method: str) -> None:
    for size in ([3, 2], [9, 17]):
        check(lambda x, size=size: tf.image.resize(x, size, method, antialias=True), IMAGE, rtol=1e-4, atol=1e-5)
    if method != "bicubic":
        # That is an operator of its own, and rounds.
        check(lambda x: tf.image.resize(x, [3, 9], method), IMAGE, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kernel", ["box", "lanczos1", "triangle", "keyscubic"])
def test_scales_and_translations(kernel: str) -> None:
    def function(x: tf.Tensor) -> tf.Tensor:
        return R.ScaleAndTranslate(images=x, size=[6, 5], scale=[0.7, 1.3], translation=[1.2, -2.5], kernel_type=kernel)

    check(function, IMAGE, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("fill_mode", ["CONSTANT", "NEAREST", "REFLECT", "WRAP"])
@pytest.mark.parametrize("interpolation", ["NEAREST", "BILINEAR"])
def test_projections(fill_mode: str, interpolation: str) -> None:
    turn = np.asarray([[0.8, 0.6, -1.3, -0.6, 0.8, 2.2, 0.01, 0.02]], np.float32)

    def function(x: tf.Tensor) -> tf.Tensor:
        options = {"output_shape": [6, 5], "fill_value": 0.5, "interpolation": interpolation, "fill_mode": fill_mode}
        return R.ImageProjectiveTransformV3(images=x, transforms=turn, **options)

    check(function, IMAGE, rtol=1e-4, atol=1e-4)


def test_half_a_pixel_is_rounded_away_from_zero() -> None:
    move = np.asarray([[1, 0, 0.5, 0, 1, -0.5, 0, 0]], np.float32)
    options = {"output_shape": [4, 4], "interpolation": "NEAREST"}
    check(lambda x: R.ImageProjectiveTransformV2(images=x, transforms=move, **options), IMAGE)
