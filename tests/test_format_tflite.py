"""`torch2tf --format tflite`, end to end: float32 is equal, what is quantised is near; and what is refused."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
import torch
from click.testing import CliRunner
from torch import nn

from fixtures.data import digits
from translate import routes
from translate.cli import main
from translate.errors import CannotTranslateError, TranslateError, UsageError
from translate.models.tflite_file import constant, flex_operators, unpack
from translate.models.tflite_model import TFLiteModel
from translate.verify.cases import InputPlan

FIXTURES = Path(__file__).parent.parent / "fixtures"
DIGITS = FIXTURES / "digits_cnn.pt2"


@pytest.fixture
def working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> routes.Result:
    return routes.torch2tf(DIGITS, tmp_path_factory.mktemp("plain") / "plain.tflite", format="tflite")


def kinds(result: routes.Result) -> set[str]:
    assert result.verdict is not None
    return {output.tolerance.kind for run in result.verdict.runs for output in run.outputs}


def stored(path: Path) -> Counter[str]:
    """Count the constants of a file by dtype, those of a few numbers left out."""
    model = unpack(path.read_bytes())
    tensors = [tensor for graph in model.subgraphs for tensor in graph.tensors]
    sizes = {tensor.buffer: constant(model, tensor) for tensor in tensors}
    return Counter(array.dtype.name for array in sizes.values() if array is not None and array.size > 100)


class Scale(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return 2 * x


class Tangent(nn.Module):
    """TFLite has no tangent, its Flex delegate has."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.tan(torch.tanh(x))


class ArcSine(nn.Module):
    """TFLite has no arc sine, nor has its Flex delegate."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.asin(torch.tanh(x))


class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.lstm = nn.LSTM(3, 4, bidirectional=True, batch_first=True)
        self.gru = nn.GRU(8, 5, batch_first=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.gru(self.lstm(x)[0])[0]


def test_float32_is_equal_at_every_batch_and_goes_back(working_directory: Path) -> None:
    ran = CliRunner().invoke(main, ["torch2tf", str(DIGITS), "--format", "tflite"])
    assert ran.exit_code == 0, ran.output
    assert "torch2tf: equal" in ran.output
    assert os.listdir(working_directory) == ["digits_cnn.tflite"]
    path = working_directory / "digits_cnn.tflite"
    model = TFLiteModel(path)
    assert [str(spec) for spec in (*model.inputs, *model.outputs)] == [
        "image float32[batch, 1, 8, 8]",
        "output float32[?, 10]",
    ]
    split = digits()
    scores = model.run({"image": split.test_x.astype(np.float32)})["output"]
    assert (scores.argmax(-1) == split.test_y).mean() > 0.95
    assert stored(path).keys() == {"float32"}
    back = routes.tf2torch(path, "back.pt2")
    assert back.passed


@pytest.mark.parametrize(("how", "dtype"), [("float16", "float16"), ("dynamic", "int8"), ("int8", "int8")])
def test_what_is_quantised_is_smaller_and_near_and_never_called_equal(
    how: Any, dtype: str, plain: routes.Result, working_directory: Path
) -> None:
    split = digits()
    np.savez("digits.npz", image=split.train_x[:100].astype(np.float32))
    plan = InputPlan(data=(Path("digits.npz"),))
    result = routes.torch2tf(DIGITS, "small.tflite", format="tflite", quantize=how, plan=plan)
    assert result.passed
    assert kinds(plain) == {"calibrated"}
    assert kinds(result) == {"near"}
    assert result.bytes < 0.65 * plain.bytes
    assert dtype in stored(Path("small.tflite"))
    assert "before it was quantised, the file was equal to the source" in result.notes
    scores = TFLiteModel(Path("small.tflite")).run({"image": split.test_x.astype(np.float32)})["output"]
    assert scores.dtype == np.float32
    assert (scores.argmax(-1) == split.test_y).mean() > 0.95


def test_a_quantised_file_is_compared_again_by_how_near_it_is(working_directory: Path) -> None:
    routes.torch2tf(DIGITS, "small.tflite", format="tflite", quantize="dynamic", verify=False)
    command = ["verify", str(DIGITS), "small.tflite", "--edges=none", "--seeds=1", "--sizes=batch=3"]
    for options, code, said in (([], 1, "NOT EQUAL"), (["20"], 0, "verify: near"), (["90"], 1, "NOT NEAR")):
        ran = CliRunner().invoke(main, [*command, *(f"--least-snr={number}" for number in options)])
        assert ran.exit_code == code and said in ran.output


def test_what_is_not_near_enough_is_not_written(working_directory: Path) -> None:
    asked = ["torch2tf", str(DIGITS), "--format", "tflite", "--quantize", "dynamic", "--least-snr", "90"]
    ran = CliRunner().invoke(main, asked)
    assert ran.exit_code == 1
    assert "NOT NEAR" in ran.output
    assert "the signal-to-noise ratio is less than 90 dB" in " ".join(ran.output.split())
    assert os.listdir(working_directory) == []


def test_recurrent_layers_keep_batch_and_time_open(working_directory: Path) -> None:
    module = Recurrent().eval()
    result = routes.torch2tf(module, "out.tflite", format="tflite", inputs=["x:batch,time,3"])
    assert result.passed
    assert not flex_operators(unpack(Path("out.tflite").read_bytes()))
    model = TFLiteModel(Path("out.tflite"))
    for batch, time in ((3, 1), (2, 9)):
        x = np.random.default_rng(0).standard_normal((batch, time, 3)).astype(np.float32)
        expected = module(torch.from_numpy(x)).detach().numpy()
        np.testing.assert_allclose(model.run({"x": x})["output"], expected, atol=1e-6)


class Various(nn.Module):
    """Each output needs another operator, or dtype, in TFLite than in TensorFlow."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.up = nn.ConvTranspose2d(2, 3, 3, stride=2, padding=1)

    def forward(self, x: torch.Tensor, volume: torch.Tensor, ids: torch.Tensor) -> dict[str, torch.Tensor]:
        return {
            "norm": torch.linalg.vector_norm(x, dim=1),
            "sums": torch.cumsum(x, 2),
            "up": self.up(x),
            "resized": nn.functional.interpolate(x, scale_factor=1.5, mode="bicubic"),
            "pool": nn.functional.max_pool2d(x, 2, ceil_mode=True),
            "volume": nn.functional.avg_pool3d(volume, 2),
            "positive": ids.abs(),
            "sorted": torch.sort(x, -1)[0],
            "parts": torch.cat(x.split([1, 4], 3)[::-1], 3),
        }


