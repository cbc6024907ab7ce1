"""The .pt2, TorchScript and ONNX files: dynamic, opened again without options, with nothing about this machine."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.zoo import ZOO
from translate.converters import onnx_to_torch
from translate.converters.onnx_file import save_onnx
from translate.converters.onnx_to_torch.script import save_torchscript
from translate.converters.passes import prepare_for_torch
from translate.converters.torch_to_onnx import export
from translate.errors import ExportError
from translate.models import open_model
from translate.models.inputs import example_feeds

HOME = str(Path(torch.__file__).parents[1]).encode()


@pytest.fixture(scope="module")
def two_inputs():
    net, inputs = ZOO["two_inputs_dict"]()
    opened = open_model(net, inputs=inputs)
    original = export(opened)
    model = original.clone()
    prepare_for_torch(model)
    return opened, original, model, onnx_to_torch.module(model)


def write(kind, two_inputs, path):
    _, original, model, module = two_inputs
    if kind == "pt2":
        onnx_to_torch.save(model, path)
    elif kind == "torchscript":
        save_torchscript(module, path)
    else:
        save_onnx(original, path)


@pytest.mark.parametrize("kind", ["pt2", "torchscript", "onnx"])
def test_the_file_is_the_same_model_at_every_size(kind, two_inputs, tmp_path):
    write(kind, two_inputs, tmp_path / "result")
    opened, reloaded = two_inputs[0], open_model(tmp_path / "result")
    assert [spec.name for spec in reloaded.inputs] == [spec.name for spec in opened.inputs]
    for batch in (1, 2, 7):
        feeds = example_feeds(opened.inputs, {"batch": batch})
        expected, got = opened.run(feeds), reloaded.run(feeds)
        assert list(got) == list(expected)
        for name, array in expected.items():
            np.testing.assert_allclose(got[name], array, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", ["pt2", "torchscript", "onnx"])
def test_the_file_tells_nothing_about_this_machine(kind, two_inputs, tmp_path):
    path = tmp_path / "result"
    write(kind, two_inputs, path)
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            assert not any(HOME in archive.read(name) for name in archive.namelist())
    else:
        assert HOME not in path.read_bytes()


def test_a_trace_is_opened_without_options_too(two_inputs, tmp_path, monkeypatch):
    def refuse(module):
        raise RuntimeError("it cannot be scripted")

    monkeypatch.setattr(torch.jit, "script", refuse)
    write("torchscript", two_inputs, tmp_path / "result")
    opened, reloaded = two_inputs[0], open_model(tmp_path / "result")
    assert [str(spec) for spec in reloaded.inputs] == [str(spec) for spec in opened.inputs]


def test_what_torchscript_has_not_is_said(tmp_path):
    net, inputs = ZOO["cond"]()
    model = export(open_model(net, inputs=inputs))
    prepare_for_torch(model)
    with pytest.raises(ExportError, match="TorchScript refused"):
        save_torchscript(onnx_to_torch.module(model), tmp_path / "result")
    assert not list(tmp_path.iterdir())


def test_large_weights_lie_beside_the_graph(two_inputs, tmp_path):
    opened, original, *_ = two_inputs
    save_onnx(original, tmp_path / "result", largest=100)
    assert {path.name for path in (tmp_path / "result").iterdir()} == {"model.onnx", "model.onnx.data"}
    feeds = example_feeds(opened.inputs, {"batch": 3})
    got = open_model(tmp_path / "result").run(feeds)
    for name, array in opened.run(feeds).items():
        np.testing.assert_allclose(got[name], array, rtol=1e-5, atol=1e-6)
