"""Preprocessing of images against Keras: sizes, proportions, dtypes and contrast."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from keras import layers as L

from tests.converters.keras_to_torch.cases import sequential
from translate.converters.keras_to_torch import convert

IMAGES = np.random.default_rng(0).uniform(0, 255, (3, 9, 11, 3)).astype("float32")


def assert_same_images(layer: Any, images: np.ndarray, atol: float = 1e-3) -> None:
    model = sequential(images.shape[1:], layer, dtype=str(images.dtype))
    expected = np.asarray(model(images))
    found = convert(model)(torch.from_numpy(images)).numpy()
    assert found.dtype == expected.dtype
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, atol=atol)


@pytest.mark.parametrize(
    "options",
    [{}, {"antialias": True}, {"crop_to_aspect_ratio": True}, {"pad_to_aspect_ratio": True, "fill_value": 3.0}],
    ids=str,
)
@pytest.mark.parametrize("interpolation", ["bilinear", "nearest", "bicubic", "lanczos3", "area"])
def test_resizing(interpolation, options):
    assert_same_images(L.Resizing(6, 6, interpolation, **options), IMAGES)


def test_resizing_bytes_gives_bytes():
    assert_same_images(L.Resizing(6, 14), IMAGES.astype("uint8"))


@pytest.mark.parametrize("size", [(5, 6), (12, 14), (12, 6)])
def test_the_middle_of_small_images_is_enlarged(size):
    assert_same_images(L.CenterCrop(*size), IMAGES)
    assert_same_images(L.CenterCrop(*size), IMAGES.astype("uint8"))


def test_images_go_through_a_limit_on_boxes():
    assert_same_images(L.MaxNumBoundingBoxes(3), IMAGES)


def test_contrast_is_stretched():
    flat = IMAGES.copy()
    flat[0] = 3
    assert_same_images(L.AutoContrast(), flat)
    assert_same_images(L.AutoContrast(), IMAGES.astype("uint8"))
    assert_same_images(L.AutoContrast((0, 1)), IMAGES / 255, atol=1e-5)


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (L.ContrastLimitedAdaptiveHistogramEqualization(), (2, 16, 24, 3)),
        (L.ContrastLimitedAdaptiveHistogramEqualization(tile_grid_size=(2, 3), clip_limit=2.0), (2, 15, 20, 1)),
        (L.ContrastLimitedAdaptiveHistogramEqualization(clip_limit=0.0, tile_grid_size=(3, 3)), (2, 9, 11, 3)),
    ],
    ids=["tiles", "odd sizes", "no limit"],
)
def test_contrast_is_spread_tile_by_tile(layer, shape):
    images = np.random.default_rng(0).uniform(0, 255, shape).astype("float32")
    assert_same_images(layer, images, atol=0.01)


def test_numbers_are_scaled():
    assert_same_images(L.Rescaling(1 / 255, offset=-1), IMAGES.astype("uint8"))
    assert_same_images(L.Rescaling([1.0, 2.0, 3.0], offset=[0.0, 1.0, 2.0]), IMAGES)
    learnt = L.Normalization()
    learnt.adapt(IMAGES)
    assert_same_images(learnt, IMAGES)
    whole = L.Normalization(axis=None)
    whole.adapt(IMAGES)
    assert_same_images(whole, IMAGES)
