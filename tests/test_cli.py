"""The command line: what it prints, its exit codes, and that bad input leaves nothing behind."""

from __future__ import annotations

import json
import os
import pickle
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from click.testing import CliRunner, Result
from onnx import TensorProto, helper

from translate.cli import main
from translate.reports.schema import SCHEMA

ROOT = Path(__file__).parents[1]
DIGITS = ROOT / "fixtures" / "digits_cnn.pt2"
DIGITS_SCRIPT = ROOT / "fixtures" / "digits_cnn.pt"
DIGITS_FACTORY = f"{ROOT / 'fixtures' / 'digits_cnn.py'}:DigitsCNN"
DIGITS_WEIGHTS = str(ROOT / "fixtures" / "digits_cnn.safetensors")


@pytest.fixture(autouse=True)
def working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(tmp_path)
    handler = signal.getsignal(signal.SIGTERM)
    yield tmp_path
    signal.signal(signal.SIGTERM, handler)


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def subprocess_run(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "cli.py"), *map(str, arguments)]
    # What a user has set is heeded; conftest.py sets it, users rarely do.
    environment = {name: value for name, value in os.environ.items() if name != "TF_CPP_MIN_LOG_LEVEL"}
    return subprocess.run(command, capture_output=True, text=True, timeout=300, env=environment)


def onnx_file(path: Path, operator: str, input_name: str = "x", **attributes: object) -> Path:
    value = helper.make_tensor_value_info(input_name, TensorProto.FLOAT, ["batch", 4])
    result = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 4])
    node = helper.make_node(operator, [input_name], ["y"], name="/the/node", **attributes)
    graph = helper.make_graph([node], "graph", [value], [result])
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("own", 1)]
    # Not onnx's newest IR version: an onnxruntime of the same age need not read it yet.
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=10), path)
    return path


