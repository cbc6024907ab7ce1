"""Quantised numbers against onnxruntime and by their definition, with open sizes."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest

from tests.backend.node_suite import compare
from tests.converters.nodes import one_node
from tests.converters.onnx_to_torch.cases import run

GENERATOR = np.random.default_rng(0)


def draw(dtype: type, *shape: int) -> np.ndarray:
    limits = np.iinfo(dtype)
    return GENERATOR.integers(limits.min, limits.max + 1, shape).astype(dtype)


def against_onnxruntime(op, arrays, attributes=None, dynamic=True):
    model = one_node(op, arrays, attributes)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    (expected,) = session.run(None, {f"x{i}": np.asarray(array) for i, array in enumerate(arrays) if array is not None})
    (actual,) = run(op, arrays, attributes, dynamic=dynamic)
    compare(actual, expected, 1e-5, 1e-6)


@pytest.mark.parametrize(("op", "dtype"), [("QuantizeLinear", np.float32), ("DequantizeLinear", np.int8)])
def test_a_scale_for_each_channel(op, dtype):
    x = (GENERATOR.normal(size=(2, 3, 4)) * 40).astype(dtype)
    arrays = [x, np.float32([0.5, 2, 0.1]), np.int8([0, -3, 7])]
    against_onnxruntime(op, arrays, {"axis": 1}, dynamic=False)


def test_halves_are_rounded_to_even_and_the_rest_is_cut_off():
    (y,) = run("QuantizeLinear", [np.float32([0.5, 1.5, -1, 300]), np.float32(1), np.uint8(0)], dynamic=False)
    np.testing.assert_array_equal(y, np.uint8([0, 2, 0, 255]))


def test_a_dynamic_range_of_zeros_has_a_scale():
    y, scale, zero_point = run("DynamicQuantizeLinear", [np.zeros([3], np.float32)], outputs=3)
    assert (y.tolist(), scale > 0, zero_point) == ([0, 0, 0], True, 0)


def test_products_of_integers_are_exact():
    a, b = draw(np.uint8, 3, 5000), draw(np.int8, 5000, 2)
    (y,) = run("MatMulInteger", [a, b, np.uint8(7), np.int8([1, -2])], dynamic=False)
    np.testing.assert_array_equal(y, (a.astype(np.int64) - 7) @ (b.astype(np.int64) - [1, -2]))


def test_a_convolution_with_a_zero_point_for_each_filter():
    x, w = draw(np.uint8, 1, 2, 6, 5), draw(np.uint8, 3, 2, 3, 3)
    arrays = [x, np.float32(0.1), np.uint8(3), w, np.float32([0.2, 0.1, 0.3]), np.uint8([4, 4, 4]), np.float32(40.0)]
    against_onnxruntime("QLinearConv", [*arrays, np.uint8(128), np.int32([5, 6, 7])], {"pads": [1] * 4}, dynamic=False)
