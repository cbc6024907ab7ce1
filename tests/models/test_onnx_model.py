from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
from onnx import TensorProto, helper

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
