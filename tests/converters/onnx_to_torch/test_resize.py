"""Resize: PyTorch's own interpolation where it is that, symbolic sizes, sizes and scales known or computed."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
import torch
import torch.nn.functional as F

from tests.converters.nodes import normal, onnxruntime
from tests.converters.onnx_to_torch.cases import check, code, exported, run
from tests.converters.resizing import TRANSFORMS, inputs


@pytest.mark.parametrize("known", [False, True])
@pytest.mark.parametrize(("scales", "sizes"), [([0.5, 1.5], None), (None, [1, 9])])
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
    expected = onnxruntime("Resize", arrays, {"mode": mode}, 19)
    check("Resize", arrays, {"mode": mode}, 19, expected=expected, known=[2], rtol=1e-4)


@pytest.mark.parametrize(
    ("attributes", "mode"),
    [
        ({"mode": "nearest"}, ""),
        ({"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}, ""),
        ({"mode": "linear"}, ", mode = 'bilinear'"),
        (
            {"mode": "linear", "coordinate_transformation_mode": "align_corners"},
            ", mode = 'bilinear', align_corners = True",
        ),
        ({"mode": "cubic", "coordinate_transformation_mode": "pytorch_half_pixel"}, ", mode = 'bicubic'"),
    ],
)
def test_what_torch_has_is_called_by_its_name(attributes: dict[str, Any], mode: str) -> None:
    text = code("Resize", inputs(normal(1, 2, 4, 4), [2, 2]), attributes, 19, known=[2])
    assert text == f"y0 = torch.nn.functional.interpolate(x0, scale_factor = 2.0{mode})\nreturn (y0,)"


def test_nearest_neighbours_from_the_middle_are_torchs_exact_ones() -> None:
    x = normal(1, 2, 5, 7)
    text = code("Resize", inputs(x, sizes=[8, 3]), {"nearest_mode": "round_prefer_ceil"}, 19, known=[3])
    assert text.startswith("y0 = torch.nn.functional.interpolate(x0, size = [8, 3], mode = 'nearest-exact')")


@pytest.mark.parametrize("mode", ["bilinear", "bicubic"])
def test_antialias_is_that_of_torch(mode: str) -> None:
    x = normal(2, 3, 11, 13)
    expected = F.interpolate(torch.tensor(x), size=(5, 9), mode=mode, antialias=True).numpy()
    attributes = {"mode": mode[2:], "antialias": 1, "exclude_outside": 1, "cubic_coeff_a": -0.5}
    # With a transformation that torch lacks it is the matrix of weights.
    for known in ((), [3]):
        check("Resize", inputs(x, sizes=[5, 9]), attributes, 19, expected=[expected], known=known, rtol=1e-4, atol=1e-5)
    symmetric = attributes | {"coordinate_transformation_mode": "half_pixel_symmetric"}
    check("Resize", inputs(x, sizes=[5, 9]), symmetric, 19, expected=[expected], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("policy", ["not_larger", "not_smaller"])
@pytest.mark.parametrize("known", [(), [3]])
def test_aspect_ratio_is_kept_with_sizes_of_some_axes(policy: str, known: Any) -> None:
    arrays = [normal(2, 3, 4, 6), None, None, np.array([7, 8])]
    attributes = {"axes": [2, 3], "keep_aspect_ratio_policy": policy, "mode": "linear"}
    check("Resize", arrays, attributes, 19, known=known)


@pytest.mark.parametrize("known", [(), [1], [1, 3]])
def test_crop_and_resize(known: Any) -> None:
    roi = np.array([0, 0, 0.2, 0.4, 1, 1, 1.3, 0.6], np.float32)
    arrays = [normal(1, 2, 4, 5), roi, None, np.array([1, 2, 3, 6])]
    attributes = {"mode": "linear", "coordinate_transformation_mode": "tf_crop_and_resize", "extrapolation_value": 9.0}
    check("Resize", arrays, attributes, 19, known=known)


@pytest.mark.parametrize("dtype", ["uint8", "int8", "int32", "float16", "float64"])
def test_dtypes(dtype: str) -> None:
    x = (normal(1, 2, 3, 3) * 40).astype(dtype)
    (nearest,) = run("Resize", inputs(x, [2, 2]), {"mode": "nearest"}, 19, known=[2])
    np.testing.assert_array_equal(nearest, x.repeat(2, 2).repeat(2, 3))
    (linear,) = run("Resize", inputs(x, [2, 2]), {"mode": "linear"}, 19)
    assert linear.dtype == dtype


@pytest.mark.parametrize("known", [False, True])
def test_scaled_sizes_are_rounded_as_float32(known: bool) -> None:
    # The float32 0.7 is a little less than seven tenths.
    arrays = inputs(normal(1, 2, 10, 20), [0.7, 0.7])
    (y,) = run("Resize", arrays, {"mode": "linear"}, 19, known=[2] if known else ())
    assert y.shape == (1, 2, 7, 14)


@pytest.mark.parametrize(("mode", "transform"), [("linear", "half_pixel"), ("nearest", "half_pixel")])
def test_export_keeps_sizes_that_follow_from_those_of_another_input(mode: str, transform: str) -> None:
    # As a decoder does with the image of its encoder: sizes = concat(shape(x)[:2], shape(like)[2:] * 2).
    text = f"""
        <ir_version: 9, opset_import: ["" : 19]>
        up (float[n, 3, h, w] x, float[n, 5, a, b] like) => (float[n, 3, c, d] y)
        <int64[1] two = {{2}}> {{
            own = Shape<start = 0, end = 2>(x)
            other = Shape<start = 2>(like)
            doubled = Mul(other, two)
            sizes = Concat<axis = 0>(own, doubled)
            y = Resize<mode = "{mode}", coordinate_transformation_mode = "{transform}", nearest_mode = "floor">
                (x, , , sizes)
        }}"""
    model = onnx.parser.parse_model(text)
    program = exported(model)
    session = onnx.reference.ReferenceEvaluator(model)
    for n, h, w, a, b in [(1, 4, 5, 6, 3), (3, 7, 2, 4, 8)]:
        x, like = normal(n, 3, h, w), normal(n, 5, a, b)
        (expected,) = session.run(None, {"x": x, "like": like})
        np.testing.assert_allclose(program(torch.tensor(x), torch.tensor(like)), expected, rtol=1e-4, atol=1e-5)
