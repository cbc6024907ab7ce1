"""Operations on images."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import torch
from keras import ops

from tests.converters.keras_to_torch.ops.operations import assert_operation, ints, normal, uniform
from translate.converters.keras_to_torch import convert

IMAGES = uniform(2, 8, 10, 3)


def test_colors():
    assert_operation(ops.image.rgb_to_grayscale, IMAGES, batch=True)
    assert_operation(ops.image.rgb_to_grayscale, IMAGES[0])
    assert_operation(ops.image.rgb_to_grayscale, ints(2, 4, 4, 3, high=255, dtype="uint8"))
    assert_operation(ops.image.rgb_to_hsv, IMAGES, batch=True)
    assert_operation(ops.image.hsv_to_rgb, IMAGES, batch=True)
    assert_operation(lambda x: ops.image.rgb_to_hsv(x, data_format="channels_first"), uniform(2, 3, 4, 5))
    # Gray pixels have no hue.
    assert_operation(ops.image.rgb_to_hsv, np.repeat(IMAGES[..., :1], 3, -1))


@pytest.mark.parametrize("antialias", [False, True])
@pytest.mark.parametrize("interpolation", ["bilinear", "nearest", "bicubic", "lanczos3", "lanczos5", "area"])
@pytest.mark.parametrize("size", [(5, 17), (13, 7)])
def test_resizing(size, interpolation, antialias):
    assert_operation(lambda x: ops.image.resize(x, size, interpolation, antialias), IMAGES, batch=True)


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic", "area"])
def test_resizing_images_of_open_size(interpolation):
    x = keras.Input((None, None, 3))
    model = keras.Model(x, ops.image.resize(x, (6, 5), interpolation, antialias=True, crop_to_aspect_ratio=True))
    module = convert(model)
    for height, width in [(8, 10), (12, 7)]:
        images = uniform(2, height, width, 3)
        found = module(torch.from_numpy(images)).numpy()
        np.testing.assert_allclose(found, np.asarray(model(images)), rtol=1e-5, atol=1e-6)


def test_resizing_to_other_proportions():
    assert_operation(lambda x: ops.image.resize(x, (5, 5), crop_to_aspect_ratio=True), IMAGES)
    assert_operation(lambda x: ops.image.resize(x, (5, 5), pad_to_aspect_ratio=True, fill_value=0.3), IMAGES)
    assert_operation(lambda x: ops.image.resize(x, (4, 9), pad_to_aspect_ratio=True), IMAGES)
    assert_operation(lambda x: ops.image.resize(x, (5, 5)), IMAGES[0])


def test_resizing_ints_rounds():
    images = ints(2, 4, 4, 3, high=255, dtype="uint8")
    assert_operation(lambda x: ops.image.resize(x, (5, 5)), images)
    assert_operation(lambda x: ops.image.resize(x, (5, 5), "nearest"), images)


@pytest.mark.parametrize("interpolation", ["bilinear", "nearest"])
@pytest.mark.parametrize("fill_mode", ["constant", "nearest", "wrap", "reflect"])
def test_transforms(fill_mode, interpolation):
    transforms = np.array([[0.9, 0.3, -1, -0.2, 1.1, 0.7, 0.01, 0.02], [-1, 0.1, 12, 0.2, 1.3, -3, 0, 0]], "float32")
    assert_operation(
        lambda x, t: ops.image.affine_transform(x, t, interpolation, fill_mode, 0.5), IMAGES, transforms, atol=1e-5
    )


def test_perspective():
    start = np.array([[[0, 0], [9, 0], [0, 7], [9, 7]]] * 2, "float32")
    end = np.array([[[1, 1], [8, 0], [0, 6], [9, 8]]] * 2, "float32")
    assert_operation(ops.image.perspective_transform, IMAGES, start, end, atol=1e-5)


@pytest.mark.parametrize("order", [0, 1])
@pytest.mark.parametrize("fill_mode", ["constant", "nearest", "wrap", "reflect"])
def test_coordinates(fill_mode, order):
    assert_operation(
        lambda x, c: ops.image.map_coordinates(x, c, order, fill_mode, 0.5), normal(4, 5), normal(2, 6) * 2 + 2
    )


def test_patches():
    assert_operation(lambda x: ops.image.extract_patches(x, (2, 3)), IMAGES, batch=True)
    assert_operation(lambda x: ops.image.extract_patches(x, 3, strides=2, padding="same"), IMAGES)
    assert_operation(lambda x: ops.image.extract_patches(x, 2, strides=1, dilation_rate=2), IMAGES)


def test_margins():
    call = ops.image.pad_images
    assert_operation(lambda x: call(x, top_padding=1, left_padding=2, target_height=12, target_width=14), IMAGES)
    call_crop = ops.image.crop_images
    assert_operation(lambda x: call_crop(x, top_cropping=1, left_cropping=2, target_height=4, target_width=5), IMAGES)


def test_filters():
    assert_operation(lambda x: ops.image.gaussian_blur(x, (3, 5), (1.0, 2.0)), IMAGES)
    assert_operation(ops.image.sobel_edges, IMAGES)


@pytest.mark.parametrize("method", ["linear", "cubic", "lanczos3"])
def test_scaling(method):
    scale, move = np.array([1.4, 0.8], "float32"), np.array([0.5, -0.3], "float32")
    assert_operation(
        lambda x, s, t: ops.image.scale_and_translate(x, (2, 12, 9, 3), s, t, (1, 2), method), IMAGES, scale, move
    )