class Pickled(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x


def make_missing(folder: Path) -> tuple[object, ...]:
    return (folder / "missing.pt2",)


def make_empty(folder: Path) -> tuple[object, ...]:
    (folder / "empty.pt2").touch()
    return (folder / "empty.pt2",)


def make_text(folder: Path) -> tuple[object, ...]:
    (folder / "text.pt").write_text("I am a text, not a model.\n" * 20)
    return (folder / "text.pt",)


def make_truncated(folder: Path) -> tuple[object, ...]:
    content = DIGITS.read_bytes()
    (folder / "truncated.pt2").write_bytes(content[: len(content) // 2])
    return (folder / "truncated.pt2",)


def make_pickled_module(folder: Path) -> tuple[object, ...]:
    torch.save(Pickled(), folder / "module.pt")
    return (folder / "module.pt", "--input", "x:batch,4")


def make_old_pickle(folder: Path) -> tuple[object, ...]:
    (folder / "old.pt").write_bytes(pickle.dumps(print))
    return (folder / "old.pt",)


def make_state_dict(folder: Path) -> tuple[object, ...]:
    torch.save(torch.nn.Linear(2, 3).state_dict(), folder / "weights.pt")
    return (folder / "weights.pt",)


def make_other_zip(folder: Path) -> tuple[object, ...]:
    with zipfile.ZipFile(folder / "other.pt", "w") as archive:
        archive.writestr("letter.txt", "dear reader")
    return (folder / "other.pt",)


def make_input_of_unknown_name(folder: Path) -> tuple[object, ...]:
    return (DIGITS_SCRIPT, "--input", "picture:batch,1,8,8")


def make_input_of_wrong_rank(folder: Path) -> tuple[object, ...]:
    return (DIGITS, "--input", "image:batch,8,8")


def make_malformed_input(folder: Path) -> tuple[object, ...]:
    return (DIGITS, "--input", "image:batch,,8:float32")


def make_input_of_unknown_dtype(folder: Path) -> tuple[object, ...]:
    return (DIGITS, "--input", "image:batch,1,8,8:float31")


def make_no_input(folder: Path) -> tuple[object, ...]:
    return (DIGITS_FACTORY, "--weights", DIGITS_WEIGHTS)


def make_existing_output(folder: Path) -> tuple[object, ...]:
    (folder / "there").mkdir()
    return (DIGITS, "-o", folder / "there")


def make_unwritable_output(folder: Path) -> tuple[object, ...]:
    # Root may write anywhere, but not below a file.
    (folder / "file").touch()
    return (DIGITS, "-o", folder / "file" / "model_tf")


def make_unknown_operator(folder: Path) -> tuple[object, ...]:
    return (onnx_file(folder / "unknown.onnx", "Frobnicate", domain="own"),)


def make_missing_weights(folder: Path) -> tuple[object, ...]:
    return (DIGITS_FACTORY, "--weights", folder / "missing.safetensors", "--input", "batch,1,8,8")


def make_missing_factory(folder: Path) -> tuple[object, ...]:
    return (f"{ROOT / 'fixtures' / 'digits_cnn.py'}:Missing", "--input", "batch,1,8,8")


def make_report_of_unknown_format(folder: Path) -> tuple[object, ...]:
    return (DIGITS, "--report", folder / "report.pdf")


@pytest.mark.parametrize(
    ("make", "code", "said"),
    [
        (make_missing, 3, "no such file or folder"),
        (make_empty, 3, "empty"),
        (make_text, 3, "text.pt"),
        (make_truncated, 3, "truncated.pt2"),
        (make_pickled_module, 3, "--unsafe-load"),
        (make_old_pickle, 3, "--unsafe-load"),
        (make_state_dict, 3, "state_dict"),
        (make_other_zip, 3, "other.pt"),
        (make_input_of_unknown_name, 2, "--input picture"),
        (make_input_of_wrong_rank, 2, "--input image"),
        (make_malformed_input, 2, "--input image"),
        (make_input_of_unknown_dtype, 2, "float31"),
        (make_no_input, 2, "--input"),
        (make_existing_output, 2, "--force"),
        (make_unwritable_output, 2, "is not a folder"),
        (make_unknown_operator, 4, "own::Frobnicate"),
        (make_missing_weights, 3, "missing.safetensors"),
        (make_missing_factory, 3, "Missing"),
        (make_report_of_unknown_format, 2, ".json, .xml, .md, .html"),
    ],
)
def test_bad_input_gets_one_clear_error_and_leaves_nothing_behind(
    make: object, code: int, said: str, working_directory: Path
) -> None:
    arguments = make(working_directory)  # type: ignore[operator]
    before = sorted(working_directory.rglob("*"))
    result = run("torch2tf", *arguments)
    assert result.exit_code == code, result.output
    assert said in result.output
    assert result.output.count("error: ") == 1
    assert result.output.startswith("error: ")
    assert "Traceback" not in result.output
    assert sorted(working_directory.rglob("*")) == before


def test_usage_errors_of_the_parser_look_the_same() -> None:
    for arguments in (
        ["torch2tf"],
        ["torch2tf", "a", "--engine", "magic"],
        ["nothing"],
        ["torch2tf", "a", "--rtol", "-1"],
    ):
        result = run(*arguments)
        assert result.exit_code == 2
        assert result.output.startswith("error: ")


def test_an_unexpected_exception_shows_where_and_asks_for_a_report(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("a defect")

    monkeypatch.setattr("translate.routes.torch2tf", broken)
    result = run("torch2tf", DIGITS)
    assert result.exit_code == 70
    assert "Traceback" in result.output
    assert "please report it" in result.output


def test_a_missing_framework_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_: object, **__: object) -> None:
        raise ModuleNotFoundError("No module named 'torch'", name="torch")

    monkeypatch.setattr("translate.routes.torch2tf", missing)
    result = run("torch2tf", DIGITS)
    assert result.exit_code == 2
    assert result.output == "error: this needs torch, which is not installed; pip install torch\n"


def test_torch2tf_writes_proves_and_reports(working_directory: Path) -> None:
    reports = ["--report", "r.json", "--report", "r.md", "--report", "r.xml"]
    result = run("torch2tf", DIGITS, *reports)
    assert result.exit_code == 0, result.output
    assert sorted(os.listdir(working_directory)) == ["digits_cnn_tf", "r.json", "r.md", "r.xml"]
    for said in ("torch2tf: equal", "digits_cnn_tf", "image float32[batch, 1, 8, 8]", "batch=5", "trainable", "verify"):
        assert said in result.output
    report = json.loads(Path("r.json").read_text())
    assert report["passed"]
    assert report["weights"]["trainable"] > 0

    again = run("torch2tf", DIGITS)
    assert again.exit_code == 2
    forced = run("torch2tf", DIGITS, "--force", "--json")
    assert forced.exit_code == 0
    assert json.loads(forced.output)["schema"] == SCHEMA

    verified = run("verify", DIGITS, "digits_cnn_tf", "--sizes", "batch=1,2,7")
    assert verified.exit_code == 0, verified.output
    assert "batch=7" in verified.output

    inspected = run("inspect", "digits_cnn_tf")
    assert inspected.exit_code == 0
    assert "Conv2D" in inspected.output


def test_no_verify_says_so() -> None:
    result = run("torch2tf", DIGITS, "--no-verify", "-o", "out/model")
    assert result.exit_code == 0, result.output
    assert "not verified" in result.output
    assert Path("out/model/saved_model.pb").is_file()


def test_a_result_that_differs_is_not_written_and_the_report_says_how(
    monkeypatch: pytest.MonkeyPatch, working_directory: Path
) -> None:
    source = onnx_file(working_directory / "relu.onnx", "Relu")
    other = onnx_file(working_directory / "abs.onnx", "Abs")
    import onnx_ir

    from translate.converters import onnx_to_tf

    save = onnx_to_tf.save
    monkeypatch.setattr(onnx_to_tf, "save", lambda model, directory: save(onnx_ir.load(other), directory))
    result = run("torch2tf", source, "--report", "r.json")
    assert result.exit_code == 1
    assert "NOT EQUAL" in result.output
    assert "error: the result does not compute the same" in result.output
    assert not json.loads(Path("r.json").read_text())["passed"]
    assert sorted(os.listdir(working_directory)) == ["abs.onnx", "r.json", "relu.onnx"]


def test_verify_tells_different_models_apart(working_directory: Path) -> None:
    relu = onnx_file(working_directory / "relu.onnx", "Relu")
    elu = onnx_file(working_directory / "abs.onnx", "Abs")
    assert run("verify", relu, relu).exit_code == 0
    different = run("verify", relu, elu, "--json")
    assert different.exit_code == 1
    unknown = run("verify", relu, relu, "--sizes", "width=3")
    assert unknown.exit_code == 2
    assert "the source has batch" in unknown.output


def test_names_that_tensorflow_cannot_take_are_changed_and_said(working_directory: Path) -> None:
    for name, new in (("input.1", "input_1"), ("in", "in_"), ("_x", "input_x"), ("3:0", "input_3_0")):
        source = onnx_file(working_directory / "relu.onnx", "Relu", input_name=name)
        np.savez("sample.npz", **{name: np.ones((3, 4), np.float32)})
        result = run("torch2tf", source, "--sample", "sample.npz", "--force", "--json")
        assert result.exit_code == 0, result.output
        report = json.loads(result.output)
        assert [spec["name"] for spec in report["inputs"]] == [new]
        assert f'input "{name}" is called "{new}"' in report["notes"][0]
        assert run("verify", source, "relu_tf").exit_code == 0


def test_inspect_lists_what_a_model_is_made_of(working_directory: Path) -> None:
    result = run("inspect", DIGITS)
    assert result.exit_code == 0, result.output
    for said in ("image float32[batch, 1, 8, 8]", "Conv 2", "trainable", "every operator has a lowering"):
        assert said in result.output
    unknown = run("inspect", make_unknown_operator(working_directory)[0], "--json")
    assert unknown.exit_code == 0
    report = json.loads(unknown.output)
    assert report["translates_to"] is None
    assert [problem["operator"] for problem in report["problems"]] == ["own::Frobnicate"]


def test_doctor() -> None:
    result = run("doctor")
    assert result.exit_code == 0
    assert torch.__version__ in result.output
    report = json.loads(run("doctor", "--json").output)
    assert report["packages"]["torch"] == torch.__version__
    assert report["engines"]["native"]


def test_a_real_process_keeps_its_streams_apart(working_directory: Path) -> None:
    done = subprocess_run("torch2tf", DIGITS, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["passed"]
    assert done.stderr == ""
    failed = subprocess_run("torch2tf", "missing.pt2")
    assert (failed.returncode, failed.stdout) == (3, "")
    assert failed.stderr.startswith("error: no such file")


def test_a_terminated_process_leaves_nothing_behind(working_directory: Path) -> None:
    # Opening this model takes forever; by then the staging folder stands.
    (working_directory / "slow.py").write_text("import time, pathlib\npathlib.Path('began').touch()\ntime.sleep(600)\n")
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "cli.py"), "torch2tf", "slow.py:Model"], stderr=subprocess.PIPE
    )
    deadline = time.monotonic() + 120
    while not Path("began").exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    process.terminate()
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 130
    assert b"interrupted; nothing was written" in stderr
    left = {path.name for path in working_directory.iterdir()}
    assert left - {"__pycache__"} == {"slow.py", "began"}
