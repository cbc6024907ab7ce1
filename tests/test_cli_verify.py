"""`translate verify` and `translate bench` on the command line: their options, what they print, their exit codes."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from onnx import TensorProto, helper, numpy_helper, save

from translate.cli import main


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def model(path: str, *operators: str, scale: float = 2.0, output: str = "y") -> str:
    """Write x * scale through a chain of operators; returns the path."""
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 4])
    y = helper.make_tensor_value_info(output, TensorProto.FLOAT, ["batch", 4])
    names = ["scaled", *(f"middle_{index}" for index in range(len(operators) - 1)), output]
    nodes = [helper.make_node("Mul", ["x", "scale"], ["scaled"], name="first")]
    nodes += [
        helper.make_node(operator, [source], [result], name=operator)
        for operator, source, result in zip(operators, names, names[1:], strict=False)
    ]
    weight = numpy_helper.from_array(np.float32([scale]), "scale")
    graph = helper.make_graph(nodes, "graph", [x], [y], [weight])
    save(helper.make_model(graph, ir_version=10, opset_imports=[helper.make_opsetid("", 18)]), path)
    return path


@pytest.fixture(autouse=True)
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    model("same.onnx", "Tanh", "Exp")
    model("wrong.onnx", "Sin", "Exp")


def test_bisect_names_the_first_value_that_differs_and_writes_what_reproduces_it() -> None:
    result = run("verify", "same.onnx", "wrong.onnx", "--bisect-dir", "found", "--json")
    assert result.exit_code == 1
    report = json.loads(result.stdout)
    assert not report["passed"]
    assert (report["bisect"]["value"], report["bisect"]["operator"]) == ("middle_0", "Tanh")
    assert os.listdir("found")
    assert json.loads(run("verify", "same.onnx", "same.onnx", "--bisect", "--json").stdout)["bisect"] is None


def test_edges_are_what_was_asked_for() -> None:
    def kinds(*options: str) -> set[str]:
        report = json.loads(run("verify", "same.onnx", "same.onnx", "--json", *options).stdout)
        return {run["inputs"] for run in report["verdict"]["runs"]}

    assert kinds("--edges", "none") == {"random"}
    assert kinds() == {"random", "edge zeros", "edge ones"}
    assert kinds("--edges", "nan,large") == {"random", "edge nan", "edge large"}
    assert run("verify", "same.onnx", "same.onnx", "--edges", "sharp").exit_code == 2


def test_a_baseline_fails_what_changed_although_the_models_agree() -> None:
    assert run("verify", "same.onnx", "same.onnx", "--report", "before.json").exit_code == 0
    assert run("verify", "same.onnx", "same.onnx", "--baseline", "before.json").exit_code == 0
    model("renamed.onnx", "Tanh", "Exp", output="z")
    assert run("verify", "renamed.onnx", "renamed.onnx").exit_code == 0
    changed = run("verify", "renamed.onnx", "renamed.onnx", "--baseline", "before.json")
    assert changed.exit_code == 1
    assert "equal, but FAILED" in changed.output
    assert run("verify", "same.onnx", "same.onnx", "--baseline", "missing.json").exit_code == 2


def test_a_slowdown_beyond_the_bar_fails() -> None:
    options = ("--edges", "none", "--seconds", "0.3", "--json")
    bearable = run("verify", "same.onnx", "same.onnx", "--max-slowdown", "1000", *options)
    assert bearable.exit_code == 0, bearable.output
    assert json.loads(bearable.stdout)["timing"]
    # Nothing is a thousand times faster than itself.
    too_slow = run("verify", "same.onnx", "same.onnx", "--max-slowdown", "0.001", *options)
    assert too_slow.exit_code == 1


def test_bench_times_models_in_turns() -> None:
    result = run("bench", "same.onnx", "wrong.onnx", "--batch", "1,4", "--seconds", "0.3", "--report", "r.json")
    assert result.exit_code == 0, result.output
    assert "same.onnx" in result.output
    assert "wrong.onnx" in result.output
    report = json.loads(Path("r.json").read_text())
    assert "4" in json.dumps(report["timing"])
    slow = run("bench", "same.onnx", "wrong.onnx", "--batch", "1", "--seconds", "0.3", "--max-slowdown", "0.001")
    assert slow.exit_code == 1


def test_the_batch_of_a_race() -> None:
    for batch, said in (("one", "--batch 'one' is not"), ("0", "a batch of 0 is not")):
        result = run("bench", "same.onnx", "--batch", batch)
        assert result.exit_code == 2
        assert said in result.output


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--seed", "-1"], "--seed"),
        (["--edges", "zero"], "--edges 'zero'"),
        (["--save-inputs", "same.onnx"], "same.onnx is not a folder"),
        (["--bisect-dir", "same.onnx/found"], "same.onnx is not a folder"),
        (["--grad"], "the ONNX has no gradients"),
        (["--sizes", "batch=99999999999999"], "input x cannot be made"),
        (["--max-slowdown", "2", "--seconds", "0"], "--seconds"),
    ],
)
def test_what_cannot_be_done_is_refused_before_anything_is_run(
    options: list[str], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ran(self: object, values: object) -> None:
        raise AssertionError("a model was run")

    monkeypatch.setattr("translate.models.onnx_model.OnnxModel.call", ran)
    result = run("verify", "same.onnx", "wrong.onnx", *options)
    assert result.exit_code == 2, result.output
    assert said in result.output
    assert result.output.startswith("error: ")