def test_what_tflite_lacks_is_said_otherwise(working_directory: Path) -> None:
    inputs = ["x:batch,2,height,5", "volume:batch,2,4,6,6", "ids:batch:int64"]
    result = routes.torch2tf(Various().eval(), "out.tflite", format="tflite", inputs=inputs)
    assert result.passed
    assert not flex_operators(unpack(Path("out.tflite").read_bytes()))


def test_operators_that_tflite_lacks_are_named_and_some_allowed_with_flex(working_directory: Path) -> None:
    with pytest.raises(CannotTranslateError, match=r"Asin .* nor has its Flex delegate"):
        routes.torch2tf(ArcSine(), "out.tflite", format="tflite", inputs=["x:batch,3"])
    with pytest.raises(CannotTranslateError, match=r"to TFLite\n  Tan .*TFLite has no such(.|\n)*try +--flex"):
        routes.torch2tf(Tangent(), "out.tflite", format="tflite", inputs=["x:batch,3"])
    assert os.listdir(working_directory) == []
    try:
        result = routes.torch2tf(Tangent(), "out.tflite", format="tflite", inputs=["x:batch,3"], flex=True)
    except UsageError as error:
        # TensorFlow 2.21's interpreter in Python has lost them, so that nothing is proven.
        assert not tf.__version__.startswith("2.19"), error
        assert "TensorFlow's own operators (Tan)" in str(error) and "nothing was written" in str(error)
        assert os.listdir(working_directory) == []
        return
    assert result.passed
    assert "it runs only where TensorFlow's own operators are linked: Tan" in result.notes


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--format", "tflite", "--serving", "models"], "--serving goes with --format saved_model, not with tflite"),
        (["--format", "tflite", "--method", "prefill"], "--method goes with --format saved_model, not with tflite"),
        (["--format", "tflite", "--engine", "onnx2tf"], "--engine onnx2tf goes with --format saved_model"),
        (["--quantize", "dynamic"], "--quantize goes with --format tflite, not with saved_model"),
        (["--format", "onnx", "--flex"], "--flex goes with --format tflite, not with onnx"),
        (["--format", "tflite", "--least-snr", "30"], "--least-snr goes with --quantize"),
        (["--format", "tflite", "--quantize", "int8"], "--quantize int8 needs real inputs"),
    ],
)
def test_options_that_do_not_go_together_are_refused_before_any_work(
    options: list[str], said: str, working_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def work(*_: object, **__: object) -> None:
        raise AssertionError("work began")

    monkeypatch.setattr("translate.models.open.open_model", work)
    ran = CliRunner().invoke(main, ["torch2tf", str(DIGITS), *options])
    assert ran.exit_code == UsageError.exit_code
    assert said in ran.output
    assert os.listdir(working_directory) == []


def test_the_graph_in_the_middle_as_onnx(working_directory: Path) -> None:
    result = routes.torch2tf(Scale(), inputs=["x:batch,3"], format="onnx")
    assert result.passed
    assert os.listdir(working_directory) == ["Scale.onnx"]
    assert result.verdict is not None
    assert result.verdict.target.kind == "ONNX"
    with pytest.raises(TranslateError, match=r"Scale\.onnx is ONNX already"):
        routes.torch2tf("Scale.onnx", "again.onnx", format="onnx")
