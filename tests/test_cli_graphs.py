"""Frozen graphs on the command line: their ends are named in every command that opens one."""

from __future__ import annotations

import json
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from click.testing import CliRunner, Result

from translate.cli import main
from translate.inspection import inspect
from translate.models import open_model

v1 = tf.compat.v1


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def write_tutorial() -> None:
    """The network of two layers that tutorials of TensorFlow 1 show, its training included, frozen in graph.pb."""
    generator = np.random.default_rng(0)
    with tf.Graph().as_default() as graph, v1.Session() as session:
        x = v1.placeholder(tf.float32, [None, 6], name="x")
        labels = v1.placeholder(tf.float32, [None, 3], name="labels")
        w1 = v1.Variable(generator.normal(size=(6, 8)), dtype=tf.float32, name="w1", use_resource=False)
        b1 = v1.Variable(tf.fill([8], 0.1), name="b1", use_resource=False)
        w2 = v1.Variable(generator.normal(size=(8, 3)), dtype=tf.float32, name="w2", use_resource=False)
        hidden = tf.nn.relu(tf.matmul(x, w1) + b1, name="hidden")
        logits = tf.matmul(hidden, w2, name="logits")
        tf.nn.softmax(logits, name="y")
        tf.reduce_mean(tf.nn.softmax_cross_entropy_with_logits(labels, logits), name="loss")
        session.run(v1.global_variables_initializer())
        frozen = v1.graph_util.convert_variables_to_constants(session, graph.as_graph_def(), ["y", "loss"])
    Path("graph.pb").write_bytes(frozen.SerializeToString())


@pytest.fixture(autouse=True)
def frozen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_tutorial()


def test_the_ends_of_a_frozen_graph_are_named() -> None:
    ends = ("--inputs", "x", "--outputs", "logits,y:0")
    inspected = json.loads(run("inspect", "graph.pb", *ends, "--json").output)
    assert [spec["name"] for spec in inspected["inputs"]] == ["x"]
    assert [spec["name"] for spec in inspected["outputs"]] == ["logits", "y"]
    assert inspected["operators"]["MatMul"] == 2 and inspected["translates_to"] == "PyTorch"
    assert inspected["weights"] == {"trainable": 48 + 8 + 24, "frozen": 0}

    translated = run("tf2torch", "graph.pb", *ends, "--json")
    assert translated.exit_code == 0, translated.output
    assert [spec["name"] for spec in json.loads(translated.output)["outputs"]] == ["logits", "y"]
    for pair in (("graph.pb", "graph.pt2"), ("graph.pt2", "graph.pb")):
        verified = run("verify", *pair, *ends)
        assert verified.exit_code == 0, verified.output
    # By itself the graph ends in y and in the loss, which needs the labels.
    assert run("verify", "graph.pb", "graph.pt2").exit_code == 1

    timed = run("bench", "graph.pb", "graph.pt2", *ends, "--batch", "2", "--seconds", "0.1", "--cold", "--json")
    assert timed.exit_code == 0, timed.output
    assert len(json.loads(timed.output)["timing"]["cold"]) == 2


def test_a_graph_is_fed_in_the_middle() -> None:
    result = run("tf2torch", "graph.pb", "--inputs", "hidden", "--outputs", "y", "-o", "head.pt2", "--json")
    assert result.exit_code == 0, result.output
    report = json.loads(result.output)
    assert [spec["name"] for spec in report["inputs"]] == ["hidden"] and report["weights"]["trainable"] == 24


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (["tf2torch", "graph.pb", "--outputs", "nothing"], "no operation 'nothing'"),
        (["tf2torch", "graph.pb", "--inputs", "labels", "--outputs", "y"], "the outputs need x"),
        (["inspect", "graph.pb", "--inputs", "x:batch,6"], "no output batch; --input says sizes"),
        (["inspect", "module.py:model", "--inputs", "x"], "frozen graphs (.pb), which module.py:model is not"),
        (["verify", "module.py:a", "module.py:b", "--outputs", "y"], "none of these models is one"),
        (["bench", "module.py:a", "--inputs", "x"], "none of these models is one"),
    ],
)
def test_ends_that_do_not_fit_are_refused(command: list[str], said: str) -> None:
    result = run(*command)
    assert result.exit_code == 2, result.output
    assert said in result.output
    assert sorted(path.name for path in Path().iterdir()) == ["graph.pb"]


def test_inspect_says_whether_a_saved_model_translates() -> None:
    class Doubled(tf.Module):
        def __init__(self) -> None:
            self.weight = tf.Variable([[2.0], [3.0]], name="weight")

        @tf.function(input_signature=[tf.TensorSpec([None, 2], tf.float32, name="x")])
        def serve(self, x: tf.Tensor) -> dict[str, tf.Tensor]:
            return {"y": x @ self.weight}

        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="text")])
        def parse(self, text: tf.Tensor) -> dict[str, tf.Tensor]:
            return {"parsed": tf.strings.to_hash_bucket_fast(text, 7)}

    module = Doubled()
    tf.saved_model.save(module, "saved", signatures={"serving_default": module.serve, "parse": module.parse})
    good = json.loads(run("inspect", "saved", "--json").output)
    assert good["translates_to"] == "PyTorch" and good["operators"]["MatMul"] == 1
    assert good["weights"] == {"trainable": 2, "frozen": 0}
    bad = json.loads(run("inspect", "saved", "--signature", "parse", "--json").output)
    assert bad["translates_to"] is None
    assert [problem["operator"] for problem in bad["problems"]] == ["tensorflow::StringToHashBucketFast"]
    assert "tf2torch" in run("inspect", "saved", "--signature", "parse").output


def test_inspect_says_that_layers_translate_where_their_graph_does_not() -> None:
    net = keras.Sequential([keras.Input((3, 2), batch_size=4), keras.layers.LSTM(5, stateful=True)])
    found = inspect(open_model(net), [])
    assert found.translates_to == "PyTorch" and not found.problems

    class Counting(keras.layers.Layer):
        def build(self, shape: tuple[int, ...]) -> None:
            self.count = self.add_weight(shape=(), initializer="zeros", trainable=False, name="count")

        def call(self, x: tf.Tensor) -> tf.Tensor:
            self.count.assign(self.count + 1.0)
            return x * self.count

    refused = inspect(open_model(keras.Sequential([keras.Input((3,)), Counting()])), [])
    assert refused.translates_to is None and refused.problems
