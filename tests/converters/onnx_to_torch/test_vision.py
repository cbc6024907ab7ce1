"""Operators on images: with open sizes, exported, and in the cases that the node tests leave out."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
import torch

from tests.converters.nodes import normal, onnxruntime
from tests.converters.onnx_to_torch.cases import check, code, exported, run
from translate.errors import CannotTranslateError


@pytest.mark.parametrize(
    ("mode", "padding_mode"), [("linear", "border"), ("nearest", "zeros"), ("cubic", "zeros"), ("linear", "reflection")]
)
def test_grid_sample_is_torchs_own(mode: str, padding_mode: str) -> None:
    arrays = [normal(2, 3, 5, 6), normal(2, 4, 7, 2)]
    attributes = {"mode": mode, "padding_mode": padding_mode}
    assert "torch.nn.functional.grid_sample(x0, x1" in code("GridSample", arrays, attributes, 20, dynamic=False)
    check("GridSample", arrays, attributes, 20, dims={1: ("n", "h", "w", 2)}, rtol=1e-4, atol=1e-5)


def test_grid_sample_along_one_axis_is_refused() -> None:
    with pytest.raises(CannotTranslateError, match="sampling along 1 axes is not covered"):
        run("GridSample", [normal(2, 3, 5), normal(2, 4, 1)], {}, 20)


def test_export_keeps_the_sizes_of_image_and_grid() -> None:
    model = onnx.parser.parse_model("""
        <ir_version: 9, opset_import: ["" : 20]>
        sample (float[n, 3, h, w] x, float[n, a, b, 2] grid) => (float[n, 3, a, b] y) { y = GridSample(x, grid) }""")
    program = exported(model)
    for n, h, w, a, b in [(1, 4, 5, 6, 3), (3, 7, 2, 4, 8)]:
        x, grid = normal(n, 3, h, w), normal(n, a, b, 2)
        (expected,) = onnx.reference.ReferenceEvaluator(model).run(None, {"x": x, "grid": grid})
        np.testing.assert_allclose(program(torch.tensor(x), torch.tensor(grid)), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("sampling_ratio", [0, 2])
@pytest.mark.parametrize("transform", ["half_pixel", "output_half_pixel"])
def test_roi_align(sampling_ratio: int, transform: str) -> None:
    rois = np.array([[0, 0, 7, 5], [1.5, 2, 9, 9.5], [-3, -2, 4, 4], [2, 2, 2, 2]], np.float32)
    arrays = [normal(2, 3, 10, 12), rois, np.array([0, 1, 1, 0])]
    attributes: dict[str, Any] = {"output_height": 3, "output_width": 2, "sampling_ratio": sampling_ratio}
    attributes |= {"coordinate_transformation_mode": transform, "spatial_scale": 0.9}
    check(
        "RoiAlign",
        arrays,
        attributes,
        16,
        expected=onnxruntime("RoiAlign", arrays, attributes, 16),
        rtol=1e-4,
        atol=1e-5,
    )


def test_max_roi_pool() -> None:
    rois = np.array([[0, 0, 0, 7, 5], [1, 1.5, 2, 9, 9.5], [1, 8, 8, 30, 30]], np.float32)
    arrays, attributes = [normal(2, 3, 10, 12), rois], {"pooled_shape": [3, 2], "spatial_scale": 0.8}
    check("MaxRoiPool", arrays, attributes, 16, expected=onnxruntime("MaxRoiPool", arrays, attributes, 16))


@pytest.mark.parametrize("mode", ["DCR", "CRD"])
def test_depth_to_space_and_back(mode: str) -> None:
    x = normal(2, 12, 3, 5)
    check("DepthToSpace", [x], {"blocksize": 2, "mode": mode}, 13)
    (spread,) = run("DepthToSpace", [x], {"blocksize": 2}, 13)
    (back,) = run("SpaceToDepth", [spread], {"blocksize": 2}, 13)
    np.testing.assert_array_equal(back, x)


def test_center_crop_pad_to_open_and_odd_sizes() -> None:
    arrays = [normal(5, 8, 3), np.array([8, 5])]
    check("CenterCropPad", arrays, {"axes": [0, 1]}, 18, dims={1: (2,)})
    check("CenterCropPad", arrays, {"axes": [0, 1]}, 18, known=[1])


def test_col2im_with_padding_that_differs() -> None:
    x = np.ones([1, 2 * 4, 16], np.float32)
    (y,) = run(
        "Col2Im", [x, np.array([4, 3]), np.array([2, 2])], {"pads": [1, 1, 0, 1]}, 18, known=[1, 2], dynamic=False
    )
    # Each element is in as many blocks as windows reach it; the last row is at the edge.
    np.testing.assert_array_equal(y[0, 1], [[4, 4, 4], [4, 4, 4], [4, 4, 4], [2, 2, 2]])


def test_deform_conv_without_offsets_is_a_convolution() -> None:
    x, w, b = normal(2, 4, 6, 7), normal(6, 2, 3, 3), normal(6)
    attributes = {"group": 2, "pads": [1, 1, 1, 1], "strides": [2, 1]}
    arrays = [x, w, np.zeros([2, 2 * 9 * 2, 3, 7], np.float32), b]
    dims = {0: ("n", 4, "h", "w"), 2: ("n", 36, "a", "b")}
    (y,) = run("DeformConv", arrays, attributes | {"offset_group": 2}, 19, known=[1, 3], dims=dims)
    expected = torch.conv2d(torch.tensor(x), torch.tensor(w), torch.tensor(b), (2, 1), 1, 1, 2)
    np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-5)
