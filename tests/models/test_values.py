"""Intermediate values: the same from every kind of model, in the axis order of the exported graph."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir
import pytest
import tensorflow as tf
import torch
from torch import nn

from translate.converters import onnx_to_tf, passes
from translate.manifest import PLACE, read_manifest
from translate.models import Model, open_model
from translate.models.onnx_model import OnnxModel
from translate.models.saved_model import SavedModel
from translate.routes import to_onnx


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 5, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(5)
        self.head = nn.Linear(5, 2)
        self.scale = nn.Parameter(torch.rand(1, 5, 1, 1))

    def forward(self, x):
        features = torch.relu(self.norm(self.conv(x))) * self.scale
        order = torch.flip(features, (3,))
        return self.head(order.mean((2, 3)))


@dataclass
class Three:
    source: Model
    graph: ir.Model
    onnx: OnnxModel
    target: SavedModel
    feeds: dict[str, np.ndarray]
    names: list[str]


@pytest.fixture(scope="module")
def three(tmp_path_factory):
    torch.manual_seed(0)
    source = open_model(Net().eval(), inputs=["x:batch,3,6,7"])
    graph = to_onnx(source, [])
    lowered = graph.clone()
    passes.prepare(lowered)
    folder = tmp_path_factory.mktemp("values") / "model"
    onnx_to_tf.save(lowered, folder)
    feeds = {"x": np.random.default_rng(0).normal(size=(2, 3, 6, 7)).astype(np.float32)}
    names = [str(value.name) for node in graph.graph for value in node.outputs]
    return Three(source, graph, OnnxModel(graph.clone()), SavedModel(folder), feeds, names)


def test_the_manifest_tells_what_became_of_weights_and_values(three):
    manifest = read_manifest(three.target.path)
    parameters = {name: (p.variable, p.permutation, p.trainable) for name, p in manifest.parameters.items()}
    assert parameters == {
        "conv.weight": ("conv/weight", (2, 3, 1, 0), True),
        "norm.weight": ("norm/weight", None, True),
        "norm.bias": ("norm/bias", None, True),
        "norm.running_mean": ("norm/running_mean", None, False),
        "norm.running_var": ("norm/running_var", None, False),
        "head.weight": ("head/weight", None, True),
        "head.bias": ("head/bias", None, True),
        "scale": ("scale", (0, 2, 3, 1), True),
    }
    assert manifest.values["conv2d"].permutation == (0, 2, 3, 1)
    assert manifest.values["conv2d"].operator == "Conv"
    assert "x" not in manifest.values
    text = (three.target.path / PLACE).read_text()
    assert ".py" not in text
    assert str(three.target.path) not in text


def test_stored_weights_are_the_sources_with_their_axes_moved(three):
    state = three.source.module.state_dict()
    variables = {variable.name.removesuffix(":0"): variable for variable in three.target.loaded.variables}
    for name, parameter in three.target.manifest.parameters.items():
        source = state[name].numpy()
        stored = source if parameter.permutation is None else source.transpose(parameter.permutation)
        np.testing.assert_array_equal(variables[parameter.variable].numpy(), stored)


def test_every_kind_of_model_gives_the_same_values(three):
    source = three.source.values(three.feeds, three.names)
    onnx = three.onnx.values(three.feeds, three.names)
    target = three.target.values(three.feeds, three.names)
    assert {"conv2d", "relu", "flip", "mean"} <= source.keys() & onnx.keys() & target.keys()
    for name in source:
        np.testing.assert_allclose(onnx[name], source[name], rtol=1e-4, atol=1e-5, err_msg=name)
    for name in target:
        np.testing.assert_allclose(target[name], onnx[name], rtol=1e-4, atol=1e-5, err_msg=name)


def test_values_can_be_had_in_double_precision(three):
    names = ["conv2d", "relu"]
    single, double = three.source.values(three.feeds, names), three.source.values_double(three.feeds, names)
    for name in names:
        assert (single[name].dtype, double[name].dtype) == (np.float32, np.float64)
        distance = np.abs(single[name] - double[name]).max()
        assert 0 < distance < 1e-5


def test_names_that_a_model_does_not_know_are_left_out(three):
    for model in (three.source, three.onnx, three.target):
        assert model.values(three.feeds, ["nobody", "relu"]).keys() == {"relu"}
        assert model.values(three.feeds, ["nobody"]) == {}


def test_values_follow_the_variables_as_they_are_now(three):
    before = three.target.values(three.feeds, ["conv2d"])["conv2d"]
    (variable,) = [v for v in three.target.loaded.variables if v.name == "conv/weight:0"]
    right = variable.numpy()
    variable.assign(2 * right)
    try:
        np.testing.assert_allclose(three.target.values(three.feeds, ["conv2d"])["conv2d"], 2 * before, rtol=1e-6)
    finally:
        variable.assign(right)


def test_asking_for_values_leaves_the_onnx_model_as_it_was(three):
    three.onnx.values(three.feeds, three.names)
    assert three.onnx.run(three.feeds).keys() == {"output"}
    assert len(three.onnx.model.graph.outputs) == 1


def test_what_is_inside_a_loop_is_left_out():
    class Loop(nn.Module):
        def forward(self, x):
            def body(i, y):
                return i + 1, torch.sin(y) + 1

            return torch._higher_order_ops.while_loop(lambda i, y: i < 3, body, (torch.tensor(0), x))[1].exp()

    source = open_model(Loop(), inputs=["x:4"])
    graph = to_onnx(source, [])
    loop = next(node for node in graph.graph if node.op_type == "Loop")
    inside = [str(value.name) for node in loop.attributes["body"].as_graph() for value in node.outputs]
    onnx = OnnxModel(graph)
    feeds = {"x": np.ones(4, np.float32)}
    assert inside
    assert onnx.values(feeds, inside) == {}
    (name,) = [str(value.name) for value in loop.outputs if value.dtype == ir.DataType.FLOAT]
    assert onnx.values(feeds, [name])[name].shape == (4,)


def test_a_foreign_saved_model_is_asked_by_name(tmp_path):
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        x = tf.compat.v1.placeholder(tf.float32, [None, 2], name="x")
        doubled = tf.multiply(x, 2.0, name="doubled")
        y = tf.add(doubled, 1.0, name="y_add")
        tf.compat.v1.saved_model.simple_save(session, str(tmp_path / "model"), {"x": x}, {"y": y})
    model = SavedModel(tmp_path / "model")
    assert model.manifest is None
    values = model.values({"x": np.ones((1, 2), np.float32)}, ["doubled", "nobody"])
    assert {name: array.tolist() for name, array in values.items()} == {"doubled": [[2.0, 2.0]]}
