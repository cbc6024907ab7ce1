"""TFLite → PyTorch, end to end: float32, float16 and int8 weights, integers throughout."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
import torch

import translate
from tests.models.test_tflite_reals import FILTERS, float16, full_int8, images, model
from translate.inspection import inspect
from translate.models.tflite_model import TFLiteModel
from translate.routes import tf2torch
from translate.routes.result import Result


def check(source: TFLiteModel, folder: Path) -> Result:
    result = tf2torch(source.path, folder / "model.pt2")
    assert result.passed
    assert [spec.name for spec in result.inputs] == ["image"]
    program = torch.export.load(folder / "model.pt2")
    # Weights are parameters under the names of their operators.
    assert sum(parameter.numel() for parameter in program.module().parameters()) >= 3 * 3 * 3 * 8 + 8 * 160
    return result


def test_float32_weights_are_parameters_of_layers(tmp_path: Path) -> None:
    source = model(tmp_path, optimizations=[])
    check(source, tmp_path)
    module = translate.tf2torch(source.path)
    (conv,) = (layer for layer in module.modules() if isinstance(layer, torch.nn.Conv2d))
    np.testing.assert_array_equal(conv.weight.detach().numpy(), FILTERS.numpy().transpose(3, 2, 0, 1))
    x = images(5)
    expected = source.run({"image": x})[source.outputs[0].name]
    np.testing.assert_allclose(module(torch.from_numpy(x)).detach().numpy(), expected, rtol=1e-4, atol=1e-5)


def test_float16_weights_are_float32_parameters(tmp_path: Path) -> None:
    source = float16(tmp_path)
    result = check(source, tmp_path)
    assert not any("integers" in note for note in result.notes)
    module = translate.tf2torch(source.path)
    (conv,) = (layer for layer in module.modules() if isinstance(layer, torch.nn.Conv2d))
    assert conv.weight.dtype == torch.float32
    halves = FILTERS.numpy().transpose(3, 2, 0, 1).astype(np.float16).astype(np.float32)
    np.testing.assert_array_equal(conv.weight.detach().numpy(), halves)


def test_weights_of_int8_are_compared_in_real_numbers(tmp_path: Path) -> None:
    result = check(model(tmp_path), tmp_path)
    assert any("the file computes with integers" in note for note in result.notes)
    verdict = result.verdict
    assert verdict is not None
    # As sharp as for a file of float32.
    assert all(output.tolerance.maximum < 1e-4 * output.scale for run in verdict.runs for output in run.outputs)


@pytest.mark.parametrize("integers", [False, True], ids=["float interface", "integer interface"])
def test_a_file_of_integers_keeps_its_grid(tmp_path: Path, integers: bool) -> None:
    settings = {"inference_input_type": tf.int8, "inference_output_type": tf.int8} if integers else {}
    source = full_int8(tmp_path, **settings)
    result = check(source, tmp_path)
    assert any("by one step at most: CONV_2D, MEAN, FULLY_CONNECTED" in note for note in result.notes)
    module = translate.tf2torch(source.path)
    x = np.random.default_rng(1).integers(-128, 128, (3, 8, 8, 3)).astype(np.int8) if integers else images(3)
    ours = module(torch.from_numpy(x)).detach().numpy()
    theirs = source.run({"image": x})[source.outputs[0].name]
    assert ours.dtype == theirs.dtype
    step = 1 if integers else source.grids()[source.outputs[0].name].step
    assert np.max(np.abs(ours.astype(np.float64) - theirs)) < 3.5 * step


def test_a_wrong_translation_of_integers_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from translate.converters.tflite_to_onnx import source as reader
    from translate.routes.result import NotEqualError

    right = reader.scale_of
    monkeypatch.setattr(reader, "scale_of", lambda tensor: (right(tensor)[0] * np.float32(1.05), right(tensor)[1]))
    with pytest.raises(NotEqualError):
        tf2torch(full_int8(tmp_path).path, tmp_path / "model.pt2")


def test_inspect_tells_the_operators(tmp_path: Path) -> None:
    found = inspect(model(tmp_path, optimizations=[]), [])
    assert {"Conv", "MatMul"} <= {str(row) for row in found.operators}
