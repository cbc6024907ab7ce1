"""The TensorFlow object and its SavedModel: structure, variables, fine-tuning, and what is not a constant."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
import pytest
import tensorflow as tf
import torch
from tensorflow.core.protobuf import saved_model_pb2
from torch import nn

from translate.converters.metadata import STRUCTURE
from translate.converters.onnx_to_tf.export import module, preflight, save
from translate.converters.passes import prepare
from translate.converters.torch_to_onnx import export
from translate.errors import CannotTranslateError, UnsupportedError
from translate.models import open_model

TWO_OUTPUTS = """
<ir_version: 10, opset_import: ["" : 20]>
net (float[batch, 3] x) => (float[batch, 3] total, float[batch, 3] x_again)
{ total = Add(x, weight)  x_again = Identity(x) }
"""


def parsed(text, **initializers):
    proto = onnx.parser.parse_model(text)
    proto.graph.initializer.extend(onnx.numpy_helper.from_array(a, name) for name, a in initializers.items())
    return ir.from_proto(proto)


def two_outputs():
    return parsed(TWO_OUTPUTS, weight=np.arange(3, dtype=np.float32))


def translated(net, *inputs):
    model = export(open_model(net.eval(), inputs=inputs))
    prepare(model)
    return model


def saved(model, folder):
    save(model, folder)
    return tf.saved_model.load(str(folder))


class Nested(nn.Module):
    def __init__(self):
        super().__init__()
        self.block = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU())
        self.grouped = nn.Conv2d(8, 8, 3, groups=4)
        self.head = nn.Linear(8, 2)
        self.register_buffer("table", torch.arange(4000).reshape(2, 2000))

    def forward(self, x):
        pooled = self.grouped(self.block(x)).mean((2, 3))
        return self.head(pooled), self.table[:, : pooled.shape[0]]


@pytest.mark.parametrize(
    ("structure", "expected"),
    [(None, (2, 1)), ("tuple", (2, 1)), ("dict", {"total": 2, "x_again": 1})],
)
def test_a_call_returns_what_the_source_returned(structure, expected):
    model = two_outputs()
    if structure:
        model.metadata_props[STRUCTURE] = structure
    results = module(model)(tf.ones([1, 3]))
    assert tf.nest.map_structure(lambda y: float(y[0, 1]), results) == expected


def test_the_signature_has_names_dtypes_and_open_sizes(tmp_path):
    signature = saved(two_outputs(), tmp_path).signatures["serving_default"]
    assert signature.structured_input_signature[1] == {"x": tf.TensorSpec([None, 3], tf.float32, "x")}
    assert {name: spec.shape.as_list() for name, spec in signature.structured_outputs.items()} == {
        "total": [None, 3],
        "x_again": [None, 3],
    }


def test_weights_are_variables_under_their_own_names(tmp_path):
    loaded = saved(translated(Nested(), "x:batch,3,8,8"), tmp_path)
    assert {v.name.partition(":")[0]: v.trainable for v in loaded.variables} == {
        "block/0/weight": True,
        "block/0/bias": True,
        "block/1/weight": True,
        "block/1/bias": True,
        "block/1/running_mean": False,
        "block/1/running_var": False,
        "grouped/weight": True,
        "grouped/bias": True,
        "head/weight": True,
        "head/bias": True,
        "table": False,
    }
    assert len(loaded.trainable_variables) == 8
    # They hang on the object under the path that they have in PyTorch.
    assert getattr(loaded.block, "0").bias.shape == [8]
    assert loaded.head.bias.shape == [2]


def test_a_loaded_model_trains_as_the_source_does(tmp_path):
    torch.manual_seed(0)
    net = Nested()
    loaded = saved(translated(net, "x:batch,3,8,8"), tmp_path)
    x, goal = torch.randn(6, 3, 8, 8), torch.randn(6, 2)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    ours, theirs = [], []
    for _ in range(4):
        optimizer.zero_grad()
        torch_loss = (net(x)[0] - goal).square().mean()
        torch_loss.backward()
        optimizer.step()
        theirs.append(torch_loss.item())
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.square(loaded(x.numpy())[0] - goal.numpy()))
        gradients = tape.gradient(loss, loaded.trainable_variables)
        for variable, gradient in zip(loaded.trainable_variables, gradients, strict=True):
            variable.assign_sub(0.1 * gradient)
        ours.append(float(loss))
    assert ours[-1] < ours[0]
    np.testing.assert_allclose(ours, theirs, rtol=1e-5)


def test_large_tables_are_not_constants(tmp_path):
    save(translated(Nested(), "x:batch,3,8,8"), tmp_path)
    proto = saved_model_pb2.SavedModel.FromString((tmp_path / "saved_model.pb").read_bytes())
    graph = proto.meta_graphs[0].graph_def
    nodes = [*graph.node, *(node for function in graph.library.function for node in function.node_def)]
    assert max(node.attr["value"].tensor.ByteSize() for node in nodes if node.op == "Const") < 4096


def test_weights_with_awkward_names():
    weights = {"variables": 1.0, "a": 2.0, "a.b": 3.0, "a.b.c": 4.0, "__call__.x": 5.0}
    text = '<ir_version: 10, opset_import: ["" : 20]> net (float[3] x) => (float[3] y) { y = Sum(x, {}) }'
    names = [f"w{i}" for i in range(len(weights))]
    values = {name: np.full(3, value, "f4") for name, value in zip(names, weights.values(), strict=True)}
    model = parsed(text.replace("{}", ", ".join(names)), **values)
    for old, new in zip(names, weights, strict=True):
        model.graph.initializers[old].name = new
    root = module(model)
    np.testing.assert_array_equal(root(tf.zeros(3)), [15, 15, 15])
    assert len(root.variables) == 5


def test_a_signature_cannot_take_a_sequence():
    node = onnx.helper.make_node("SequenceLength", ["s"], ["n"])
    sequence = onnx.helper.make_tensor_sequence_value_info("s", onnx.TensorProto.FLOAT, None)
    length = onnx.helper.make_tensor_value_info("n", onnx.TensorProto.INT64, [])
    model = onnx.helper.make_model(onnx.helper.make_graph([node], "g", [sequence], [length]))
    with pytest.raises(UnsupportedError, match="input s is a SequenceType"):
        module(ir.from_proto(model))


def test_what_is_missing_is_found_before_anything_is_built(tmp_path):
    header = '<ir_version: 10, opset_import: ["" : 20, "org" : 1]>'
    model = parsed(f"{header} net (float[3] x) => (float[3] y) {{ y = org.Odd(x) }}")
    (problem,) = preflight(model)
    assert problem.operator == "org::Odd"
    with pytest.raises(CannotTranslateError, match="org::Odd"):
        save(model, tmp_path / "out")
    assert not (tmp_path / "out").exists()
