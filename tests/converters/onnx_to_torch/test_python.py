"""The Python package: it reads well, passes the linter, and computes the module's very numbers without this project."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from tests.zoo import ZOO
from translate.converters import onnx_to_torch
from translate.converters.onnx_to_torch.python import python_source, save_python
from translate.converters.passes import prepare_for_torch
from translate.converters.torch_to_onnx import export
from translate.models import open_model
from translate.models.inputs import default_sizes, example_feeds
from translate.models.torch_arrays import to_tensor
from translate.models.torch_results import flatten

# Runs the package on stored inputs where nothing but torch and safetensors can be imported.
ALONE = """
import builtins, sys
real = builtins.__import__
def refuse(name, *rest, **options):
    if name.partition(".")[0] in ("translate", "onnx", "onnx_ir", "onnxscript", "tensorflow", "keras"):
        raise ModuleNotFoundError(name)
    return real(name, *rest, **options)
builtins.__import__ = refuse
import torch
sys.path.insert(0, sys.argv[1])
from package import load
with torch.no_grad():
    torch.save([load()(*case) for case in torch.load(sys.argv[2])], sys.argv[3])
"""


class Blocks(nn.Module):
    """Three equal blocks, a parameter of its own, and a weight that is read twice."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(20, 8)
        self.norm = nn.LayerNorm(8)
        self.shift = nn.Parameter(torch.randn(1, 1, 8))
        self.blocks = nn.ModuleList(nn.ModuleDict({"norm": nn.LayerNorm(8), "up": nn.Linear(8, 8)}) for _ in range(3))

    def forward(self, ids):
        x = self.embed(ids) + self.shift
        for block in self.blocks:
            x = x + torch.relu(block["up"](block["norm"](x)))
        x = self.norm(x)
        return {"logits": x @ self.embed.weight.T, "hidden": x}


def translated(source, inputs=()):
    opened = open_model(source, inputs=inputs)
    model = export(opened)
    prepare_for_torch(model)
    return opened, model, onnx_to_torch.module(model)


@pytest.fixture(scope="module")
def blocks():
    torch.manual_seed(0)
    return translated(Blocks().eval(), ["ids:batch,seq:int64"])


def test_the_source_reads_as_a_person_would_write_it(blocks):
    _, model, module = blocks
    source = python_source(module, model, "Translated from blocks.")
    assert source.startswith('"""Translated from blocks.\n')
    assert "    ids  int64 [batch, seq]\n" in source
    assert "self.embed = nn.Embedding(20, 8)" in source
    assert "[Layers(norm=nn.LayerNorm(8), up=nn.Linear(8, 8)) for _ in range(3)" in source
    assert "for block in self.blocks:" in source
    assert "y = block.norm(x)\n            x = x + torch.relu(block.up(y))\n" in source
    assert max(map(len, source.splitlines())) <= 120


@pytest.mark.parametrize("name", ["blocks", "while_loop", "cond", "lstm_bidirectional", "dilated_conv1d"])
def test_the_package_computes_the_same_alone(name, blocks, tmp_path):
    opened, model, module = blocks if name == "blocks" else translated(*ZOO[name]())
    save_python(module, model, tmp_path / "package", "Translated.")
    cases = []
    for sizes in [*default_sizes(opened.inputs)[:2], dict.fromkeys(default_sizes(opened.inputs)[0], 1)]:
        feeds = example_feeds(opened.inputs, sizes)
        cases.append([to_tensor(feeds[spec.name]) for spec in opened.inputs])
    if name == "dilated_conv1d":
        # One step is shorter than its windows.
        cases.pop()
    torch.save(cases, tmp_path / "cases.pt")
    command = [sys.executable, "-c", ALONE, tmp_path, tmp_path / "cases.pt", tmp_path / "results.pt"]
    subprocess.run(command, check=True, cwd=tmp_path, timeout=120)
    for case, result in zip(cases, torch.load(tmp_path / "results.pt"), strict=True):
        with torch.no_grad():
            expected = flatten(module(*case))
        got = flatten(result)
        assert list(got) == list(expected)
        for key, tensor in expected.items():
            torch.testing.assert_close(got[key], tensor, rtol=0, atol=0)
    ruff = Path(sys.executable).with_name("ruff")
    if ruff.exists():  # The newest set has no linters.
        subprocess.run([ruff, "check", "--isolated", "--line-length", "120", tmp_path], check=True, timeout=60)


def test_it_opens_again_without_further_options(blocks, tmp_path):
    _, model, module = blocks
    save_python(module, model, tmp_path / "package", "Translated.")
    reloaded = open_model(f"{tmp_path / 'package' / 'model.py'}:load")
    assert [str(spec) for spec in reloaded.inputs] == ["ids int64[batch, seq]"]
    assert [spec.name for spec in reloaded.outputs] == ["logits", "hidden"]
    state = reloaded.flat.owner.state_dict()
    assert set(state) == set(module.state_dict())
    assert all(torch.equal(state[key], tensor) for key, tensor in module.state_dict().items())


def test_parameters_are_live(blocks, tmp_path):
    _, model, module = blocks
    save_python(module, model, tmp_path / "package", "Translated.")
    reloaded = open_model(f"{tmp_path / 'package' / 'model.py'}:load")
    feeds = example_feeds(reloaded.inputs, {"batch": 2, "seq": 5})
    before = reloaded.run(feeds)
    with torch.no_grad():
        reloaded.flat.owner.blocks[2].up.weight.zero_()
    assert (reloaded.run(feeds)["hidden"] != before["hidden"]).any()


def test_nothing_tells_about_this_machine(blocks, tmp_path):
    _, model, module = blocks
    save_python(module, model, tmp_path / "package", "Translated.")
    home = str(Path(torch.__file__).parents[1]).encode()
    assert not any(home in path.read_bytes() for path in (tmp_path / "package").iterdir())
