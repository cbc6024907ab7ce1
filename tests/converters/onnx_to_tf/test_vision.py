"""Sampling, regions of interest, blocks: symbolic sizes, against torch, onnxruntime or the reference."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from tests.converters.nodes import normal
from tests.converters.onnx_to_tf.cases import check, gradients, onnxruntime, run
from translate.errors import CannotTranslateError


@pytest.mark.parametrize("align_corners", [0, 1])
@pytest.mark.parametrize("padding_mode", ["zeros", "border", "reflection"])
@pytest.mark.parametrize(
    ("mode", "spatial"), [("bilinear", 2), ("nearest", 2), ("bicubic", 2), ("bilinear", 3), ("nearest", 3)]
)
def test_grid_sample_is_that_of_torch(mode: str, spatial: int, padding_mode: str, align_corners: int) -> None:
    x, grid = normal(2, 3, *[5, 6, 4][:spatial]), normal(2, *[4, 5, 3][:spatial], spatial)
    options: dict[str, Any] = {"padding_mode": padding_mode, "align_corners": bool(align_corners)}
    expected = torch.nn.functional.grid_sample(torch.tensor(x), torch.tensor(grid), mode, **options).numpy()
    attributes = {"padding_mode": padding_mode, "align_corners": align_corners}
    attributes["mode"] = {"bilinear": "linear", "bicubic": "cubic"}.get(mode, mode)
    check("GridSample", [x, grid], attributes, 20, expected=[expected], rtol=1e-4, atol=1e-4)


def test_gradients_of_grid_sample_are_those_of_torch() -> None:
    arrays = [normal(2, 3, 5, 6), normal(2, 4, 5, 2)]
    tensors = [torch.tensor(array, requires_grad=True) for array in arrays]
    torch.nn.functional.grid_sample(*tensors, align_corners=False).sum().backward()
    for actual, tensor in zip(gradients("GridSample", arrays, {"mode": "linear"}, 20), tensors, strict=True):
        assert tensor.grad is not None
        np.testing.assert_allclose(actual, tensor.grad.numpy(), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("align_corners", [0, 1])
@pytest.mark.parametrize("known", [False, True])
@pytest.mark.parametrize("size", [[2, 3, 4, 5], [2, 3, 4, 5, 6]])
def test_affine_grid_is_that_of_torch(size: list[int], known: bool, align_corners: int) -> None:
    theta = normal(2, len(size) - 2, len(size) - 1)
    expected = torch.nn.functional.affine_grid(torch.tensor(theta), size, align_corners=bool(align_corners)).numpy()
    # The number of axes must be known, the sizes need not be.
    attributes, constants = {"align_corners": align_corners}, [1] if known else []
    (actual,) = run("AffineGrid", [theta, np.array(size)], attributes, 20, dynamic=False, known=constants)
    np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("group", "offset_group", "masked"), [(1, 1, False), (2, 1, True), (1, 2, True), (2, 2, False)]
)
def test_deform_conv(group: int, offset_group: int, masked: bool) -> None:
    x, w, b = normal(1, 4, 6, 5), normal(6, 4 // group, 3, 2), normal(6)
    offset, mask = normal(1, offset_group * 12, 3, 4), normal(1, offset_group * 6, 3, 4)
    attributes = {"group": group, "offset_group": offset_group, "strides": [2, 1], "pads": [1, 0, 1, 0]}
    inputs = [x, w, offset, b, mask] if masked else [x, w, offset, b]
    check("DeformConv", inputs, attributes, 19, known=[1, 3], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("sampling_ratio", [0, 2])
@pytest.mark.parametrize("aligned", [False, True])
def test_roi_align(sampling_ratio: int, aligned: bool) -> None:
    corners = np.sort(np.random.default_rng(0).uniform(-3, 24, (7, 2, 2)), 1).reshape(7, 4).astype(np.float32)
    inputs = [normal(2, 3, 9, 11), corners, np.array([0, 1, 1, 0, 1, 0, 0])]
    attributes = {
        "output_height": 3,
        "output_width": 2,
        "spatial_scale": 0.5,
        "sampling_ratio": sampling_ratio,
        "coordinate_transformation_mode": "half_pixel" if aligned else "output_half_pixel",
    }
    expected = onnxruntime("RoiAlign", inputs, attributes, 16)
    check("RoiAlign", inputs, attributes, 16, expected=expected, rtol=1e-4, atol=1e-4)


def test_max_roi_pool() -> None:
    corners = np.round(np.sort(np.random.default_rng(0).uniform(0, 20, (50, 2, 2)), 1).reshape(50, 4))
    rois = np.concatenate([np.arange(50)[:, None] % 2, corners], 1).astype(np.float32)
    attributes = {"pooled_shape": [3, 2], "spatial_scale": 0.5}
    inputs = [normal(2, 3, 9, 11), rois]
    check("MaxRoiPool", inputs, attributes, expected=onnxruntime("MaxRoiPool", inputs, attributes))


def test_pixel_shuffle_is_that_of_torch() -> None:
    x = normal(2, 12, 3, 4)
    expected = torch.nn.functional.pixel_shuffle(torch.tensor(x), 2).numpy()
    check("DepthToSpace", [x], {"blocksize": 2, "mode": "CRD"}, expected=[expected])
    check("SpaceToDepth", [normal(2, 3, 4, 6)], {"blocksize": 2})


@pytest.mark.parametrize("known", [(), (1, 2)])
def test_col2im_is_that_of_torch(known: tuple[int, ...]) -> None:
    image, block = (6, 7), (3, 2)
    options: dict[str, Any] = {"dilation": (1, 2), "padding": (1, 0), "stride": (2, 1)}
    columns = torch.nn.functional.unfold(torch.tensor(normal(2, 3, *image)), block, **options)
    expected = torch.nn.functional.fold(columns, image, block, **options).numpy()
    attributes = {"dilations": [1, 2], "pads": [1, 0, 1, 0], "strides": [2, 1]}
    inputs = [columns.numpy(), np.array(image), np.array(block)]
    (actual,) = run("Col2Im", inputs, attributes, dynamic=False, known=known)
    np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("known", [(), (1,)])
@pytest.mark.parametrize("wanted", [(7, 3), (4, 8), (5, 6)])
def test_center_crop_pad(wanted: tuple[int, int], known: tuple[int, ...]) -> None:
    check("CenterCropPad", [normal(2, 4, 5), np.array(wanted)], {"axes": [-1, 1]}, known=known)


def test_an_unknown_order_of_blocks_is_refused() -> None:
    with pytest.raises(CannotTranslateError, match="mode='ABC' is not covered"):
        run("DepthToSpace", [normal(1, 4, 2, 2)], {"blocksize": 2, "mode": "ABC"})
