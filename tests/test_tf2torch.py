"""tf2torch, from a file to a file: numbers in a process that has only PyTorch, names, live weights, exit codes."""

from __future__ import annotations

import inspect
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
import torch
from click.testing import CliRunner, Result
from onnx import TensorProto, helper, numpy_helper, save
from torch import nn

import translate
from translate import routes
from translate.cli import main
from translate.converters import onnx_to_torch

# Runs every model of a folder on the arrays beside it, and has nothing but PyTorch for it.
LOADER = """
import sys
for name in ("translate", "onnx", "onnx_ir", "onnxruntime", "tensorflow", "keras"):
    sys.modules[name] = None
import json, pathlib
import numpy, torch
found = {}
for path in sorted(pathlib.Path(sys.argv[1]).glob("*.pt2")):
    program = torch.export.load(path)
    module = program.module()
    saved = numpy.load(path.with_suffix(".npz"))
    inputs = program.graph_signature.user_inputs
    results = []
    for case in range(3):
        result = module(*[torch.from_numpy(saved[f"{case}:{name}"]) for name in inputs])
        if torch.is_tensor(result):
            result = {"": result}
        results.append({key: value.tolist() for key, value in result.items()})
    found[path.stem] = {"inputs": list(inputs), "weights": list(dict(module.named_parameters())), "results": results}
print(json.dumps(found))
"""


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def randomised(model: Any) -> Any:
    """Give every weight a value of its own, so that none hides behind zeros and ones."""
    generator = np.random.default_rng(0)
    for weight in model.weights:
        if weight.dtype == "float32":
            weight.assign(generator.uniform(0.2, 0.8, weight.shape) * (1 if "variance" in weight.name else 0.5))
    return model


def cnn() -> Any:
    x = keras.Input((8, 6, 3), name="image")
    h = keras.layers.Conv2D(4, 3, strides=2, padding="same", name="conv")(x)
    h = keras.layers.ReLU()(keras.layers.BatchNormalization(name="norm")(h))
    h = keras.layers.Flatten()(keras.layers.AveragePooling2D(2, padding="same")(h))
    return randomised(keras.Model(x, keras.layers.Dense(5, activation="softmax", name="head")(h)))


def rnn() -> Any:
    x = keras.Input((None, 4), name="steps")
    h = keras.layers.Bidirectional(keras.layers.GRU(3, return_sequences=True), name="both")(x)
    return randomised(keras.Model(x, keras.layers.LSTM(5, name="last")(h)))


def two() -> Any:
    left, right = keras.Input((4,), name="left"), keras.Input((6,), name="right")
    both = keras.layers.Concatenate()([keras.layers.Dense(5, activation="gelu", name="first")(left), right])
    outputs = {"total": keras.layers.Dense(2, name="total")(both), "gate": keras.layers.Dense(1, name="gate")(both)}
    return randomised(keras.Model({"left": left, "right": right}, outputs))


class Control(tf.Module):
    def __init__(self) -> None:
        self.w = tf.Variable(np.random.default_rng(0).standard_normal((4, 4)).astype(np.float32), name="w")

    @tf.function(input_signature=[tf.TensorSpec([None, None, 4], tf.float32, "x")])
    def run(self, x: tf.Tensor) -> dict[str, tf.Tensor]:
        _, state = tf.while_loop(
            lambda t, _: t < tf.shape(x)[1],
            lambda t, state: (t + 1, tf.tanh(state @ self.w + x[:, t])),
            [tf.constant(0), tf.zeros_like(x[:, 0])],
        )
        chosen = tf.cond(tf.reduce_mean(x) > 0.5, lambda: state * 2.0, lambda: state - 1.0)
        return {"chosen": chosen, "rows": tf.map_fn(lambda row: tf.reduce_max(row @ self.w, 0), x), "state": state}


def onnx_linear(path: Path) -> None:
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 4])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 3])
    weight = numpy_helper.from_array(np.random.default_rng(0).random((4, 3), np.float32), "weight")
    graph = helper.make_graph([helper.make_node("MatMul", ["x", "weight"], ["y"])], "graph", [x], [y], [weight])
    save(helper.make_model(graph, ir_version=10, opset_imports=[helper.make_opsetid("", 18)]), path)


Calls = Callable[[dict[str, Any]], dict[str, Any]]


