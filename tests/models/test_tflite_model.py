"""TFLite files: signatures, sizes, quantized interfaces."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from packaging.version import Version

from translate.errors import OpenError, UsageError
from translate.models import tflite_model
from translate.models.archive import identify
from translate.models.device import placement
from translate.models.open import open_model


class Network(tf.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = tf.Variable(np.linspace(-1, 1, 12, dtype=np.float32).reshape(4, 3))

    @tf.function(input_signature=[tf.TensorSpec([None, 4], tf.float32, name="x")])
    def project(self, x: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"y": x @ self.weight, "total": tf.reduce_sum(x)}

    @tf.function(input_signature=[tf.TensorSpec([None, 4], tf.float32, name="x")])
    def negate(self, x: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"negative": -x}

    @tf.function(input_signature=[tf.TensorSpec([None, 2, 2], tf.float32, name="x")])
    def invert(self, x: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"y": tf.linalg.inv(x)}


def convert(folder: Path, *, flex: bool = False, int8: bool = False, **signatures: str) -> Path:
    network = Network()
    tf.saved_model.save(network, folder, signatures={key: getattr(network, name) for key, name in signatures.items()})
    converter = tf.lite.TFLiteConverter.from_saved_model(str(folder), signature_keys=list(signatures))
    if flex:
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS, tf.lite.OpsSet.SELECT_TF_OPS]
    if int8:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: ([np.full((1, 4), v, np.float32)] for v in (-1, 1))
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type, converter.inference_output_type = tf.int8, tf.uint8
    path = folder / "model.tflite"
    path.write_bytes(converter.convert())
    return path


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return convert(tmp_path_factory.mktemp("tflite"), serving_default="project", other="negate")


def test_signature_names_and_open_sizes(path: Path) -> None:
    assert identify(path) == "tflite"
    model = open_model(path)
    assert [str(spec) for spec in model.inputs] == ["x float32[batch, 4]"]
    assert {spec.name: spec.dtype for spec in model.outputs} == {"y": "float32", "total": "float32"}
    for batch in (1, 5, 2):
        x = np.arange(batch * 4, dtype=np.float32).reshape(batch, 4)
        results = model.run({"x": x})
        np.testing.assert_allclose(results["y"], x @ Network().weight.numpy(), rtol=1e-6)
        assert results["total"] == x.sum()


def test_results_are_not_overwritten_by_the_next_call(path: Path) -> None:
    model = open_model(path)
    first = model.run({"x": np.ones((2, 4), np.float32)})["total"]
    model.run({"x": np.zeros((2, 4), np.float32)})
    assert first == 8


def test_perturbing_moves_the_weights_and_restores_them(path: Path) -> None:
    model = open_model(path)
    # Whole numbers stay as they are: what moves is the weight.
    feeds = {"x": np.ones((2, 4), np.float32)}
    before = model.run(feeds)
    moved = model.run_perturbed(feeds, 1)
    assert 0 < np.abs(moved["y"] - before["y"]).max() < 1e-6
    assert moved["total"] == before["total"]
    np.testing.assert_array_equal(model.run(feeds)["y"], before["y"])


def test_another_signature(path: Path) -> None:
    results = open_model(path, signature="other").run({"x": np.ones((1, 4), np.float32)})
    assert results["negative"].tolist() == [[-1] * 4]
    with pytest.raises(OpenError, match="no signature 'third'; it has other, serving_default"):
        open_model(path, signature="third")


def test_quantized_inputs_and_outputs_stay_integers(tmp_path: Path) -> None:
    model = open_model(convert(tmp_path, serving_default="negate", int8=True))
    assert [(model.inputs[0].dtype, model.outputs[0].dtype)] == [("int8", "uint8")]
    low, high = model.run({"x": np.array([[-128] * 4, [127] * 4], np.int8)})["negative"][:, 0]
    assert low > 250
    assert high < 5


def test_a_graph_without_signatures_goes_by_its_tensors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = convert(tmp_path, serving_default="project")
    # Today's converter writes no such files; yesterday's did.
    monkeypatch.setattr(tflite_model, "_choose", lambda *_: None)
    model = open_model(path)
    (x,) = model.inputs
    for batch in (3, 1):
        results = model.run({x.name: np.ones((batch, 4), np.float32)})
        assert sorted(result.shape for result in results.values()) == [(), (batch, 3)]


def test_wrong_feeds_are_named(path: Path) -> None:
    model = open_model(path)
    with pytest.raises(UsageError, match="input x is float64, the file expects float32"):
        model.run({"x": np.ones((1, 4))})
    with pytest.raises(UsageError, match=r"fails on inputs x \[1, 5\]"):
        model.run({"x": np.ones((1, 5), np.float32)})
    with pytest.raises(UsageError, match="TFLite runs on the CPU only"):
        open_model(path, placement=placement("gpu:0"))


@pytest.fixture(scope="module")
def flex(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with an operator that only TensorFlow has."""
    return convert(tmp_path_factory.mktemp("flex"), serving_default="invert", flex=True)


@pytest.mark.skipif(Version(tf.__version__) >= Version("2.20"), reason="Flex operators left its interpreter")
def test_flex_operators_are_run_by_tensorflow(flex: Path) -> None:
    program = """
import sys, numpy as np
from translate.models.open import open_model
model = open_model(sys.argv[1])
print(model.run({"x": 2 * np.eye(2, dtype=np.float32)[None]})["y"].tolist())
"""
    # In a process of its own: here TensorFlow is imported already, which lends LiteRT its operators.
    done = subprocess.run([sys.executable, "-c", program, str(flex)], capture_output=True, text=True, timeout=120)
    assert done.stdout.splitlines()[-1:] == ["[[[0.5, 0.0], [0.0, 0.5]]]"], done.stderr


def test_flex_operators_that_are_missing_are_explained(flex: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def lacking(**_: object) -> object:
        raise RuntimeError("Select TensorFlow op(s), included in the given model, is(are) not supported")

    monkeypatch.setattr(tflite_model, "_litert", lambda: lacking)
    monkeypatch.setattr(tflite_model, "_tensorflow_lite", lambda: lacking)
    with pytest.raises(OpenError, match=r"needs TensorFlow operators \(Flex\)"):
        open_model(flex)


@pytest.mark.parametrize("size", [200, -300])
def test_a_truncated_file_is_refused(path: Path, tmp_path: Path, size: int) -> None:
    (tmp_path / "cut.tflite").write_bytes(path.read_bytes()[:size])
    with pytest.raises(OpenError):
        open_model(tmp_path / "cut.tflite")
