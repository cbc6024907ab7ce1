"""`translate torch2tf --trainable`: a SavedModel whose signature `training` does what PyTorch does in train mode."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
import torch
from click.testing import CliRunner
from safetensors.torch import load_file
from torch import nn

from tests import training_modules as modules
from translate import torch2tf
from translate.cli import main
from translate.converters import onnx_to_tf, passes
from translate.converters.metadata import UPDATED
from translate.converters.onnx_to_tf.export import Program
from translate.converters.torch_to_onnx import export
from translate.converters.torch_to_training import export_training
from translate.errors import UsageError
from translate.manifest import Signature, read_manifest
from translate.models.inputs import parse_input
from translate.models.torch_model import from_module
from translate.models.training_mode import TrainingModel
from translate.models.training_signature import TrainingSignature
from translate.provenance import recall
from translate.reports.summary import summary
from translate.routes import NotEqualError

pytestmark = pytest.mark.xdist_group("training_mode")

MODULES = Path(__file__).with_name("training_modules.py")
STEPS = 10
RATE = 0.1


def run(*arguments: object) -> Any:
    return CliRunner().invoke(main, ["torch2tf", *map(str, arguments)], catch_exceptions=False)


def translated(folder: Path, factory: str, spec: str) -> Path:
    """Translate on the command line and return the folder, with the report in it."""
    report = folder / f"{factory}.json"
    made = run(f"{MODULES}:{factory}", "--input", spec, "--trainable", "-o", folder / factory, "--report", report)
    assert made.exit_code == 0, made.output
    return folder / factory


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return translated(tmp_path_factory.mktemp("plain"), "without_dropout", "x:batch,3,6,6")


@pytest.fixture(scope="module")
def random(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return translated(tmp_path_factory.mktemp("random"), "ConvNet", "x:batch,3,6,6")


def pictures(count: int = 8) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(0)
    x = generator.normal(size=(count, 3, 6, 6)).astype(np.float32)
    return x, generator.normal(size=(count, 4)).astype(np.float32)


def in_both_modes(module: nn.Module, *specs: str) -> tuple[TrainingModel, onnx_to_tf.Trainable]:
    """Return a module in train mode, and both its modes in TensorFlow."""
    model = from_module(module.eval(), [parse_input(spec) for spec in specs])
    trained = TrainingModel(model)
    inference = export(model)
    training = export_training(trained, inference)
    state = [value for value in training.graph.initializers.values() if UPDATED in value.metadata_props]
    for graph in (inference, training):
        passes.prepare(graph)
    return trained, onnx_to_tf.Trainable(inference, training, state)


def test_ten_steps_of_sgd_follow_pytorch(plain: Path) -> None:
    x, wanted = pictures()
    module = modules.without_dropout().train()
    optimizer = torch.optim.SGD(module.parameters(), RATE)
    theirs = []
    for _ in range(STEPS):
        optimizer.zero_grad()
        loss = (module(torch.from_numpy(x)) - torch.from_numpy(wanted)).square().mean()
        loss.backward()
        optimizer.step()
        theirs.append(loss.item())
    model = tf.saved_model.load(str(plain))
    ours = []
    for _ in range(STEPS):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean((model.training(x) - wanted) ** 2)
        gradients = tape.gradient(loss, model.trainable_variables)
        for variable, gradient in zip(model.trainable_variables, gradients, strict=True):
            variable.assign_sub(RATE * gradient)
        ours.append(float(loss))
    assert theirs[-1] < 0.9 * theirs[0]
    np.testing.assert_allclose(ours, theirs, rtol=1e-5)
    np.testing.assert_allclose(model.norm.running_mean, module.norm.running_mean, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(model.norm.running_var, module.norm.running_var, rtol=1e-4)
    assert model.norm.num_batches_tracked.numpy() == STEPS
    # Inference reads the same variables.
    with torch.no_grad():
        expected = module.eval()(torch.from_numpy(x)).numpy()
    np.testing.assert_allclose(model(x), expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(model.signatures["serving_default"](x=x)["output"], expected, rtol=1e-4, atol=1e-5)


def test_inference_changes_through_the_variables_only(random: Path) -> None:
    x, _ = pictures()
    model = tf.saved_model.load(str(random))
    before = model(x).numpy()
    values = [variable.numpy() for variable in model.variables]
    model.training(x)
    # The signature changes them as the function does.
    model.signatures["training"](x=tf.constant(x))
    assert model.norm.num_batches_tracked.numpy() == 2
    assert np.abs(model(x).numpy() - before).max() > 1e-3
    for variable, value in zip(model.variables, values, strict=True):
        variable.assign(value)
    np.testing.assert_array_equal(model(x), before)


@pytest.mark.parametrize("chance", [True, False])
def test_the_report_says_what_training_is(chance: bool, random: Path, plain: Path) -> None:
    report = json.loads((random if chance else plain).with_suffix(".json").read_text())
    names = ["norm.running_mean", "norm.running_var", "norm.num_batches_tracked"]
    assert report["training"] == {"updates": names, "is_random": chance}
    compared = [output["name"] for output in report["verdict"]["runs"][-1]["outputs"]]
    assert compared == ["training.output", *(f"training.{name}.updated" for name in names)]
    assert "hardly depends" not in str(report["verdict"]["warnings"])
    # Gradients are part of the proof: those of the input and of every parameter, at the largest batch.
    proven = report["gradients"]
    assert proven["passed"] and proven["sizes"] == {"batch": 13}
    assert [one["name"] for one in proven["gradients"]] == ["x", *dict(modules.ConvNet().named_parameters())]
    assert "All 7 gradients in train mode agree." in summary(report).sentences
    manifest = read_manifest(random if chance else plain)
    assert manifest.provenance.gradients == proven
    assert manifest.signatures["training"] == Signature(("x",), ("output",))
    again = recall(random if chance else plain, "training_modules.py:ConvNet")
    assert any("training was proven" in note and "is not compared again" in note for note in again.notes)
    assert "training.output" in [spec["name"] for spec in manifest.provenance.outputs]


def test_each_weight_is_one_variable(random: Path) -> None:
    model = tf.saved_model.load(str(random))
    names = sorted(variable.name.partition(":")[0].replace("/", ".") for variable in model.variables)
    assert names == sorted(modules.ConvNet().state_dict())
    assert len(model.trainable_variables) == len(list(modules.ConvNet().parameters()))


def test_random_numbers_are_fresh_and_can_be_repeated(random: Path) -> None:
    x, _ = pictures()
    model = tf.saved_model.load(str(random))
    first, second = model.training(x).numpy(), model.training(x).numpy()
    assert not np.array_equal(first, second)
    model.set_seed(7)
    again = model.training(x).numpy()
    model.set_seed(7)
    np.testing.assert_array_equal(model.training(x), again)
    model.set_seed(8)
    assert not np.array_equal(model.training(x), again)


def test_a_model_without_dropout_has_no_seed(plain: Path) -> None:
    model = tf.saved_model.load(str(plain))
    assert not hasattr(model, "set_seed") and not hasattr(model, "random_state")


def test_every_dropout_keeps_and_scales_as_pytorch_does(tmp_path: Path) -> None:
    model = tf.saved_model.load(str(translated(tmp_path, "Dropouts", "x:batch,channels,width")))
    x = np.ones((40, 50, 10), np.float32)
    dropped = {name: value.numpy() for name, value in model.training(x).items()}
    elements, channels = dropped["elements"], dropped["channels"]
    np.testing.assert_allclose(np.unique(elements), [0, 1 / 0.7], rtol=1e-6)
    # Five standard deviations of the share that is kept.
    assert abs((elements > 0).mean() - 0.7) < 5 * np.sqrt(0.3 * 0.7 / elements.size)
    np.testing.assert_allclose(np.unique(channels), [0, 1 / 0.6], rtol=1e-6)
    assert (channels == channels[:, :, :1]).all()
    assert abs((channels[:, :, 0] > 0).mean() - 0.6) < 5 * np.sqrt(0.4 * 0.6 / (40 * 50))
    assert not dropped["everything"].any()
    torch.manual_seed(0)
    theirs = nn.AlphaDropout(0.25).train()(torch.ones(40, 50, 10)).unique().numpy()
    np.testing.assert_allclose(np.unique(dropped["alpha"]), theirs, rtol=1e-5)
    np.testing.assert_array_equal(model(x)["elements"], x)


@pytest.mark.parametrize(
    ("make", "specs"),
    [
        (modules.Recurrent, ["x:batch,time,3"]),
        (modules.Attention, ["x:batch,time,8"]),
        (modules.Noisy, ["x:batch,3"]),
    ],
)
def test_gradients_are_those_of_pytorch(make: Callable[[], nn.Module], specs: list[str], tmp_path: Path) -> None:
    trained, trainable = in_both_modes(make(), *specs)
    assert trainable.is_random
    trainable.save_fixed(tmp_path / "fixed")
    target = TrainingSignature(tmp_path / "fixed")
    generator = np.random.default_rng(0)
    feeds = {
        spec.name: generator.normal(size=[6 if isinstance(dim, str) else dim for dim in spec.shape]).astype(np.float32)
        for spec in trained.inputs
    }
    returned = [spec.name for spec in trained.outputs if not spec.name.endswith(".updated")]
    weights = {name: generator.normal(size=array.shape) for name, array in trained.run(feeds).items()}

    def loss(outputs: dict[str, np.ndarray]) -> tuple[float, dict[str, np.ndarray]]:
        return 0.0, {name: weights[name].astype(outputs[name].dtype) for name in returned}

    for name, expected in trained.run(feeds).items():
        np.testing.assert_allclose(target.run(feeds)[name], expected, rtol=1e-4, atol=1e-5)
    theirs, ours = trained.gradients(feeds, loss), target.gradients(feeds, loss)
    assert theirs is not None and ours is not None and theirs.parameters.keys() == ours.parameters.keys()
    # The gradient of a bias before BatchNorm is nothing but rounding.
    greatest = max(np.abs(gradient).max() for gradient in theirs.parameters.values())
    for name, gradient in theirs.parameters.items():
        np.testing.assert_allclose(ours.parameters[name], gradient, rtol=1e-3, atol=1e-5 * greatest, err_msg=name)


def test_buffers_of_all_kinds_are_proven(tmp_path: Path) -> None:
    module = modules.Buffers().eval()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    result = torch2tf(module, tmp_path / "model", inputs=["x:batch,3,5,5"], trainable=True)
    assert result.passed and result.training is not None
    # The source keeps its mode and its buffers.
    assert not module.training
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())
    # PyTorch itself never counts with those of InstanceNorm.
    expected = {name for name, _ in module.named_buffers()} - {"instances.num_batches_tracked"}
    assert set(result.training.updates) == expected
    compared = {output.name for output in result.verdict.runs[-1].outputs}
    assert {f"training.{name}.updated" for name in expected} <= compared


def test_what_pytorch_detaches_has_no_gradient(tmp_path: Path) -> None:
    result = torch2tf(modules.Detached(), tmp_path / "model", inputs=["x:batch,4"], trainable=True)
    assert result.gradients is not None and result.gradients.passed


def test_other_gradients_are_not_published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passes, "keep_detached", lambda model: None)
    made = run(f"{MODULES}:Detached", "--input", "x:batch,4", "--trainable", "-o", tmp_path / "model")
    assert made.exit_code == NotEqualError.exit_code
    assert not (tmp_path / "model").exists()
    assert 'gradients differ in train mode, such as that of "x"' in made.output
    assert "does not have the gradients of" in made.stderr


def test_what_pytorch_cannot_differentiate_is_said(tmp_path: Path) -> None:
    result = torch2tf(modules.Overwriting(), tmp_path / "model", inputs=["x:batch,4"], trainable=True)
    assert result.passed and result.gradients is None
    assert "gradients were not compared: PyTorch cannot differentiate the model" in " ".join(result.notes)


def test_statistics_that_stay_are_not_published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Program, "assign", lambda self, name, tensor: None)
    with pytest.raises(NotEqualError) as raised:
        torch2tf(modules.without_dropout(), tmp_path / "model", inputs=["x:batch,3,6,6"], trainable=True)
    assert not (tmp_path / "model").exists()
    outputs = [output for run in raised.value.result.verdict.runs for output in run.outputs]
    failed = {output.name for output in outputs if not output.passed}
    updates = ("running_mean", "running_var", "num_batches_tracked")
    assert failed == {f"training.norm.{name}.updated" for name in updates}


def test_trained_weights_go_back_to_pytorch(random: Path, tmp_path: Path) -> None:
    x, _ = pictures()
    model = tf.saved_model.load(str(random))
    for _ in range(3):
        model.training(x)
    tf.train.Checkpoint(model=model).write(str(tmp_path / "tuned"))
    state = tmp_path / "tuned.safetensors"
    extracted = CliRunner().invoke(
        main, ["extract-weights", str(random), "--checkpoint", str(tmp_path / "tuned"), "-o", str(state)]
    )
    assert extracted.exit_code == 0, extracted.output
    module = modules.ConvNet()
    module.load_state_dict(load_file(state), strict=True)
    assert module.norm.num_batches_tracked == 3
    with torch.no_grad():
        expected = module.eval()(torch.from_numpy(x)).numpy()
    np.testing.assert_allclose(model(x), expected, rtol=1e-4, atol=1e-5)


def test_keras_fits_it_as_a_layer(random: Path) -> None:
    x, wanted = pictures(32)
    layer = keras.layers.TFSMLayer(random, call_endpoint="__call__", call_training_endpoint="training")
    model = keras.Sequential([keras.Input((3, 6, 6)), layer])
    # Keras cannot name the state of other optimizers: the layer's weights are called "conv_weight:0".
    model.compile(keras.optimizers.SGD(0.1), loss="mse")
    before = model.evaluate(x, wanted, verbose=0)
    model.fit(x, wanted, batch_size=16, epochs=20, verbose=0)
    assert model.evaluate(x, wanted, verbose=0) < 0.9 * before


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--format", "tflite"], "--trainable goes with --format saved_model"),
        (["--quantize", "int8"], "--quantize goes with --format tflite"),
        (["--engine", "onnx2tf"], "--trainable does not go with --engine"),
        (["--method", "forward"], "--trainable does not go with --method"),
        (["--serving", "served"], "--trainable does not go with --serving"),
    ],
)
def test_what_does_not_go_together_is_refused(options: list[str], words: str) -> None:
    refused = run(f"{MODULES}:ConvNet", "--input", "x:batch,3,6,6", "--trainable", *options)
    assert refused.exit_code == 2
    assert words in refused.output


def test_what_has_no_train_mode_is_refused(tmp_path: Path) -> None:
    module, x = modules.ConvNet().eval(), torch.rand(2, 3, 6, 6)
    torch.export.save(torch.export.export(module, (x,)), tmp_path / "net.pt2")
    torch.jit.script(module).save(tmp_path / "net.pt")
    for name, what in (("net.pt2", "an ExportedProgram"), ("net.pt", "TorchScript")):
        refused = run(tmp_path / name, "--input", "x:2,3,6,6", "--trainable", "-o", tmp_path / "out")
        assert refused.exit_code == 2
        assert f"{what} is a graph" in refused.output and "factory" in refused.output


def test_draws_that_cannot_be_compared_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="multinomial"):
        torch2tf(modules.Chooser(), tmp_path / "model", inputs=["x:batch,3"], trainable=True)
