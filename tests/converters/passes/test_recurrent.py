"""Recurrent layers with PyTorch's parameters: names, numbers, and what keeps a network from being a layer."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from tests.converters.recurrent import FEATURES, GATES, HIDDEN, STATES, inputs
from translate.converters.onnx_to_torch.export import module
from translate.converters.passes import prepare_for_torch
from translate.converters.passes.layers import LAYERS
from translate.converters.passes.recurrent import find_recurrent_layers
from translate.converters.weights import weights
from translate.models.base import Spec

X = Spec("x", "float32", ("times", "batch", FEATURES))
KINDS = {"LSTM": nn.LSTM, "GRU": nn.GRU, "RNN": nn.RNN}


def network(
    op: str, directions: int = 1, names: tuple[str, ...] = ("w", "r", "b"), also_read: str = "", **attributes: Any
) -> ir.Model:
    """One network whose weights are initializers called `names`; `also_read` is returned as well."""
    arrays = inputs(op, directions)
    stored = [numpy_helper.from_array(arrays[key], name) for key, name in zip(("w", "r", "b"), names, strict=True)]
    if op == "GRU":
        attributes.setdefault("linear_before_reset", 1)
    attributes |= {"hidden_size": HIDDEN, "direction": "bidirectional" if directions == 2 else "forward"}
    outputs = ["y", "h", "c"][: 1 + STATES[op]]
    nodes = [helper.make_node(op, ["x", *names], outputs, f"encoder/{op}", **attributes)]
    if also_read:
        nodes.append(helper.make_node("Neg", [also_read], ["other"]))
    given = [helper.make_tensor_value_info("x", TensorProto.FLOAT, list(X.shape or ()))]
    returned = [helper.make_empty_tensor_value_info(name) for name in outputs + (["other"] if also_read else [])]
    graph = helper.make_graph(nodes, "network", given, returned, stored)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    return ir.from_proto(onnx.shape_inference.infer_shapes(model))


def layers(model: ir.Model) -> list[str]:
    return [node.op_type for node in model.graph if node.domain == LAYERS]


@pytest.mark.parametrize("directions", [1, 2])
@pytest.mark.parametrize("op", GATES)
def test_a_network_is_a_layer_of_torch(op: str, directions: int) -> None:
    model = network(op, directions)
    prepare_for_torch(model)
    assert layers(model) == [op]
    translated = module(model)
    (layer,) = [part for part in translated.modules() if isinstance(part, nn.RNNBase)]
    assert type(layer) is KINDS[op] and layer.bidirectional == (directions == 2)
    # Named after the node, since the weights have no place.
    assert {name.rpartition(".")[0] for name, _ in translated.named_parameters()} == {"encoder"}
    # ONNX has the output gate second and the update gate first; PyTorch the last and the second.
    w = inputs(op, directions)["w"]
    assert w is not None
    order = {"LSTM": [0, 2, 3, 1], "GRU": [1, 0, 2], "RNN": [0]}[op]
    blocks = w[0].reshape(GATES[op], HIDDEN, FEATURES)[order].reshape(-1, FEATURES)
    np.testing.assert_array_equal(layer.weight_ih_l0.detach().numpy(), blocks)
    reference = KINDS[op](FEATURES, HIDDEN, bidirectional=directions == 2)
    reference.load_state_dict(layer.state_dict())
    x = torch.randn(7, 3, FEATURES)
    y, _ = reference(x)
    ours = translated(x)[0]
    torch.testing.assert_close(ours.transpose(1, 2).flatten(2), y)


def test_a_second_run_changes_nothing() -> None:
    model = network("GRU")
    find_recurrent_layers(model)
    before = ir.serde.serialize_model(model).SerializeToString(deterministic=True)
    find_recurrent_layers(model)
    assert ir.serde.serialize_model(model).SerializeToString(deterministic=True) == before


def test_the_weights_of_a_keras_layer_are_named_after_it() -> None:
    names = ("net.rnn.lstm_cell.kernel", "net.rnn.lstm_cell.recurrent_kernel", "net.rnn.lstm_cell.bias")
    model = network("LSTM", names=names)
    prepare_for_torch(model)
    found = {str(value.name) for value in weights(model)}
    assert found == {f"net.rnn.{part}_l0" for part in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")}


@pytest.mark.parametrize(
    "attributes", [{"clip": 0.5}, {"activations": ["Sigmoid", "Tanh", "Relu"]}, {"input_forget": 1}]
)
def test_what_torch_has_not_stays(attributes: dict[str, Any]) -> None:
    model = network("LSTM", **attributes)
    prepare_for_torch(model)
    assert layers(model) == []


def test_a_weight_with_another_reader_stays() -> None:
    model = network("LSTM", also_read="w")
    prepare_for_torch(model)
    assert layers(model) == []
    x = torch.randn(2, 3, FEATURES)
    *_, other = module(model)(x)
    w = inputs("LSTM", 1)["w"]
    assert w is not None
    np.testing.assert_array_equal(other.detach().numpy(), -w)
