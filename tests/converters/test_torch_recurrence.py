"""Recurrent layers in a `.pt2`: read by PyTorch alone, at any length, with parameters that count."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.converters.passes.test_recurrent import network
from tests.converters.recurrent import FEATURES, GATES
from translate.converters.onnx_to_torch.export import exported, module
from translate.converters.passes import prepare_for_torch
from translate.graphs import to_onnx
from translate.models.open import open_model

# Runs without this project.
READER = """
import sys, torch
program, feeds = torch.export.load(sys.argv[1]), torch.load(sys.argv[2])
module = program.module()
for x, y in feeds:
    torch.testing.assert_close(module(x)[0], y)
module(x)[0].sum().backward()
assert all(parameter.grad.any() for parameter in module.parameters())
with torch.no_grad():
    for parameter in module.parameters():
        parameter.zero_()
assert not module(x)[0].any()
assert not any(name.startswith(("translate", "onnx")) for name in sys.modules)
"""


def test_a_program_is_run_by_torch_alone(tmp_path: Path) -> None:
    model = network("LSTM", 2)
    prepare_for_torch(model)
    translated = module(model)
    torch.export.save(exported(translated, model), tmp_path / "model.pt2")
    with torch.no_grad():
        inputs = [torch.randn(times, batch, FEATURES) for times, batch in ((5, 2), (9, 1), (1, 3), (40, 4))]
        torch.save([(x, translated(x)[0]) for x in inputs], tmp_path / "feeds.pt")
    arguments = [sys.executable, "-c", READER, "model.pt2", "feeds.pt"]
    done = subprocess.run(arguments, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("op", GATES)
def test_a_layer_is_one_operator_of_torch(op: str) -> None:
    model = network(op)
    prepare_for_torch(model)
    program = exported(module(model), model)
    names = [str(node.target) for node in program.graph.nodes if node.op == "call_function"]
    assert {"LSTM": "aten.lstm.input", "GRU": "aten.gru.input", "RNN": "aten.rnn_tanh.input"}[op] in names
    assert not any("translate" in name for name in names)


@pytest.mark.parametrize("op", GATES)
def test_a_program_is_read_again_at_any_length(op: str, tmp_path: Path) -> None:
    model = network(op, 2)
    prepare_for_torch(model)
    translated = module(model)
    torch.export.save(exported(translated, model), tmp_path / "model.pt2")
    opened = open_model(tmp_path / "model.pt2")
    again = to_onnx(opened, [])
    assert [node.op_type for node in again.graph if node.op_type in GATES] == [op]
    # The program itself is left as it was.
    names = [str(node.target) for node in opened.program.graph.nodes if node.op == "call_function"]
    assert not any("translate" in name for name in names)
    prepare_for_torch(again)
    back = module(again)
    x = torch.randn(23, 3, FEATURES)
    torch.testing.assert_close(back(x)[0], translated(x)[0])
