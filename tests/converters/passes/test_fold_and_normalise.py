"""Normalise and fold: the numbers stay, the weights stay, and a second run changes nothing."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
import pytest

from translate.converters.passes.fold import fold
from translate.converters.passes.normalise import normalise
from translate.converters.weights import weights

WEIGHTS = {
    "w": np.random.default_rng(0).normal(size=(3, 2, 1, 1)).astype(np.float32),
    # Weights that a careless rule would drop: a bias of zeros, a scale of ones.
    "bias": np.zeros(3, np.float32),
    "scale": np.ones(3, np.float32),
    "mean": np.full(3, 0.5, np.float32),
    "var": np.full(3, 2.0, np.float32),
    "gamma": np.ones(1, np.float32),
}

CONV_NET = """
<ir_version: 10, opset_import: ["" : 20]>
net (float[batch, 2, 4, 4] x) => (float[batch, 48] y) {
  c = Conv(x, w, bias)
  b = BatchNormalization(c, scale, bias, mean, var)
  g = Mul(b, gamma)
  one = Constant <value = float {1.0}> ()
  two = Constant <value = float {2.0}> ()
  three = Add(one, two)
  s = Mul(g, three)
  batch = Shape <start = 0, end = 1> (s)
  rest = Constant <value_ints = [48]> ()
  shape = Concat <axis = 0> (batch, rest)
  y = Reshape(s, shape)
}
"""

OLD_SOFTMAX = """
<ir_version: 6, opset_import: ["" : 11]>
net (float[2, 3, 4] x) => (float[2, 3, 4] y) { y = Softmax <axis = 1> (x) }
"""

WITH_FUNCTION = """
<ir_version: 10, opset_import: ["" : 20, "local" : 1]>
net (float[n] x) => (float[n] y) { y = local.twice(x) }
<domain: "local", opset_import: ["" : 20]>
twice (a) => (b) { b = Add(a, a) }
"""


def model(text, initializers=()):
    proto = onnx.parser.parse_model(text)
    proto.graph.initializer.extend(onnx.numpy_helper.from_array(a, name) for name, a in dict(initializers).items())
    return ir.from_proto(proto)


def run(model, x):
    # onnxruntime, since onnx's reference evaluator computes an old Softmax as if it were a new one.
    session = onnxruntime.InferenceSession(ir.to_proto(model).SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"x": x})[0]


def operators(model):
    return [node.op_type for node in model.graph]


def test_folding_keeps_the_numbers_and_every_weight():
    x = np.random.default_rng(1).normal(size=(3, 2, 4, 4)).astype(np.float32)
    net = model(CONV_NET, WEIGHTS)
    before = run(net, x)
    normalise(net)
    fold(net)
    np.testing.assert_allclose(run(net, x), before, rtol=1e-6)
    assert operators(net) == ["Conv", "BatchNormalization", "Mul", "Mul", "Reshape"]
    assert {value.name for value in weights(net)} == set(WEIGHTS)


def test_a_second_run_changes_nothing():
    net = model(CONV_NET, WEIGHTS)
    normalise(net)
    fold(net)
    once = str(net)
    normalise(net)
    fold(net)
    assert str(net) == once


def test_only_marked_initializers_are_weights_where_the_exporter_marked_them():
    net = model(CONV_NET, WEIGHTS)
    net.graph.initializers["w"].metadata_props["translate.kind"] = "parameter"
    net.graph.initializers["mean"].metadata_props["translate.kind"] = "buffer"
    assert {value.name: trainable for value, trainable in weights(net).items()} == {"w": True, "mean": False}


def test_an_old_softmax_keeps_its_meaning():
    x = np.random.default_rng(2).normal(size=(2, 3, 4)).astype(np.float32)
    net = model(OLD_SOFTMAX)
    before = run(net, x)
    # Before opset 13, Softmax was over all axes from `axis` on, flattened into one.
    np.testing.assert_allclose(before.reshape(2, -1).sum(-1), 1, rtol=1e-6)
    notes = normalise(net)
    np.testing.assert_allclose(run(net, x), before, rtol=1e-6)
    assert net.opset_imports[""] == 18
    assert notes == ["raised from opset 11 to 18"]


def test_functions_are_inlined():
    net = model(WITH_FUNCTION)
    normalise(net)
    assert operators(net) == ["Add"]


@pytest.mark.parametrize("text", [CONV_NET, WITH_FUNCTION])
def test_shapes_are_known_afterwards(text):
    net = model(text, WEIGHTS if text is CONV_NET else ())
    normalise(net)
    assert all(value.shape is not None for node in net.graph for value in node.outputs)


@pytest.mark.parametrize(
    ("operator", "neutral", "near"),
    [("Add", 0.0, 1e-10), ("Sub", 0.0, 1e-10), ("Mul", 1.0, 1.000004), ("Div", 1.0, 0.999996)],
)
def test_only_what_is_exactly_neutral_is_dropped(operator, neutral, near):
    # A small number keeps a logarithm or a quotient finite; onnxscript's own rules drop it.
    for number, left in ((neutral, False), (near, True)):
        model = ir.from_onnx_text(
            f"""<ir_version: 10, opset_import: ["" : 20]>
            net (float[n] x) => (float[n] y) {{
              c = Constant <value = float {{{number:.8g}}}> ()
              s = {operator}(x, c)
              y = Log(s)
            }}"""
        )
        fold(model)
        assert (operator in [node.op_type for node in model.graph]) == left
