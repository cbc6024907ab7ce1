"""Graphs of TensorFlow 1: cut out, with variables of their own, run as TensorFlow ran them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from translate.errors import OpenError, UsageError
from translate.models.base import Spec
from translate.models.open import open_model
from translate.models.saved_model import SavedModel
from translate.models.tf_graph import GraphModel

v1 = tf.compat.v1


def definition(build: Callable[[], Any]) -> Any:
    with tf.Graph().as_default() as graph:
        build()
    return graph.as_graph_def()


def tutorial() -> None:
    """Two layers, with what training needs besides."""
    generator = np.random.default_rng(0)
    x = v1.placeholder(tf.float32, [None, 4], name="x")
    v1.placeholder(tf.float32, [None, 3], name="labels")
    hidden = tf.nn.relu(x @ tf.constant(generator.normal(size=(4, 8)), tf.float32, name="layer1/w"), name="hidden")
    logits = tf.matmul(hidden, tf.constant(generator.normal(size=(8, 3)), tf.float32, name="layer2/w"), name="logits")
    tf.nn.softmax(logits, name="y")


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("graphs") / "frozen.pb"
    path.write_bytes(definition(tutorial).SerializeToString())
    return path


@pytest.fixture(scope="module")
def fed() -> np.ndarray[Any, Any]:
    return np.random.default_rng(1).normal(size=(5, 4)).astype(np.float32)


def in_session(path: Path, feeds: dict[str, Any], output: str) -> Any:
    graph_def = v1.GraphDef.FromString(path.read_bytes())
    with tf.Graph().as_default() as graph, v1.Session(graph=graph) as session:
        tf.import_graph_def(graph_def, name="")
        return session.run(output, feeds)


def test_a_frozen_file(file: Path, fed: np.ndarray[Any, Any]) -> None:
    model = open_model(file)
    assert isinstance(model, GraphModel) and model.kind == "TensorFlow graph"
    # The placeholder of the labels has nothing to do with the output.
    assert model.inputs == (Spec("x", "float32", ("batch", 4)),)
    assert model.outputs == (Spec("y", "float32", (None, 3)),)
    np.testing.assert_allclose(model.run({"x": fed})["y"], in_session(file, {"x:0": fed}, "y:0"), rtol=1e-5)
    assert {variable.name for variable in model.function.graph.variables} == {"layer1/w:0", "layer2/w:0"}


def test_named_ends(file: Path) -> None:
    hidden = np.random.default_rng(2).normal(size=(3, 8)).astype(np.float32)
    model = open_model(file, graph_inputs=["hidden"], graph_outputs=["logits:0", "hidden"])
    assert [spec.name for spec in model.inputs] == ["hidden"]
    assert [spec.name for spec in model.outputs] == ["logits", "hidden"]
    results = model.run({"hidden": hidden})
    np.testing.assert_array_equal(results["hidden"], hidden)
    np.testing.assert_allclose(results["logits"], in_session(file, {"hidden:0": hidden}, "logits:0"), rtol=1e-5)
    # What computes the input is not in it.
    assert [variable.name for variable in model.function.graph.variables] == ["layer2/w:0"]


def test_declared_sizes(file: Path) -> None:
    assert open_model(file, inputs=["x:rows,4"]).inputs[0].shape == ("rows", 4)
    fixed = open_model(file, inputs=["x:6,4"])
    assert fixed.outputs[0].shape == (6, 3)
    with pytest.raises(UsageError, match="the model expects"):
        open_model(file, inputs=["x:batch,4:int64"])


@pytest.mark.parametrize(
    ("inputs", "outputs", "reason"),
    [
        (["x"], ["z"], "no operation 'z'"),
        (["z"], ["y"], "no operation 'z'"),
        (["x"], ["y:1"], "no output 1"),
        (["x"], ["y:first"], "no output first"),
        (["labels"], ["y"], "need x, which is not among the inputs"),
    ],
)
def test_names_that_are_not_there(file: Path, inputs: list[str], outputs: list[str], reason: str) -> None:
    with pytest.raises(UsageError, match=reason):
        open_model(file, graph_inputs=inputs, graph_outputs=outputs)


def test_files_that_are_none(tmp_path: Path, file: Path) -> None:
    damaged = tmp_path / "damaged.pb"
    damaged.write_bytes(file.read_bytes()[:100])
    with pytest.raises(OpenError, match="no readable GraphDef"):
        open_model(damaged)
    foreign = tmp_path / "foreign.pb"
    graph = v1.GraphDef()
    graph.node.add(name="a", op="NobodyKnowsThis")
    foreign.write_bytes(graph.SerializeToString())
    with pytest.raises(OpenError, match="does not accept"):
        open_model(foreign)
    saved = tmp_path / "saved_model.pb"
    saved.write_bytes(b"\x08\x01\x12\x00")
    with pytest.raises(OpenError, match="give the folder"):
        open_model(saved)


def test_weights_move_and_have_gradients(file: Path, fed: np.ndarray[Any, Any]) -> None:
    model = open_model(file)
    before = model.run({"x": fed})["y"]
    moved = model.run_perturbed({"x": fed}, 0)["y"]
    assert 0 < np.abs(moved - before).max() < 1e-5
    np.testing.assert_array_equal(model.run({"x": fed})["y"], before)
    found = model.gradients({"x": fed}, lambda outputs: (float(outputs["y"][:, 0].sum()), {"y": one_hot(outputs["y"])}))
    assert found is not None and set(found.parameters) == {"layer1.w", "layer2.w"}
    assert all(array is not None and np.abs(array).max() > 0 for array in found.parameters.values())


def one_hot(like: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    array = np.zeros_like(like)
    array[:, 0] = 1
    return array


def test_values_by_name(file: Path, fed: np.ndarray[Any, Any]) -> None:
    values = open_model(file).values({"x": fed}, ["logits", "nowhere"])
    assert list(values) == ["logits"]
    np.testing.assert_allclose(values["logits"], in_session(file, {"x:0": fed}, "logits:0"), rtol=1e-5)


def save(folder: Path, value: float, columns: int = 3) -> Path:
    with tf.Graph().as_default(), v1.Session() as session:
        x = v1.placeholder(tf.float32, [None, 2], name="features")
        w = v1.get_variable("w", [2, columns], initializer=v1.constant_initializer(value), use_resource=False)
        session.run(v1.global_variables_initializer())
        v1.saved_model.simple_save(session, str(folder), inputs={"x": x}, outputs={"z": x @ w, "a": x})
    return folder


def test_saved_models_of_sessions_do_not_share_variables(tmp_path: Path) -> None:
    # TensorFlow itself keeps the variables of both under one name.
    first, second = SavedModel(save(tmp_path / "one", 1.0)), SavedModel(save(tmp_path / "two", 2.0, columns=5))
    x = np.ones((4, 2), np.float32)
    assert [spec.name for spec in first.outputs] == ["a", "z"]
    assert first.run({"x": x})["z"].tolist() == [[2.0] * 3] * 4
    assert second.run({"x": x})["z"].tolist() == [[4.0] * 5] * 4
    assert [variable.name for variable in first.function.graph.variables] == ["w:0"]
    with pytest.raises(OpenError, match="no signature 'other'; it has serving_default"):
        SavedModel(tmp_path / "one", "other")
