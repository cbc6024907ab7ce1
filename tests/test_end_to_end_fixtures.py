"""The trained models of fixtures/ become SavedModels that anyone can load and that compute what PyTorch does."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
import torch
from safetensors.torch import load_file
from tensorflow.core.protobuf import saved_model_pb2

import translate
from fixtures import data
from fixtures.char_lm import CharLM
from fixtures.digits_cnn import DigitsCNN
from fixtures.neural_net import NeuralNet
from fixtures.text_classifier import TextClassifier
from translate.models.via import open_via

# In one worker, which translates digits_cnn once for all tests.
pytestmark = pytest.mark.xdist_group("fixtures")

ROOT = Path(__file__).parents[1]
FIXTURES = ROOT / "fixtures"
PROVENANCE = json.loads((FIXTURES / "provenance.json").read_text())
IMAGE = "batch,1,8,8"
# The three ways in which a PyTorch model comes, and what `torch2tf` has to be told about each.
DIGITS = {
    "pt2": (FIXTURES / "digits_cnn.pt2", {}),
    "torchscript": (FIXTURES / "digits_cnn.pt", {"inputs": [IMAGE]}),
    "factory": (
        f"{FIXTURES / 'digits_cnn.py'}:DigitsCNN",
        {"inputs": [IMAGE], "weights": FIXTURES / "digits_cnn.safetensors"},
    ),
}
MODELS = {"digits_cnn": DigitsCNN, "neural_net": NeuralNet, "text_classifier": TextClassifier, "char_lm": CharLM}


def trained(name):
    """Return the fixture made from its class and its weights, without anything of this project."""
    model = MODELS[name]()
    model.load_state_dict(load_file(FIXTURES / f"{name}.safetensors"))
    return model.eval()


def predict(model, array):
    with torch.no_grad():
        return model(torch.from_numpy(array)).numpy()


def serve(path, array):
    """Return the only output of the SavedModel's signature for its only input."""
    signature = tf.saved_model.load(str(path)).signatures["serving_default"]
    (name,) = signature.structured_input_signature[1]
    (output,) = signature(**{name: tf.constant(array)}).values()
    return output.numpy()


def graph_nodes(path):
    """Return every node of the SavedModel, those of its functions too, and the names of the functions."""
    content = saved_model_pb2.SavedModel.FromString((path / "saved_model.pb").read_bytes())
    graph = content.meta_graphs[0].graph_def
    nodes = [*graph.node, *(node for function in graph.library.function for node in function.node_def)]
    return nodes, {function.signature.name for function in graph.library.function}


@pytest.fixture(scope="module", params=DIGITS)
def digits_cnn(request, tmp_path_factory):
    """The translated digits_cnn, from each of the three forms in turn."""
    source, options = DIGITS[request.param]
    result = translate.torch2tf(source, tmp_path_factory.mktemp(request.param) / "digits_cnn_tf", **options)
    assert result.passed
    return result.output


@pytest.fixture(scope="module")
def from_pt2(tmp_path_factory):
    source, options = DIGITS["pt2"]
    return translate.torch2tf(source, tmp_path_factory.mktemp("pt2") / "digits_cnn_tf", **options).output


@pytest.mark.parametrize("name", MODELS)
def test_fixture_is_the_trained_model(name):
    program = torch.export.load(FIXTURES / f"{name}.pt2")
    (example,) = program.example_inputs[0]
    with torch.no_grad():
        torch.testing.assert_close(program.module()(example), trained(name)(example))
    assert sum(tensor.numel() for tensor in program.state_dict.values()) == PROVENANCE[name]["parameters"]
    assert all(file.stat().st_size < 1_000_000 for file in FIXTURES.glob(f"{name}.*"))


@pytest.mark.parametrize("batch", [1, 2, 7])
def test_digits_agree(digits_cnn, batch):
    images = data.digits().test_x[:batch]
    expected = predict(trained("digits_cnn"), images)
    np.testing.assert_allclose(serve(digits_cnn, images), expected, rtol=1e-5, atol=1e-5 * np.abs(expected).max())


def test_digits_accuracy(digits_cnn):
    split, recorded = data.digits(), PROVENANCE["digits_cnn"]
    assert data.fingerprint(split.test_x, split.test_y) == recorded["test data sha256"]
    for logits in (predict(trained("digits_cnn"), split.test_x), serve(digits_cnn, split.test_x)):
        assert (logits.argmax(axis=1) == split.test_y).sum() == recorded["test correct"]


