"""tf2torch by the layers of a Keras model: which way is taken, what the report says of it, and what comes instead."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
import torch
from click.testing import CliRunner, Result
from keras import layers as L
from torch import nn

from tests.converters.keras_to_torch.cases import randomise
from translate import routes
from translate.cli import main
from translate.converters import keras_to_torch
from translate.errors import CannotTranslateError, UsageError


class Raw(L.Layer):
    """A layer of TensorFlow's own operations."""

    def call(self, x: Any) -> Any:
        return tf.nn.relu(x) + tf.reduce_max(x, axis=-1, keepdims=True)


def mixed() -> Any:
    """Two inputs, a dict of outputs, a model in the model, dropout, a mask, and a layer that goes by its graph."""
    image, ids = keras.Input((9, 8, 3), name="image"), keras.Input((None,), dtype="int32", name="ids")
    stem = keras.Sequential(
        [keras.Input((9, 8, 3)), L.Conv2D(4, 3, strides=2, padding="same", name="conv")], name="stem"
    )
    h = L.GlobalAveragePooling2D()(L.BatchNormalization(name="norm")(stem(image)))
    words = L.LSTM(4, name="memory")(L.Embedding(20, 6, mask_zero=True, name="words")(ids))
    both = Raw(name="raw")(L.Concatenate()([h, words]))
    model = keras.Model([image, ids], {"score": L.Dense(2, name="score")(L.Dropout(0.5)(both)), "words": words})
    randomise(model)
    return model


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def report_of(*arguments: object) -> dict[str, Any]:
    done = run(*arguments, "--json")
    assert done.exit_code == 0, done.output
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("format", ["pt2", "python", "torchscript"])
def test_the_layers_are_the_first_choice(format: str, tmp_path: Path) -> None:
    result = routes.tf2torch(mixed(), tmp_path / "out", format=format)  # type: ignore[arg-type]
    assert result.passed and result.verdict is not None
    assert result.route == "layers"
    assert list(result.by_graph) == ["raw"]
    assert any(note.startswith("layers translated by their graphs: raw: ") for note in result.notes)
    # One at the edge of the image.
    assert result.transposes == 1
    sizes = {tuple(run.sizes.items()) for run in result.verdict.runs}
    assert len(sizes) >= 3


def test_the_module_is_one_of_layers() -> None:
    module = routes.to_torch(mixed())
    assert module.meta["route"] == "layers"
    assert isinstance(module.stem.conv, nn.Conv2d)
    assert isinstance(module.memory.rnn, nn.LSTM)
    assert any(isinstance(part, nn.Dropout) for part in module.children())
    graph = routes.to_torch(mixed(), route="graph")
    assert graph.meta["route"] == "graph"
    assert not any(isinstance(part, nn.Dropout) for part in graph.modules())


def test_the_report_says_which_way_it_was(tmp_path: Path) -> None:
    x = keras.Input((4,), name="x")
    keras.Model(x, L.Dense(2)(x)).save(tmp_path / "model.keras")
    arguments = ("tf2torch", tmp_path / "model.keras", "-o", tmp_path / "out.pt2", "--force")
    by_layers = report_of(*arguments)
    assert (by_layers["route"], by_layers["by_graph"], by_layers["notes"]) == ("layers", {}, [])
    assert report_of(*arguments, "--route", "graph")["route"] == "graph"
    assert (
        report_of("tf2torch", tmp_path / "model.keras", "-o", tmp_path / "x.onnx", "--format", "onnx")["route"]
        == "graph"
    )
    assert "layer by layer" in run(*arguments).output


def refusing(*_: Any, **__: Any) -> Any:
    from translate.errors import Problem

    raise CannotTranslateError("PyTorch", [Problem("Dense", "score", 0, "it is Monday")])


def breaking(*_: Any, **__: Any) -> Any:
    raise KeyError("monday")


def wrong(*arguments: Any, **options: Any) -> Any:
    module = CONVERT(*arguments, **options)
    with torch.no_grad():
        module.score.weight.mul_(1.01)
    return module


CONVERT = keras_to_torch.convert


def small() -> Any:
    x = keras.Input((4,), name="x")
    return keras.Model(x, L.Dense(2, name="score")(x))


@pytest.mark.parametrize(
    ("convert", "said", "format"),
    [
        (refusing, "score (Dense): it is Monday", "pt2"),
        (breaking, "KeyError: 'monday', which is a defect of translate", "pt2"),
        (wrong, "the result was not equal", "python"),
    ],
)
def test_what_the_layers_do_not_do_the_graph_does(
    convert: Any, said: str, format: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keras_to_torch, "convert", convert)
    result = routes.tf2torch(small(), tmp_path / "out", format=format)
    assert result.passed and result.route == "graph" and result.by_graph == {}
    assert any(
        note.startswith("translated by its graph, not layer by layer: ") and said in note for note in result.notes
    )


