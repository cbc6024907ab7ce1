from __future__ import annotations

import numpy as np
import onnx_ir as ir
import onnxruntime
import pytest

from translate.converters.metadata import KIND
from translate.converters.passes.conv_bias import join_biases

GENERATOR = np.random.default_rng(0)


def model(bias_size: int, to_shape: list[int], *, trained: bool = True) -> ir.Model:
    """Return Conv [N,2,5,5] → [N,3,3,3], and the Add of a bias that is reshaped first."""
    tensors = {
        "weight": GENERATOR.standard_normal((3, 2, 3, 3)).astype(np.float32),
        "bias": GENERATOR.standard_normal(bias_size).astype(np.float32),
        "shape": np.asarray(to_shape, np.int64),
    }
    values = {
        name: ir.Value(
            name=name,
            shape=ir.Shape(array.shape),
            type=ir.TensorType(ir.DataType.from_numpy(array.dtype)),
            const_value=ir.tensor(array, name=name),
        )
        for name, array in tensors.items()
    }
    values["weight"].metadata_props[KIND] = "parameter"
    if trained:
        values["bias"].metadata_props[KIND] = "parameter"
    float32 = ir.TensorType(ir.DataType.FLOAT)
    x = ir.Value(name="x", shape=ir.Shape(["batch", 2, 5, 5]), type=float32)
    conv = ir.node("Conv", [x, values["weight"]])
    reshaped = ir.node("Reshape", [values["bias"], values["shape"]])
    add = ir.node("Add", [conv.outputs[0], reshaped.outputs[0]])
    for node, shape in ((conv, ["batch", 3, 3, 3]), (reshaped, to_shape), (add, ["batch", 3, 3, 3])):
        node.outputs[0].shape, node.outputs[0].type = ir.Shape(shape), float32
    add.outputs[0].name = "y"
    graph = ir.Graph([x], [add.outputs[0]], nodes=[conv, reshaped, add], initializers=[*values.values()],
                     opset_imports={"": 20}, name="main")  # fmt: skip
    return ir.Model(graph, ir_version=10)


def run(model: ir.Model) -> np.ndarray:
    session = onnxruntime.InferenceSession(ir.serde.serialize_model(model).SerializeToString())
    return session.run(None, {"x": np.random.default_rng(1).standard_normal((2, 2, 5, 5)).astype(np.float32)})[0]


@pytest.mark.parametrize("shape", [[3, 1, 1], [1, 3, 1, 1]])
def test_a_bias_for_each_channel_joins_its_convolution(shape: list[int]) -> None:
    graph = model(3, shape)
    before = run(graph)
    join_biases(graph)
    assert [node.op_type for node in graph.graph] == ["Conv"]
    assert [str(value.name) for value in graph.graph.node(0).inputs if value] == ["x", "weight", "bias"]
    np.testing.assert_allclose(run(graph), before, rtol=1e-6, atol=1e-6)
    join_biases(graph)
    assert len(list(graph.graph)) == 1


@pytest.mark.parametrize(("size", "shape"), [(3, [1, 3]), (3, [1, 1, 3]), (9, [3, 3]), (1, [1, 1, 1])])
def test_another_axis_is_no_bias(size: int, shape: list[int]) -> None:
    graph = model(size, shape)
    before = run(graph)
    join_biases(graph)
    assert [node.op_type for node in graph.graph] == ["Conv", "Reshape", "Add"]
    np.testing.assert_array_equal(run(graph), before)


def test_a_number_that_is_no_weight_is_left_alone() -> None:
    graph = model(3, [3, 1, 1], trained=False)
    join_biases(graph)
    assert [node.op_type for node in graph.graph] == ["Conv", "Reshape", "Add"]
