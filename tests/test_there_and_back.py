"""PyTorch → TensorFlow → PyTorch: the numbers, the weights and their names are those at the beginning."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from benchmarks.there_and_back import FIXTURES, journey
from tests import zoo
from translate import torch2tf
from translate.routes.to_pytorch import to_torch

ROOT = Path(__file__).parents[1]
# Of each family one; `python -m benchmarks.there_and_back` has the large ones.
ZOO = (
    *("mlp", "two_inputs_dict", "conv3d", "dilated_conv1d", "groupnorm_depthwise", "squeezenet1_1"),
    *("lstm_bidirectional", "gru_attention_step", "transformer_encoder", "silero_vad"),
    *(pytest.param(name, marks=pytest.mark.zoo) for name in ("bert", "gpt2")),
)


@pytest.mark.parametrize("name", [*(str(ROOT / path) for path in FIXTURES), *ZOO])
def test_a_model_comes_back_as_it_was(name, tmp_path):
    if name in zoo.ZOO and not zoo.available(name):
        pytest.skip(f"the package that {name} comes from is not installed")
    found = journey(name, tmp_path / "saved_model")
    assert found.missing == []
    assert found.changed == []
    assert found.kinds_changed == []
    assert found.tied
    assert found.error < 1e-5


class Recurrent(nn.Module):
    """One layer of each kind, and a stack in both directions."""

    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(5, 4, batch_first=True)
        self.gru = nn.GRU(4, 4, batch_first=True)
        self.rnn = nn.RNN(4, 4, batch_first=True, bias=False)
        self.both = nn.LSTM(4, 3, num_layers=2, bidirectional=True, batch_first=True)

    def forward(self, x):
        x, _ = self.lstm(x)
        x, _ = self.gru(x)
        x, _ = self.rnn(x)
        return self.both(x)[0]


def test_the_loops_of_recurrent_layers_come_back_as_layers(tmp_path):
    model = Recurrent().eval()
    torch2tf(model, tmp_path / "saved_model", inputs=["x:batch,time,5"], verify=False)
    back = to_torch(tmp_path / "saved_model")
    layers = {name: type(module) for name, module in back.named_modules()}
    assert (layers["lstm"], layers["gru"], layers["rnn"]) == (nn.LSTM, nn.GRU, nn.RNN)
    assert "scan" not in back.code
    expected = model.state_dict()
    assert set(back.state_dict()) == set(expected)
    for name, tensor in back.state_dict().items():
        torch.testing.assert_close(tensor, expected[name], rtol=0, atol=0)
    x = torch.randn(3, 9, 5)
    torch.testing.assert_close(back(x), model(x))
