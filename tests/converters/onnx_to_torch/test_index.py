"""Non-maximum suppression, and writing by index, with open sizes and exported."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
import torch

from tests.converters.nodes import onnxruntime
from tests.converters.onnx_to_torch.cases import check, exported


def boxes(batch: int, count: int) -> np.ndarray:
    corners = np.random.default_rng(count).random((batch, count, 4)).astype(np.float32)
    corners[..., 2:] = corners[..., :2] + 0.4
    return corners


def scores(*shape: int) -> np.ndarray:
    return np.random.default_rng(sum(shape)).random(shape).astype(np.float32)


@pytest.mark.parametrize("centred", [0, 1])
@pytest.mark.parametrize("most", [0, 3, 100])
def test_non_max_suppression_of_several_images_and_classes(most: int, centred: int) -> None:
    arrays = [
        boxes(2, 20),
        scores(2, 3, 20),
        np.array([most]),
        np.array([0.3], np.float32),
        np.array([0.4], np.float32),
    ]
    attributes = {"center_point_box": centred}
    expected = onnxruntime("NonMaxSuppression", arrays, attributes, 11)
    check("NonMaxSuppression", arrays, attributes, 11, expected=expected, known=[2, 3, 4], dims={0: ("n", "boxes", 4)})


def test_corners_in_any_order_and_absent_limits() -> None:
    swapped = boxes(1, 10)[..., [2, 1, 0, 3]]
    arrays = [swapped, scores(1, 2, 10), np.array([4])]
    expected = onnxruntime("NonMaxSuppression", arrays, {}, 11)
    check("NonMaxSuppression", arrays, {}, 11, expected=expected, known=[2], dims={0: ("n", "boxes", 4)})


def test_export_keeps_the_number_of_boxes() -> None:
    model = onnx.parser.parse_model("""
        <ir_version: 9, opset_import: ["" : 18]>
        detect (float[n, b, 4] boxes, float[n, 3, b] scores) => (int64[s, 3] selected)
        <int64[1] most = {4}, float[1] overlap = {0.3}> {
            selected = NonMaxSuppression(boxes, scores, most, overlap)
        }""")
    program = exported(model)
    for n, b in [(1, 20), (2, 9)]:
        feeds = {"boxes": boxes(n, b), "scores": scores(n, 3, b)}
        (expected,) = onnx.reference.ReferenceEvaluator(model).run(None, feeds)
        np.testing.assert_array_equal(program(*map(torch.tensor, feeds.values())), expected)


@pytest.mark.parametrize("mode", ["linear", "circular"])
def test_tensor_scatter(mode: str) -> None:
    start = np.array([3, 1]) if mode == "linear" else np.array([4, 1])
    arrays = [scores(2, 3, 6, 4), scores(2, 3, 2, 4), start]
    check("TensorScatter", arrays, {"mode": mode}, 24)


def test_scatter_is_scatter_elements() -> None:
    arrays = [np.zeros((3, 4), np.float32), np.array([[0, 3], [1, 2]]), scores(2, 2)]
    check("Scatter", arrays, {"axis": 1}, 10, expected=onnxruntime("Scatter", arrays, {"axis": 1}, 10))
