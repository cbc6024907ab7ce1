"""Resize: symbolic sizes, sizes and scales known or computed, every mode, exact nearest neighbours."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf
import torch

from tests.converters.nodes import normal
from tests.converters.onnx_to_tf.cases import check, gradients, one_node, onnxruntime, run, translated
from tests.converters.resizing import TRANSFORMS, inputs


@pytest.mark.parametrize("known", [False, True])
@pytest.mark.parametrize(("scales", "sizes"), [([2, 2], None), ([0.5, 1.5], None), (None, [7, 3]), (None, [1, 9])])
@pytest.mark.parametrize("transform", TRANSFORMS)
@pytest.mark.parametrize("mode", ["nearest", "linear", "cubic"])
def test_modes(mode: str, transform: str, scales: Any, sizes: Any, known: bool) -> None:
    arrays = inputs(normal(2, 3, 4, 6), scales, sizes)
    attributes = {"mode": mode, "coordinate_transformation_mode": transform, "nearest_mode": "round_prefer_ceil"}
    position = len(arrays) - 1
    expected = onnxruntime("Resize", arrays, attributes, 19)
    check("Resize", arrays, attributes, 19, expected=expected, known=[position] if known else (), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("shape", [(2, 3, 7), (2, 3, 4, 5, 6)])
@pytest.mark.parametrize("mode", ["nearest", "linear"])
def test_one_and_three_spatial_axes(shape: tuple[int, ...], mode: str) -> None:
    arrays = inputs(normal(*shape), [1.5] * (len(shape) - 2))
    check("Resize", arrays, {"mode": mode}, 19, expected=onnxruntime("Resize", arrays, {"mode": mode}, 19), rtol=1e-4)


@pytest.mark.parametrize("mode", ["bilinear", "bicubic"])
def test_antialias_is_that_of_torch(mode: str) -> None:
    x = normal(2, 3, 11, 13)
    expected = torch.nn.functional.interpolate(torch.tensor(x), size=(5, 9), mode=mode, antialias=True).numpy()
    attributes = {"mode": mode[2:], "antialias": 1, "exclude_outside": 1, "cubic_coeff_a": -0.5}
    check("Resize", inputs(x, sizes=[5, 9]), attributes, 19, expected=[expected], rtol=1e-4, atol=1e-5)


def test_nearest_neighbours_do_not_suffer_from_rounding() -> None:
    attributes = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
    resize = translated(one_node("Resize", inputs(normal(1, 1, 2, 2), sizes=[2, 2]), attributes, 19))
    for size in (1, 2, 3, 7, 11, 14, 30):
        x = tf.tile(tf.range(size, dtype=tf.float32)[None, None, :, None], [1, 1, 1, 2])
        for wanted in (1, 2, 5, 14, 18, 36, 49, 58, 98, 206):
            y = resize(x, tf.constant([1, 1, wanted, 2], tf.int64))["y0"].numpy()
            np.testing.assert_array_equal(y[0, 0, :, 0], np.arange(wanted) * size // wanted)


@pytest.mark.parametrize("policy", ["not_larger", "not_smaller"])
def test_aspect_ratio_is_kept_with_sizes_of_some_axes(policy: str) -> None:
    arrays = [normal(2, 3, 4, 6), None, None, np.array([7, 8])]
    check("Resize", arrays, {"axes": [2, 3], "keep_aspect_ratio_policy": policy, "mode": "linear"}, 19)


def test_crop_and_resize_with_a_computed_region() -> None:
    roi = np.array([0, 0, 0.2, 0.4, 1, 1, 1.3, 0.6], np.float32)
    arrays = [normal(1, 2, 4, 5), roi, None, np.array([1, 2, 3, 6])]
    attributes = {"mode": "linear", "coordinate_transformation_mode": "tf_crop_and_resize", "extrapolation_value": 9.0}
    check("Resize", arrays, attributes, 19)


@pytest.mark.parametrize("dtype", ["uint8", "int8", "float16", "float64"])
def test_dtypes(dtype: str) -> None:
    x = (normal(1, 2, 3, 3) * 40).astype(dtype)
    (nearest,) = run("Resize", inputs(x, [2, 2]), {"mode": "nearest"}, 19)
    np.testing.assert_array_equal(nearest, x.repeat(2, 2).repeat(2, 3))
    (linear,) = run("Resize", inputs(x, [2, 2]), {"mode": "linear"}, 19)
    assert linear.dtype == dtype


@pytest.mark.parametrize("mode", ["bilinear", "bicubic"])
def test_gradients_are_those_of_torch(mode: str) -> None:
    x = normal(2, 3, 4, 5)
    tensor = torch.tensor(x, requires_grad=True)
    torch.nn.functional.interpolate(tensor, size=(7, 8), mode=mode).sum().backward()
    assert tensor.grad is not None
    actual = gradients("Resize", inputs(x, sizes=[7, 8]), {"mode": mode[2:]}, 19, known=[3])[0]
    np.testing.assert_allclose(actual, tensor.grad.numpy(), rtol=1e-4, atol=1e-5)


def test_a_computed_batch_size_is_not_resized() -> None:
    with pytest.raises(tf.errors.InvalidArgumentError, match="only spatial axes can be resized"):
        run("Resize", [normal(2, 3, 4, 5), None, None, np.array([4, 3, 4, 5])], {}, 19)


@pytest.mark.parametrize("known", [False, True])
def test_scaled_sizes_are_rounded_as_float32(known: bool) -> None:
    # The float32 0.7 is a little less than seven tenths.
    arrays = inputs(normal(1, 2, 10, 20), [0.7, 0.7])
    (y,) = run("Resize", arrays, {"mode": "linear"}, 19, known=[2] if known else ())
    assert y.shape == (1, 2, 7, 14)