def sources(folder: Path) -> dict[str, tuple[Path, dict[str, tuple[int | str, ...]], Calls]]:
    """Write each source; return its path, the shapes of its inputs, and what TensorFlow makes of arrays."""
    cnn_, rnn_, two_, control = cnn(), rnn(), two(), Control()
    cnn_.save(folder / "cnn.keras")
    rnn_.save(folder / "rnn.keras")
    two_.save(folder / "two.keras")
    two_.export(folder / "exported", verbose=False)
    tf.saved_model.save(control, str(folder / "control"), signatures=control.run)
    onnx_linear(folder / "linear.onnx")
    weight = np.random.default_rng(0).random((4, 3), np.float32)
    pair: dict[str, tuple[int | str, ...]] = {"left": (4,), "right": (6,)}
    return {
        "cnn": (folder / "cnn.keras", {"image": (8, 6, 3)}, lambda feeds: {"": cnn_(feeds["image"])}),
        "rnn": (folder / "rnn.keras", {"steps": ("time", 4)}, lambda feeds: {"": rnn_(feeds["steps"])}),
        "two": (folder / "two.keras", pair, two_),
        "exported": (folder / "exported", pair, two_),
        "control": (folder / "control", {"x": ("time", 4)}, lambda feeds: control.run(**feeds)),
        "linear": (folder / "linear.onnx", {"x": (4,)}, lambda feeds: {"": feeds["x"] @ weight}),
    }


SOURCES = ("cnn", "rnn", "two", "exported", "control", "linear")


