"""Quantised operators with symbolic sizes, every granularity, and sums that need exact arithmetic."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import onnx
import onnxruntime
import pytest

from tests.backend.node_suite import compare
from tests.converters.onnx_to_tf.cases import check, gradients, one_node, run

X = np.random.default_rng(0).standard_normal((3, 6, 4)).astype(np.float32) * 20
INTEGERS = ["int8", "uint8", "int16", "uint16", "int4", "uint4"]


def dtype(name: str) -> np.dtype:
    return np.dtype(getattr(ml_dtypes, name, name))


def scales(shape: tuple[int, ...], kind: type = np.float32) -> np.ndarray:
    return np.random.default_rng(1).uniform(0.5, 2, shape).astype(kind)


GRANULARITIES = [((), {}), ((6,), {"axis": 1}), ((4,), {"axis": -1}), ((3, 3, 4), {"axis": 1, "block_size": 2})]
GRANULARITIES += [((3, 2, 4), {"axis": -2, "block_size": 4})]


@pytest.mark.parametrize(("shape", "attributes"), GRANULARITIES)
@pytest.mark.parametrize("name", INTEGERS)
def test_quantize_and_back(name, shape, attributes):
    zero_point = np.full(shape, 3).astype(dtype(name))
    arrays = [X, scales(shape), zero_point]
    check("QuantizeLinear", arrays, attributes, 21)
    (quantised,) = run("QuantizeLinear", arrays, attributes, 21)
    check("DequantizeLinear", [quantised, scales(shape), zero_point], attributes, 21)


@pytest.mark.parametrize("kind", [np.float16, ml_dtypes.bfloat16])
def test_half_scales_and_16_bit_zero_points(kind):
    x = np.array([[1.5, -3.0, 100.0], [0.25, 7.0, -100.0]], kind)
    scale, zero_point = np.array(0.5, kind), np.array(60001, np.uint16)
    check("QuantizeLinear", [x, scale, zero_point], opset=21)


def test_output_dtype_without_a_zero_point():
    check("QuantizeLinear", [X, scales(())], {"output_dtype": onnx.TensorProto.INT8}, 23)
    check("QuantizeLinear", [X, scales(())], opset=23)
    q = np.array([1, 2, 250], np.uint8)
    attributes = {"output_dtype": onnx.TensorProto.FLOAT16}
    halves = (q * scales(())).astype(np.float16)
    check("DequantizeLinear", [q, scales(())], attributes, 23, expected=[halves], rtol=1e-3)


def test_float8():
    scale = np.array(0.1, np.float32)
    for name in ("float8_e4m3fn", "float8_e5m2"):
        zero_point = np.zeros((), dtype(name))
        check("QuantizeLinear", [X * 1000, scale, zero_point], opset=21)
        check("DequantizeLinear", [X.astype(dtype(name)), scale, zero_point], opset=21)


def test_dynamic_quantisation_of_zeros_is_zeros():
    y, scale, zero_point = run("DynamicQuantizeLinear", [np.zeros((2, 3), np.float32)], outputs=3)
    assert y.dtype == zero_point.dtype == np.uint8
    assert np.isfinite(scale)
    np.testing.assert_array_equal(y, np.zeros((2, 3)))


def integers(shape: tuple[int, ...], name: str, seed: int) -> np.ndarray:
    limits = np.iinfo(name)
    return np.random.default_rng(seed).integers(limits.min, limits.max + 1, shape).astype(name)


def against_onnxruntime(op, arrays, attributes=None, known=()):
    model = one_node(op, arrays, attributes, known=known)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    expected = session.run(None, {f"x{i}": array for i, array in enumerate(arrays) if i not in known})
    check(op, arrays, attributes, expected=expected, known=known)


@pytest.mark.parametrize("names", [("uint8", "int8"), ("uint8", "uint8"), ("int8", "int8")])
def test_mat_mul_integer_is_exact(names):
    # 4000 products of up to 255 * 255 do not fit the 24 bits of a float32.
    a, b = integers((2, 3, 4000), names[0], 0), integers((4000, 5), names[1], 1)
    expected = a.astype(np.int64) @ b.astype(np.int64)
    check("MatMulInteger", [a, b], expected=[expected.astype(np.int32)])
    against_onnxruntime("MatMulInteger", [a, b, np.array(7, names[0]), np.full(5, 3, names[1])])


def test_mat_mul_integer_with_a_zero_point_for_each_row():
    a, b, zero_point = integers((3, 8), "uint8", 0), integers((8, 5), "uint8", 1), np.array([1, 2, 3], np.uint8)
    expected = (a.astype(np.int32) - zero_point[:, None].astype(np.int32)) @ b.astype(np.int32)
    check("MatMulInteger", [a, b, zero_point], expected=[expected])


@pytest.mark.parametrize("name", ["uint8", "int8"])
def test_q_linear_mat_mul(name):
    a, b = integers((3, 64), name, 0), integers((64, 5), name, 1)
    scale, zero_point = np.array(0.02, np.float32), np.array(5, name)
    y_scale = np.array(0.5, np.float32)
    against_onnxruntime("QLinearMatMul", [a, scale, zero_point, b, scale, zero_point, y_scale, zero_point])


CONVOLUTIONS = [
    ((2, 3, 9, 8), (4, 3, 3, 2), {"pads": [1, 0, 2, 1], "strides": [2, 1]}),
    ((1, 4, 7, 7), (6, 2, 3, 3), {"group": 2, "dilations": [2, 1], "pads": [2, 1, 2, 1]}),
    ((2, 3, 11), (4, 3, 3), {"pads": [1, 1]}),
]


@pytest.mark.parametrize(("x_shape", "w_shape", "attributes"), CONVOLUTIONS)
def test_conv_integer(x_shape, w_shape, attributes):
    x, w = integers(x_shape, "uint8", 0), integers(w_shape, "uint8", 1)
    against_onnxruntime("ConvInteger", [x, w, np.array(128, np.uint8), np.array(3, np.uint8)], attributes, known=(1,))


@pytest.mark.parametrize(("x_shape", "w_shape", "attributes"), CONVOLUTIONS)
@pytest.mark.parametrize("per_channel", [False, True])
def test_q_linear_conv(x_shape, w_shape, attributes, per_channel):
    x, w = integers(x_shape, "uint8", 0), integers(w_shape, "int8", 1)
    w_scale = scales((w_shape[0],)) / 50 if per_channel else np.array(0.02, np.float32)
    w_zero_point = np.zeros(w_scale.shape, np.int8)
    scale, zero_point = np.array(0.1, np.float32), np.array(120, np.uint8)
    bias = integers((w_shape[0],), "int16", 2).astype(np.int32)
    arrays = [x, scale, zero_point, w, w_scale, w_zero_point, np.array(0.9, np.float32), zero_point, bias]
    against_onnxruntime("QLinearConv", arrays, attributes, known=(3,))


def test_gradients_reach_the_scale():
    quantised, scale = np.array([[1, 2], [3, 4]], np.int8), np.array([0.5, 2.0], np.float32)
    _, gradient = gradients("DequantizeLinear", [quantised, scale], {"axis": 1})
    compare(gradient, np.array([4, 6], np.float32), 1e-6, 0)