def test_signature(digits_cnn):
    signature = tf.saved_model.load(str(digits_cnn)).signatures["serving_default"]
    _, inputs = signature.structured_input_signature
    assert list(inputs) == ["image"]
    assert inputs["image"].dtype == tf.float32
    assert inputs["image"].shape.as_list() == [None, 1, 8, 8]
    (output,) = signature.structured_outputs.values()
    assert output.dtype == tf.float32
    assert output.shape.as_list() == [None, 10]


def test_variables_are_the_parameters(digits_cnn):
    loaded = tf.saved_model.load(str(digits_cnn))
    model = DigitsCNN()
    names = {variable.name.split(":")[0] for variable in loaded.trainable_variables}
    assert names == {name.replace(".", "/") for name, _ in model.named_parameters()}
    frozen = {variable.name.split(":")[0] for variable in loaded.variables} - names
    buffers = {name.replace(".", "/") for name, buffer in model.named_buffers() if buffer.is_floating_point()}
    assert frozen == buffers


def test_only_plain_operators(digits_cnn):
    nodes, functions = graph_nodes(digits_cnn)
    operators = {node.op for node in nodes} - functions
    assert operators <= set(dir(tf.raw_ops))
    assert not [name for name in operators if name == "XlaCallModule" or "PyFunc" in name]


def test_weights_are_no_constants(digits_cnn):
    nodes, _ = graph_nodes(digits_cnn)
    sizes = {node.name: node.attr["value"].tensor.ByteSize() for node in nodes if node.op == "Const"}
    assert {name: size for name, size in sizes.items() if size > 4096} == {}


def test_loads_without_this_project(from_pt2, tmp_path):
    images = data.digits().test_x[:3]
    np.save(tmp_path / "images.npy", images)
    program = """
import sys
for name in ("translate", "torch", "onnx"):
    sys.modules[name] = None  # any import of it fails
import numpy as np
import tensorflow as tf
signature = tf.saved_model.load(sys.argv[1]).signatures["serving_default"]
(output,) = signature(image=tf.constant(np.load("images.npy"))).values()
np.save("logits.npy", output.numpy())
"""
    # -I: neither the working directory nor PYTHONPATH is on the path.
    subprocess.run([sys.executable, "-I", "-c", program, str(from_pt2)], cwd=tmp_path, check=True, timeout=300)
    np.testing.assert_allclose(np.load(tmp_path / "logits.npy"), serve(from_pt2, images), rtol=1e-5, atol=1e-5)


def test_runs_in_the_c_api(from_pt2):
    """A server in C++, Go or Java loads it as this does; how that is done is tested in tests/models/via."""
    images = data.digits().test_x[:3]
    logits = open_via("c-api", from_pt2).run({"image": images})["output"]
    np.testing.assert_allclose(logits, predict(trained("digits_cnn"), images), rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("name", ["neural_net", "text_classifier", "char_lm"])
def test_other_fixtures(name, tmp_path):
    result = translate.torch2tf(FIXTURES / f"{name}.pt2", tmp_path / "model_tf")
    assert result.passed
    assert len(result.verdict.runs) >= 2
    inputs = {"neural_net": data.digits_28, "text_classifier": data.text_windows}.get(name)
    array = inputs().test_x[:50] if inputs else data.documentation_split()[1][:330].reshape(3, 110)
    expected = predict(trained(name), array)
    np.testing.assert_allclose(
        serve(tmp_path / "model_tf", array), expected, rtol=1e-4, atol=1e-5 * np.abs(expected).max()
    )


def test_command_line(tmp_path):
    def command(*arguments):
        return subprocess.run(
            [
                str(Path(sys.executable).with_name("translate")),
                "torch2tf",
                str(FIXTURES / "digits_cnn.pt2"),
                *arguments,
            ],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=300,
        )

    first = command()
    assert first.returncode == 0, first.stderr
    assert "image" in first.stdout
    assert (tmp_path / "digits_cnn_tf" / "saved_model.pb").is_file()
    images = data.digits().test_x[:5]
    expected = predict(trained("digits_cnn"), images)
    np.testing.assert_allclose(serve(tmp_path / "digits_cnn_tf", images), expected, rtol=1e-5, atol=1e-4)
    again = command()
    assert again.returncode == 2
    assert "--force" in again.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["digits_cnn_tf"]
