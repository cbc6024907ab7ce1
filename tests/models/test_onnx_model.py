from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx import TensorProto, helper, numpy_helper

from translate.models.onnx_model import OnnxModel


def test_zeros_around_negative_values_take_part_in_a_maximum() -> None:
    graph = helper.make_graph(
        [
            helper.make_node("Pad", ["x", "pads", "zero"], ["padded"]),
            helper.make_node("MaxPool", ["padded"], ["y"], kernel_shape=[2, 2], strides=[2, 2]),
        ],
        "main",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 1, 2, 2])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [
            helper.make_tensor("pads", TensorProto.INT64, [8], [0, 0, 1, 1, 0, 0, 1, 1]),
            helper.make_tensor("zero", TensorProto.FLOAT, [], [0.0]),
        ],
    )
    proto: onnx.ModelProto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    model = OnnxModel(ir.serde.deserialize_model(proto))
    y = model.run({"x": np.full((1, 1, 2, 2), -1, np.float32)})["y"]
    np.testing.assert_array_equal(y, np.zeros((1, 1, 2, 2), np.float32))


@pytest.mark.parametrize("dtype", [TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.FLOAT16])
def test_large_weights_are_handed_over_and_the_graph_stays_as_it_is(dtype: int) -> None:
    kind = helper.tensor_dtype_to_np_dtype(dtype)
    weight = np.random.default_rng(0).standard_normal((64, 64)).astype(kind)
    x = np.random.default_rng(1).standard_normal((3, 64)).astype(kind)
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "weight"], ["y"])],
        "main",
        [helper.make_tensor_value_info("x", dtype, [3, 64])],
        [helper.make_tensor_value_info("y", dtype, [3, 64])],
        [numpy_helper.from_array(weight, "weight")],
    )
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=12)
    model = OnnxModel(ir.serde.deserialize_model(proto))
    y = model.run({"x": x})["y"]
    error = np.abs(y - x.astype(np.float64) @ weight).max()
    assert error < 100 * np.finfo(kind).eps
    assert model.model.ir_version == 12
    assert np.array_equal(model.model.graph.initializers["weight"].const_value.numpy(), weight)
    moved = model.run_perturbed({"x": x}, 0)["y"]
    assert 0 < np.abs(moved - y).max() < 100 * np.finfo(kind).eps
    assert np.array_equal(model.run({"x": x})["y"], y)
