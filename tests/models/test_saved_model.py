"""SavedModels, whoever wrote them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from translate.errors import OpenError, UsageError
from translate.models import Spec, open_model
from translate.models.tf_graph import read_session_graph


class Net(tf.Module):
    def __init__(self) -> None:
        super().__init__()
        self.scale = tf.Variable([1.0, 2.0, 3.0])

    @tf.function(input_signature=[tf.TensorSpec([None, 3], name="x"), tf.TensorSpec([None], tf.string, name="tag")])
    def serve(self, x: tf.Tensor, tag: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"z": x * self.scale, "a": tag}

    @tf.function(input_signature=[tf.TensorSpec(None, name="x")])
    def any_rank(self, x: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"y": x + 1.0}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("saved") / "net"
    net = Net()
    tf.saved_model.save(net, str(path), signatures={"serving_default": net.serve, "other": net.any_rank})
    return path


def test_runs_by_name(folder: Path) -> None:
    model = open_model(folder)
    assert set(model.inputs) == {Spec("x", "float32", (None, 3)), Spec("tag", "str", (None,))}
    assert set(model.outputs) == {Spec("z", "float32", (None, 3)), Spec("a", "str", (None,))}
    result = model.run({"x": np.ones((2, 3), "float32"), "tag": np.array(["a", "b"])})
    np.testing.assert_array_equal(result["z"], [[1, 2, 3]] * 2)
    assert result["a"].tolist() == [b"a", b"b"]
    with pytest.raises(UsageError, match="missing tag"):
        model.run({"x": np.ones((2, 3), "float32")})


def test_other_signature(folder: Path) -> None:
    model = open_model(folder, signature="other")
    assert model.inputs == (Spec("x", "float32", None),)
    assert model.run({"x": np.zeros((2, 1), "float32")})["y"].sum() == 2


def test_refuses(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(OpenError, match="no signature 'none'; it has serving_default, other"):
        open_model(folder, signature="none")
    tf.saved_model.save(tf.Module(), str(tmp_path / "bare"))
    with pytest.raises(OpenError, match="it has none at all"):
        open_model(tmp_path / "bare")
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "saved_model.pb").write_bytes(b"no protobuf at all")
    with pytest.raises(OpenError, match="no readable SavedModel"):
        open_model(tmp_path / "bad")


def test_a_file_without_variables_of_sessions_is_not_taken_apart(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(saved_model_pb2.SavedModel, "FromString", lambda content: pytest.fail("parsed"))
    assert read_session_graph(folder, "serving_default") is None


class Twice(tf.Module):
    """Keeps a copy of its weight that no function reads, as what Keras's `export` writes does, and a table."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = tf.Variable([[2.0]])
        self.copies = [tf.Variable([[2.0]]), tf.Variable(7)]
        pairs = tf.lookup.KeyValueTensorInitializer(["a"], [3.0])
        self.table = tf.lookup.StaticHashTable(pairs, 0.0)

    @tf.function(input_signature=[tf.TensorSpec([None, 1], name="x"), tf.TensorSpec([], tf.string, name="key")])
    def serve(self, x: tf.Tensor, key: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"y": x @ self.weight + self.table.lookup(key)}


def test_weights_that_nothing_reads_take_no_memory(tmp_path: Path) -> None:
    net = Twice()
    tf.saved_model.save(net, str(tmp_path / "net"), signatures={"serving_default": net.serve})
    model = open_model(tmp_path / "net")
    first, whole = model.loaded.copies
    assert first.read_value().shape == (0,) and first.shape == (1, 1)
    assert model.loaded.weight.numpy() == 2 and whole.numpy() == 7
    result = model.run({"x": np.ones((1, 1), "float32"), "key": np.array("a")})
    assert result["y"].item() == 5
