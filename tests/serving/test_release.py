"""`torch2tf --serving`: a version appears whole or not at all, and nothing is begun that cannot be finished."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from typing import Any

import pytest
import tensorflow as tf
import torch
from click.testing import CliRunner, Result

from tests.serving.conftest import DIGITS, FIXTURES, Released
from translate import routes
from translate.cli import main
from translate.converters import onnx_to_tf
from translate.errors import UsageError
from translate.models.base import Spec
from translate.serving import LABELS, Interface, Serving, with_batches
from translate.verify.cases import InputPlan

pytestmark = pytest.mark.xdist_group("serving")

NEURAL_NET = FIXTURES / "neural_net.pt2"


class Scale(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.tanh(x)


@pytest.fixture(autouse=True)
def working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["torch2tf", *map(str, arguments)])


def test_versions_from_the_command_line(working_directory: Path) -> None:
    first = run(NEURAL_NET, "--serving", "models/net", "--seeds", 1)
    assert first.exit_code == 0, first.output
    assert "warm-up requests: batch=1, batch=2, batch=4, batch=8" in first.output
    second = run(NEURAL_NET, "--serving", "models/net", "--version", 7, "--sizes", "batch=3", "--seeds", 1)
    assert second.exit_code == 0, second.output
    assert "warm-up requests: batch=3" in second.output
    assert sorted(os.listdir("models/net")) == ["1", "7"]
    assert os.listdir("models") == ["net"]
    assert sorted(os.listdir("models/net/7/assets.extra")) == ["tf_serving_warmup_requests", "translation.json"]
    older = run(NEURAL_NET, "--serving", "models/net", "--version", 2, "--no-verify")
    assert "TF Serving serves the greatest version, which is 7 and not 2" in older.output
    assert (working_directory / "models" / "net" / "2" / "assets.extra" / "tf_serving_warmup_requests").is_file()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--serving", "models/net", "--version", "3"], "has a version 3 already"),
        (["--serving", "models/net", "--version", "3", "--force"], "a version is never replaced"),
        (["--serving", "models/net", "-o", "out"], "-o and --serving are two places"),
        (["--serving", "models/net/3"], "is itself a SavedModel"),
        (["--serving", "models/net", "--labels", "none.txt"], "--labels none.txt cannot be read"),
        (["--serving", "models/net", "--labels", "empty.txt"], "the name of a class in each line"),
        (["--serving", "models/my net", "--serving-config"], "a model is called like its folder"),
        (["--serving", "models/old", "--serving-config"], "old_serving already exists; --force"),
        (["--version", "3"], "go with --serving BASE"),
        (["--serving-config"], "go with --serving BASE"),
    ],
)
def test_what_cannot_be_done_is_refused_before_any_work(
    options: list[str], said: str, monkeypatch: pytest.MonkeyPatch, working_directory: Path
) -> None:
    def work(*_: object, **__: object) -> None:
        raise AssertionError("work began")

    monkeypatch.setattr("translate.models.open.open_model", work)
    (working_directory / "models" / "net" / "3").mkdir(parents=True)
    (working_directory / "models" / "net" / "3" / "saved_model.pb").touch()
    (working_directory / "models" / "old_serving").mkdir()
    (working_directory / "empty.txt").touch()
    before = sorted(map(str, working_directory.rglob("*")))
    result = run(NEURAL_NET, *options)
    assert result.exit_code == 2
    assert said in result.output
    assert sorted(map(str, working_directory.rglob("*"))) == before


def test_without_the_messages_of_tf_serving_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "tensorflow_serving" else find(name))
    with pytest.raises(UsageError, match=f"pip install 'tensorflow-serving-api<={tf.__version__}'"):
        routes.torch2tf(NEURAL_NET, serving=Serving(Path("models/net")))


def test_a_result_that_differs_leaves_nothing(monkeypatch: pytest.MonkeyPatch, working_directory: Path) -> None:
    def wrong(_: object, directory: Path) -> None:
        module = tf.Module()
        module.call = tf.function(lambda x: {"output": tf.tanh(x) + 1e-3})
        module.call = module.call.get_concrete_function(tf.TensorSpec([None, 3], tf.float32, "x"))
        tf.saved_model.save(module, str(directory), signatures=module.call)

    routes.torch2tf(Scale(), serving=Serving(Path("models/net"), config=True), inputs=["x:batch,3"])
    before = (working_directory / "models" / "net_serving" / "models.config").read_text()
    monkeypatch.setattr(onnx_to_tf, "save", wrong)
    with pytest.raises(routes.NotEqualError):
        routes.torch2tf(Scale(), serving=Serving(Path("models/net"), config=True), inputs=["x:batch,3"], force=True)
    assert os.listdir("models/net") == ["1"]
    assert (working_directory / "models" / "net_serving" / "models.config").read_text() == before
    with pytest.raises(routes.NotEqualError):
        routes.torch2tf(Scale(), serving=Serving(Path("new/net"), config=True), inputs=["x:batch,3"])
    assert not (working_directory / "new").exists()


def test_the_documented_files(digits: Released) -> None:
    text = (FIXTURES.parent / "docs" / "serving.md").read_text()
    listed = text.partition("with --serving-config")[2].partition("```")[0].split()
    assert {path.name for path in digits.config.iterdir()} == {*listed}


def test_labels_go_with_the_version(digits: Released) -> None:
    assert (digits.place / LABELS).read_text().split() == list(DIGITS)


def test_labels_must_fit_an_output(working_directory: Path) -> None:
    (working_directory / "labels.txt").write_text("yes\nno\n")
    serving = Serving(Path("models/net"), labels=Path("labels.txt"))
    with pytest.raises(UsageError, match=r"2 names, but none of output float32\[batch, 10\] has so many columns"):
        routes.torch2tf(FIXTURES / "digits_cnn.pt2", serving=serving)
    assert os.listdir(working_directory) == ["labels.txt"]


@pytest.mark.parametrize(
    ("inputs", "outputs", "batch", "joins"),
    [
        ([("batch", 3)], [("batch", 10)], "batch", True),
        ([(None, 3)], [("batch",)], "batch", True),
        ([("n", 3), ("n", "length")], [("n", "length")], "n", False),
        ([("batch", 3), (1, 3)], [("batch", 3)], None, False),
        ([("batch", 3)], [("2*batch", 3)], None, False),
        ([("batch", 3)], [("batch", 3), ()], None, False),
        ([(4, 3)], [(4, 3)], None, False),
        ([()], [()], None, False),
    ],
)
def test_when_a_request_can_be_rows(inputs: list[Any], outputs: list[Any], batch: str | None, joins: bool) -> None:
    interface = Interface(
        tuple(Spec(f"x{place}", "float32", shape) for place, shape in enumerate(inputs)),
        tuple(Spec(f"y{place}", "float32", shape) for place, shape in enumerate(outputs)),
    )
    assert interface.batch == batch
    assert interface.joins is joins


def test_batch_sizes_stay_within_what_the_model_takes() -> None:
    class Some:
        inputs = (Spec("x", "float32", ("batch", 3)),)
        outputs = (Spec("y", "float32", ("batch", 3)),)
        ranges = {"batch": (2, 6)}  # noqa: RUF012

    serving = Serving(Path("models/net"))
    model: Any = Some()
    assert with_batches(InputPlan(), model, serving).sizes == {"batch": (2, 4)}
    assert with_batches(InputPlan(sizes={"batch": [5]}), model, serving).sizes == {"batch": [5]}
    model.ranges = None
    assert with_batches(InputPlan(), model, serving).sizes == {"batch": (1, 2, 4, 8)}
    model.ranges = {"batch": (100, 200)}
    assert with_batches(InputPlan(), model, serving).sizes == {}
