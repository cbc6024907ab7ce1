"""Keras models: the names of what goes in and comes out, and running them."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from translate.errors import OpenError, UsageError
from translate.models.base import Spec
from translate.models.keras_model import KerasModel
from translate.models.open import open_model


def shown(specs: tuple[Spec, ...]) -> list[str]:
    return [str(spec) for spec in specs]


@pytest.fixture(scope="module")
def two_towers() -> keras.Model:
    """Inputs in a dict, the same layer twice at the end, and open sizes besides the batch."""
    ids = keras.Input((None,), dtype="int32", name="ids")
    signal = keras.Input((None, 4), name="signal.x")
    score = layers.Dense(2, name="score")
    words = layers.GlobalAveragePooling1D()(layers.Embedding(10, 4)(ids))
    return keras.Model({"signal.x": signal, "ids": ids}, [score(layers.LSTM(4)(signal)), score(words)])


def test_names_of_a_functional_model(two_towers: keras.Model) -> None:
    model = open_model(two_towers)
    assert sorted(shown(model.inputs)) == ["ids int32[batch, ids_1]", "signal.x float32[batch, signal_x_1, 4]"]
    # A layer that is called twice makes two outputs of its name.
    assert shown(model.outputs) == ["score float32[?, 2]", "score_1 float32[?, 2]"]


def test_runs_as_keras_does(two_towers: keras.Model) -> None:
    feeds = {"ids": np.arange(6, dtype=np.int32).reshape(3, 2), "signal.x": np.ones((3, 5, 4), np.float32)}
    results = open_model(two_towers).run(feeds)
    first, second = two_towers.predict(feeds, verbose=0)
    np.testing.assert_allclose(results["score"], first, rtol=1e-6)
    np.testing.assert_allclose(results["score_1"], second, rtol=1e-6)
    assert not np.allclose(first, second)


def test_dimensions_can_be_named(two_towers: keras.Model) -> None:
    model = open_model(two_towers, inputs=["ids:rows,words:int32"])
    assert {str(spec) for spec in model.inputs} >= {"ids int32[rows, words]"}


def test_keys_of_a_dict_name_the_outputs() -> None:
    x = keras.Input((3,), name="x")
    model = open_model(keras.Model([x], {"twice": x * 2, "deep": {"sum": x + 1}}))
    assert [spec.name for spec in model.outputs] == ["deep_sum", "twice"]
    results = model.run({"x": np.ones((1, 3), np.float32)})
    assert results["deep_sum"].tolist() == results["twice"].tolist() == [[2, 2, 2]]


def test_inference_mode() -> None:
    model = open_model(keras.Sequential([keras.Input((4,), name="x"), layers.Dropout(0.9, name="y")]))
    x = np.ones((5, 4), np.float32)
    np.testing.assert_array_equal(model.run({"x": x})["y"], x)


def test_perturbing_moves_the_weights_and_restores_them() -> None:
    dense = layers.Dense(8, name="y")
    model = open_model(keras.Sequential([keras.Input((4,), dtype="int32", name="x"), layers.Embedding(9, 4), dense]))
    feeds = {"x": np.arange(8, dtype=np.int32).reshape(2, 4)}
    before = model.run(feeds)["y"]
    moved = model.run_perturbed(feeds, 3)["y"]
    assert 0 < np.abs(moved - before).max() < 1e-6
    np.testing.assert_array_equal(model.run(feeds)["y"], before)
    np.testing.assert_array_equal(model.run_perturbed(feeds, 3)["y"], moved)


class Sum(keras.Model):
    def __init__(self) -> None:
        super().__init__()
        self.dense = layers.Dense(3)

    def call(self, left: tf.Tensor, right: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"sum": self.dense(left) + right}


class Dense(keras.Model):
    def __init__(self) -> None:
        super().__init__()
        self.dense = layers.Dense(3)

    def call(self, image: tf.Tensor, training: bool = False) -> tf.Tensor:
        return self.dense(image) * (100 if training else 1)


def test_a_subclassed_model_takes_what_it_was_built_for() -> None:
    network = Dense()
    expected = network(np.ones((2, 5), np.float32)).numpy()
    model = open_model(network)
    assert shown(model.inputs) == ["image float32[batch, 5]"]
    results = model.run({"image": np.ones((4, 5), np.float32)})
    np.testing.assert_allclose(results["output_0"][:2], expected, rtol=1e-6)


def test_a_subclassed_model_takes_what_is_declared() -> None:
    with pytest.raises(OpenError, match="give its inputs with --input; call takes left, right"):
        open_model(Sum())
    model = open_model(Sum(), inputs=["left:batch,5", "right:batch,3"])
    assert model.run({"left": np.zeros((2, 5), np.float32), "right": np.ones((2, 3), np.float32)})["sum"].min() == 1
    with pytest.raises(UsageError, match="it takes left, right"):
        open_model(Sum(), inputs=["x:batch,5"])
    with pytest.raises(OpenError, match="fails on symbolic inputs left"):
        open_model(Sum(), inputs=["left:batch,5", "right:batch,4"])


def test_text_goes_in() -> None:
    vectorize = layers.TextVectorization(vocabulary=["a", "b"], output_sequence_length=3, name="ids")
    model = open_model(keras.Sequential([keras.Input((), dtype="string", name="text"), vectorize]))
    assert shown(model.inputs) == ["text str[batch]"]
    assert model.run({"text": np.array(["b a", "c"], object)})["ids"].tolist() == [[3, 2, 0], [1, 0, 0]]


def test_another_backend_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    network = keras.Sequential([keras.Input((4,)), layers.Dense(1)])
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    with pytest.raises(OpenError, match="KERAS_BACKEND=tensorflow"):
        KerasModel(network)
