"""Keras models, SavedModels, frozen graphs and live functions: names, order and weights of what they become."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import onnx_ir as ir
import pytest
import tensorflow as tf

from tests.converters.tf_to_onnx.cases import run
from translate.converters.metadata import KIND, STRUCTURE
from translate.converters.tf_to_onnx.models import from_keras, from_model, from_saved_model
from translate.converters.weights import permuted
from translate.errors import CannotTranslateError
from translate.manifest import Manifest, Parameter
from translate.models.open import open_model
from translate.models.tf_graph import GraphModel

L = keras.layers


def weights(model: ir.Model) -> set[str]:
    return {name for name, value in model.graph.initializers.items() if KIND in value.metadata_props}


def names(values: Any) -> list[str]:
    return [str(value.name) for value in values]


@pytest.fixture(scope="module")
def two_inputs() -> keras.Model:
    a, b = keras.Input((7,), name="zz"), keras.Input((5,), name="aa")
    one, two = L.Dense(3, name="d1")(a), L.Dense(4, name="d2")(L.Concatenate()([a, b]))
    return keras.Model([a, b], {"z_out": one, "a_out": two})


def test_keras_names_and_order(two_inputs: keras.Model) -> None:
    opened = open_model(two_inputs)
    model = from_keras(opened)
    assert names(model.graph.inputs) == ["zz", "aa"]
    assert names(model.graph.outputs) == [spec.name for spec in opened.outputs]
    assert set(names(model.graph.outputs)) == {"z_out", "a_out"}
    assert model.metadata_props[STRUCTURE] == "dict"
    assert weights(model) == {"d1.kernel", "d1.bias", "d2.kernel", "d2.bias"}
    feeds = {"zz": np.ones((2, 7), np.float32), "aa": np.ones((2, 5), np.float32)}
    expected = opened.run(feeds)
    for name, array in zip(names(model.graph.outputs), run(model, feeds), strict=True):
        np.testing.assert_allclose(array, expected[name], rtol=1e-5)


def test_the_name_of_a_sequential_is_no_part_of_its_weights() -> None:
    inner = keras.Sequential([L.Dense(3, name="d"), L.BatchNormalization(name="bn")], name="inner")
    model = from_keras(open_model(keras.Sequential([keras.Input((4,)), L.Dense(3, name="d"), inner], name="outer")))
    assert {"d.kernel", "inner.d.kernel", "inner.bn.gamma", "inner.bn.moving_mean"} <= weights(model)
    assert model.graph.initializers["inner.bn.moving_mean"].metadata_props[KIND] == "buffer"


def test_weights_of_one_name_stay_distinct() -> None:
    class Block(keras.layers.Layer):
        def __init__(self) -> None:
            super().__init__(name="block")
            self.inner = [L.Dense(2, name="a"), L.Dense(2, name="b")]

        def call(self, x: Any) -> Any:
            return self.inner[1](self.inner[0](x))

    # Keras calls both variables block/kernel.
    net = keras.Sequential([keras.Input((2,)), Block()])
    model = from_keras(open_model(net))
    assert {name for name in weights(model) if name.endswith("kernel")} == {"block.a.kernel", "block.b.kernel"}
    by_path = {weight.path.partition("/")[2].replace("/", "."): weight.numpy() for weight in net.weights}
    for name in weights(model):
        np.testing.assert_array_equal(model.graph.initializers[name].const_value.numpy(), by_path[name])


def test_a_saved_model_of_keras(two_inputs: keras.Model, tmp_path: Path) -> None:
    two_inputs.export(tmp_path / "model", verbose=False)
    opened = open_model(tmp_path / "model")
    model = from_saved_model(opened)
    assert names(model.graph.inputs) == [spec.name for spec in opened.inputs]
    assert sorted(names(model.graph.outputs)) == ["a_out", "z_out"]
    feeds = {"zz": np.ones((2, 7), np.float32), "aa": np.zeros((2, 5), np.float32)}
    expected = opened.run(feeds)
    for name, array in zip(names(model.graph.outputs), run(model, feeds), strict=True):
        np.testing.assert_allclose(array, expected[name], rtol=1e-5)


def test_the_manifest_gives_weights_their_first_names(tmp_path: Path) -> None:
    module = tf.Module()
    module.kernel = tf.Variable(np.ones((3, 2), np.float32), name="net/kernel")
    spec = tf.TensorSpec([None, 3], tf.float32, "x")
    module.serve = tf.function(lambda x: {"y": x @ module.kernel}, input_signature=[spec])
    tf.saved_model.save(module, str(tmp_path / "model"), {"serving_default": module.serve})
    Manifest(parameters={"net.0.weight": Parameter("net/kernel", None, True)}).write(tmp_path / "model")
    assert weights(from_saved_model(open_model(tmp_path / "model"))) == {"net.0.weight"}


def test_a_frozen_graph(tmp_path: Path) -> None:
    v1 = tf.compat.v1
    with tf.Graph().as_default() as graph:
        x = v1.placeholder(tf.float32, [None, 4], name="x")
        w = tf.constant(np.ones((4, 8), np.float32), name="dense/w")
        tf.nn.relu(tf.matmul(x, w) + tf.constant(np.ones(8, np.float32), name="b"), name="y")
    model = from_model(GraphModel(graph.as_graph_def()))
    assert names(model.graph.inputs) == ["x"] and names(model.graph.outputs) == ["y"]
    assert weights(model) == {"dense.w", "b"} and model.metadata_props[STRUCTURE] == "single"
    assert run(model, {"x": np.ones((2, 4), np.float32)})[0].tolist() == [[5] * 8] * 2


def test_a_live_function() -> None:
    variable = tf.Variable(np.ones((3, 2), np.float32), name="w")
    function = tf.function(lambda x: (x @ variable, x), input_signature=[tf.TensorSpec([None, 3], name="x")])
    model = from_model(open_model(function))
    assert names(model.graph.outputs) == ["output_0", "output_1"] and weights(model) == {"w"}
    assert model.metadata_props[STRUCTURE] == "tuple"
    assert run(model, {"x": np.ones((2, 3), np.float32)})[0].tolist() == [[3, 3], [3, 3]]


def test_changes_of_variables() -> None:
    calls = tf.Variable(0.0, name="calls")
    spec = [tf.TensorSpec([None, 3], name="x")]

    def counted(x: tf.Tensor) -> tf.Tensor:
        calls.assign_add(1.0)
        return x * 2.0

    def counting(x: tf.Tensor) -> tf.Tensor:
        calls.assign_add(1.0)
        return x * calls

    model = from_model(open_model(tf.function(counted, input_signature=spec)))
    assert run(model, {"x": np.ones((1, 3), np.float32)})[0].tolist() == [[2, 2, 2]]
    with pytest.raises(CannotTranslateError, match="changes a variable"):
        from_model(open_model(tf.function(counting, input_signature=spec)))
    # The value before the change is the stored one.
    before = tf.function(lambda x: (x * calls, calls.assign_add(1.0))[0], input_signature=spec)
    assert run(from_model(open_model(before)), {"x": np.ones((1, 3), np.float32)})[0].tolist() == [[0, 0, 0]]


def test_a_default_is_taken_where_it_is_not_named() -> None:
    v1 = tf.compat.v1
    with tf.Graph().as_default() as graph:
        x = v1.placeholder(tf.float32, [None, 2], name="x")
        rate = v1.placeholder_with_default(3.0, [], name="rate")
        tf.multiply(x, rate, name="y")
    fed = np.ones((1, 2), np.float32)
    assert run(from_model(GraphModel(graph.as_graph_def())), {"x": fed})[0].tolist() == [[3, 3]]
    named = from_model(GraphModel(graph.as_graph_def(), ["x", "rate"], ["y"]))
    assert run(named, {"x": fed, "rate": np.asarray(5.0, np.float32)})[0].tolist() == [[5, 5]]


def test_weights_are_read_when_they_are_wanted() -> None:
    net = keras.Sequential([keras.Input((3,)), L.Dense(2, name="d")])
    model = from_keras(open_model(net))
    kernel = net.layers[0].kernel
    # A graph that held copies would be the model's memory once more.
    kernel.assign(np.full((3, 2), 7.0))
    np.testing.assert_array_equal(model.graph.initializers["d.kernel"].const_value.numpy(), np.full((3, 2), 7.0))


def test_what_a_large_weight_is_permuted_to_is_not_kept() -> None:
    made = []

    class Counted(ir.Tensor):
        def numpy(self) -> Any:
            made.append(self.name)
            return super().numpy()

    for size, times in ((4, 1), (600, 2)):
        made.clear()
        array = np.arange(size * 1000, dtype=np.float32).reshape(size, 1000)
        turned = permuted(Counted(array, name="w"), (1, 0), "w")
        assert turned.shape == (1000, size)
        for _ in range(2):
            np.testing.assert_array_equal(turned.numpy(), array.T)
        assert len(made) == times