def test_where_both_ways_fail_both_reasons_are_told(tmp_path: Path) -> None:
    class Odd(L.Layer):
        def call(self, x: Any) -> Any:
            return x + tf.random.stateless_normal(tf.shape(x), [1, 2])

    x = keras.Input((4,), name="x")
    with pytest.raises(CannotTranslateError, match="cannot be translated to") as raised:
        routes.tf2torch(keras.Model(x, Odd(name="odd")(x)), tmp_path / "out.pt2")
    (note,) = raised.value.__notes__
    assert note.startswith("nor can it be translated layer by layer: odd (Odd): ")


def test_layers_that_were_asked_for_are_not_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keras_to_torch, "convert", wrong)
    with pytest.raises(routes.NotEqualError):
        routes.tf2torch(small(), tmp_path / "out.pt2", route="layers")
    monkeypatch.setattr(keras_to_torch, "convert", refusing)
    with pytest.raises(CannotTranslateError, match="it is Monday"):
        routes.tf2torch(small(), tmp_path / "out.pt2", route="layers")
    assert list(tmp_path.iterdir()) == []


def test_only_keras_models_have_layers(tmp_path: Path) -> None:
    module = tf.Module()
    module.run = tf.function(lambda x: x + 1, [tf.TensorSpec([None, 3], tf.float32, "x")])
    tf.saved_model.save(module, str(tmp_path / "saved"), signatures=module.run)
    with pytest.raises(
        UsageError, match="--route layers is for models of Keras 3, and this is a TensorFlow SavedModel"
    ):
        routes.tf2torch(tmp_path / "saved", tmp_path / "out.pt2", route="layers")
    with pytest.raises(UsageError, match="--format onnx writes the source's graph"):
        routes.tf2torch(small(), tmp_path / "out.onnx", format="onnx", route="layers")


def test_frozen_weights_are_counted_as_such(tmp_path: Path) -> None:
    model = mixed()
    model.get_layer("stem").trainable = False
    result = routes.tf2torch(model, tmp_path / "out.pt2", verify=False)
    frozen = 3 * 3 * 3 * 4 + 4
    # Those of the stem, the second bias of the LSTM, and the statistics with their count.
    assert result.frozen == frozen + 4 * 4 + 2 * 4 + 1
    assert result.trainable == sum(int(np.prod(weight.shape)) for weight in model.trainable_weights)


CUSTOM = """
import keras


@keras.saving.register_keras_serializable("shop")
class Scale(keras.layers.Layer):
    def build(self, shape):
        self.factor = self.add_weight(shape=(shape[-1],), initializer="random_normal", name="factor")

    def call(self, x):
        return x * self.factor


class Sine(keras.layers.Layer):
    def call(self, x):
        return keras.ops.sin(x)


def wave(x):
    return keras.ops.cos(x)
"""


@pytest.mark.parametrize("name", ["model.keras", "model.h5"])
def test_custom_objects_are_found_in_a_file(name: str, tmp_path: Path) -> None:
    code, model = tmp_path / f"layers_of_{name.replace('.', '_')}.py", tmp_path / name
    code.write_text(CUSTOM)
    make = f"""
import sys; sys.path.insert(0, {str(tmp_path)!r})
import keras, {code.stem} as own
layers = [keras.Input((4,)), keras.layers.Dense(3, activation=own.wave), own.Scale(), own.Sine()]
keras.Sequential(layers).save({str(model)!r})
"""
    subprocess.run([sys.executable, "-c", make], check=True, capture_output=True)
    arguments = ("tf2torch", model, "-o", tmp_path / "out.pt2")
    missing = run(*arguments)
    assert missing.exit_code == 3 and "--custom-objects" in missing.output
    found = report_of(*arguments, "--custom-objects", code)
    assert found["route"] == "layers"
    assert run("verify", model, tmp_path / "out.pt2", "--custom-objects", code).exit_code == 0


@pytest.mark.parametrize("suffix", ["keras", "h5"])
def test_a_lambda_in_a_wrapper_is_refused(suffix: str, tmp_path: Path) -> None:
    x = keras.Input((6, 4))
    inner = keras.Sequential([keras.Input((4,)), L.Lambda(lambda t: t * 2, name="twice")])
    path = tmp_path / f"model.{suffix}"
    keras.Model(x, L.TimeDistributed(inner)(x)).save(path)
    refused = run("tf2torch", path, "-o", tmp_path / "out.pt2")
    assert refused.exit_code == 3 and "Lambda 'twice'" in refused.output
    assert not (tmp_path / "out.pt2").exists()