@pytest.fixture(scope="module")
def translated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the .pt2 of each source, inputs in .npz files, and what the fresh process found in found.json."""
    folder = tmp_path_factory.mktemp("tf2torch")
    generator = np.random.default_rng(1)
    expected: dict[str, Any] = {}
    for name, (path, shapes, call) in sources(folder).items():
        result = routes.tf2torch(path, folder / f"{name}.pt2")
        assert result.verdict is not None and result.verdict.passed
        feeds: dict[str, Any] = {}
        expected[name] = []
        for case, (batch, time) in enumerate([(1, 3), (2, 7), (5, 1)]):
            arrays = {
                key: generator.random([batch, *(time if dim == "time" else dim for dim in shape)], np.float32)
                for key, shape in shapes.items()
            }
            feeds |= {f"{case}:{key}": value for key, value in arrays.items()}
            expected[name].append({key: np.asarray(value).tolist() for key, value in call(arrays).items()})
        np.savez(folder / f"{name}.npz", **feeds)
    done = subprocess.run([sys.executable, "-c", LOADER, str(folder)], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    (folder / "found.json").write_text(done.stdout)
    (folder / "expected.json").write_text(json.dumps(expected))
    return folder


@pytest.mark.parametrize("name", SOURCES)
def test_pytorch_alone_computes_what_tensorflow_does(translated: Path, name: str) -> None:
    found = json.loads((translated / "found.json").read_text())[name]["results"]
    expected = json.loads((translated / "expected.json").read_text())[name]
    for ours, theirs in zip(found, expected, strict=True):
        assert ours.keys() == theirs.keys()
        for key, value in theirs.items():
            np.testing.assert_allclose(np.array(ours[key]), np.array(value), rtol=1e-4, atol=1e-5, err_msg=key)


def test_inputs_and_weights_have_the_sources_names(translated: Path) -> None:
    found = json.loads((translated / "found.json").read_text())
    assert found["cnn"]["inputs"] == ["image"]
    assert found["two"]["inputs"] == found["exported"]["inputs"] == ["left", "right"]
    assert found["control"]["inputs"] == ["x"]
    assert {"conv.weight", "conv.bias", "norm.weight", "norm.bias", "head.weight", "head.bias"} == set(
        found["cnn"]["weights"]
    )
    assert {"first.weight", "total.weight", "gate.weight"} < set(found["two"]["weights"])
    assert found["control"]["weights"] == ["w"]


@pytest.mark.parametrize("name", SOURCES)
def test_every_parameter_of_the_file_is_live(translated: Path, name: str) -> None:
    module = torch.export.load(translated / f"{name}.pt2").module()
    saved = np.load(translated / f"{name}.npz")
    inputs = [torch.from_numpy(saved[key]) for key in saved if key.startswith("1:")]

    def outputs() -> list[torch.Tensor]:
        results = module(*inputs)
        return list(results.values()) if isinstance(results, dict) else [results]

    before = [value.detach().clone() for value in outputs()]
    parameters = dict(module.named_parameters())
    assert parameters
    for parameter in parameters.values():
        kept = parameter.detach().clone()
        with torch.no_grad():
            # Not by a factor, nor evenly: a normalisation may take no notice of that.
            parameter += torch.linspace(0.5, 1.5, parameter.numel()).reshape(parameter.shape)
            assert any((old - new).abs().max() > 1e-4 for old, new in zip(before, outputs(), strict=True))
            parameter.copy_(kept)


def test_a_live_keras_model_becomes_a_module_that_can_be_trained() -> None:
    source = cnn()
    module = translate.tf2torch(source)
    assert isinstance(module, nn.Module)
    assert isinstance(module.conv, nn.Conv2d)
    assert isinstance(module.norm, nn.BatchNorm2d)
    np.testing.assert_allclose(module.conv.weight.detach().permute(2, 3, 1, 0), source.get_layer("conv").kernel)
    np.testing.assert_allclose(module.norm.running_var, source.get_layer("norm").moving_variance)
    x = np.random.default_rng(3).random((3, 8, 6, 3), np.float32)
    np.testing.assert_allclose(module(torch.from_numpy(x)).detach(), source(x), rtol=1e-5, atol=1e-6)
    loss = -module(torch.from_numpy(x))[:, 0].log().mean()
    loss.backward()
    assert all(parameter.grad is not None and parameter.grad.any() for parameter in module.parameters())
    with torch.no_grad():
        for parameter in module.parameters():
            parameter -= 0.1 * parameter.grad
    assert -module(torch.from_numpy(x))[:, 0].log().mean() < loss


@pytest.fixture
def working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_command_writes_proves_and_replaces_only_when_asked(working_directory: Path) -> None:
    onnx_linear(working_directory / "linear.onnx")
    result = run("tf2torch", "linear.onnx", "--report", "r.json")
    assert result.exit_code == 0, result.output
    assert "tf2torch: equal" in result.output
    report = json.loads(Path("r.json").read_text())
    assert report["passed"]
    assert sorted(os.listdir()) == ["linear.onnx", "linear.pt2", "r.json"]
    before = Path("linear.pt2").stat().st_mtime_ns

    again = run("tf2torch", "linear.onnx")
    assert again.exit_code == 2
    assert "--force" in again.output
    assert Path("linear.pt2").stat().st_mtime_ns == before
    assert run("tf2torch", "linear.onnx", "--force", "--no-verify").exit_code == 0
    assert Path("linear.pt2").stat().st_mtime_ns > before


def make_lambda(folder: Path) -> Path:
    x = keras.Input((4,))
    keras.Model(x, keras.layers.Lambda(lambda value: value * 2)(x)).save(folder / "lambda.keras")
    return folder / "lambda.keras"


def make_untranslatable(folder: Path) -> Path:
    module = tf.Module()
    module.run = tf.function(lambda x: {"y": tf.math.betainc(x, x, x)}, [tf.TensorSpec([None, 3], tf.float32, "x")])
    tf.saved_model.save(module, str(folder / "beta"), signatures=module.run)
    return folder / "beta"


@pytest.mark.parametrize(
    ("make", "code", "said"),
    [
        (make_lambda, 3, "--unsafe-load"),
        (make_untranslatable, 4, "Betainc"),
        (lambda folder: folder / "missing.keras", 3, "no such file"),
    ],
)
def test_a_failure_has_its_exit_code_and_leaves_nothing_behind(
    make: Callable[[Path], Path], code: int, said: str, working_directory: Path
) -> None:
    source = make(working_directory)
    before = sorted(working_directory.rglob("*"))
    result = run("tf2torch", source)
    assert result.exit_code == code, result.output
    assert said in result.output
    assert result.output.startswith("error: ")
    assert sorted(working_directory.rglob("*")) == before


def test_a_result_that_differs_is_not_written(working_directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    onnx_linear(working_directory / "linear.onnx")
    assert run("tf2torch", "linear.onnx", "--no-verify").exit_code == 0
    before = Path("linear.pt2").read_bytes()
    correct = onnx_to_torch.module

    def wrong(model: Any) -> Any:
        module = correct(model)
        with torch.no_grad():
            next(module.parameters()).mul_(1.001)
        return module

    monkeypatch.setattr(onnx_to_torch, "module", wrong)
    result = run("tf2torch", "linear.onnx", "--force")
    assert result.exit_code == 1
    assert "NOT EQUAL" in result.output
    assert "nothing was written" in result.output
    assert sorted(os.listdir()) == ["linear.onnx", "linear.pt2"]
    assert Path("linear.pt2").read_bytes() == before


class Named(nn.Module):
    """Its inputs are not in the order of their names, and one result is called like an input."""

    def forward(self, x: torch.Tensor, h: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"y": x @ h, "h": h * 2}


class Several(nn.Module):
    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return x + 1, x * 2


def test_there_and_back_keeps_the_interface(tmp_path: Path) -> None:
    example = (torch.rand(2, 3), torch.rand(3, 4))
    routes.torch2tf(Named(), tmp_path / "named", inputs=["x:batch,3", "h:3,4"])
    back = translate.tf2torch(tmp_path / "named")
    assert list(inspect.signature(back.forward).parameters) == ["x", "h"]
    torch.testing.assert_close(back(*example), Named()(*example))
    routes.torch2tf(Several(), tmp_path / "several", inputs=["x:batch,3"])
    torch.testing.assert_close(translate.tf2torch(tmp_path / "several")(example[0]), Several()(example[0]))
