"""Layers of PyTorch that ONNX has as several operators come back whole: one layer, with its names and numbers."""

from __future__ import annotations

import onnx_ir as ir
import pytest
import torch
from torch import Tensor, nn

from translate.converters.onnx_to_torch.export import module
from translate.converters.passes import prepare_for_torch
from translate.converters.passes.recurrent_stack import stack_recurrent_layers
from translate.graphs import to_onnx
from translate.models.open import open_model

FEATURES, UNITS = 5, 3


class Net(nn.Module):
    """Returns the outputs of all steps, and the last hidden states of all layers."""

    def __init__(self, rnn: nn.RNNBase, from_states: bool = False) -> None:
        super().__init__()
        self.rnn = rnn
        self.from_states = from_states

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        layers = self.rnn.num_layers * (1 + self.rnn.bidirectional)
        state = x.new_ones([layers, x.size(0 if self.rnn.batch_first else 1), UNITS])
        given = (state, 2 * state) if isinstance(self.rnn, nn.LSTM) else state
        y, last = self.rnn(x, given) if self.from_states else self.rnn(x)
        return y, last[0] if isinstance(last, tuple) else last


def prepared(net: nn.Module) -> ir.Model:
    model = to_onnx(open_model(net.eval(), inputs=["x:first,second,5"]), [])
    prepare_for_torch(model)
    return model


NETS = {
    "batch first": Net(nn.LSTM(FEATURES, UNITS, batch_first=True)),
    "time first": Net(nn.RNN(FEATURES, UNITS, nonlinearity="relu")),
    "bidirectional": Net(nn.GRU(FEATURES, UNITS, bidirectional=True)),
    "stack": Net(nn.GRU(FEATURES, UNITS, num_layers=3, batch_first=True)),
    "stack without bias": Net(nn.LSTM(FEATURES, UNITS, num_layers=2, bias=False)),
    "bidirectional stack": Net(nn.LSTM(FEATURES, UNITS, num_layers=2, bidirectional=True, batch_first=True)),
    "stack from states": Net(nn.LSTM(FEATURES, UNITS, num_layers=2, batch_first=True), from_states=True),
}


@pytest.mark.parametrize("name", NETS)
def test_a_layer_comes_back_whole(name: str) -> None:
    net = NETS[name]
    model = prepared(net)
    translated = module(model)
    assert repr(translated.get_submodule("rnn")) == repr(net.rnn)
    for ours, theirs in zip(translated.named_parameters(), net.named_parameters(), strict=True):
        assert ours[0] == theirs[0] and torch.equal(ours[1], theirs[1])
    assert ("zeros" in translated.code or "expand" in translated.code) == net.from_states
    for sizes in ((2, 7), (6, 1), (1, 3)):
        x = torch.randn(*sizes, FEATURES)
        for ours, theirs in zip(translated(x), net(x), strict=True):
            torch.testing.assert_close(ours, theirs)
    before = ir.serde.serialize_model(model).SerializeToString(deterministic=True)
    stack_recurrent_layers(model)
    assert ir.serde.serialize_model(model).SerializeToString(deterministic=True) == before


class Between(nn.Module):
    """The outputs of the first layer are read by more than the second."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.GRU(FEATURES, UNITS), nn.GRU(UNITS, UNITS)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        y, _ = self.one(x)
        return self.two(y)[0], y.sum(0)


def test_two_layers_stay_two() -> None:
    net = Between()
    translated = module(prepared(net))
    assert [name for name, part in translated.named_modules() if isinstance(part, nn.GRU)] == ["one", "two"]
    x = torch.randn(4, 2, FEATURES)
    for ours, theirs in zip(translated(x), net(x), strict=True):
        torch.testing.assert_close(ours, theirs)
