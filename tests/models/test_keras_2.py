"""Files of Keras 2, read as models of Keras 3: the numbers are those of tf_keras, which wrote them."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pytest
import tensorflow as tf

from translate.errors import OpenError, UntrustedError
from translate.models.keras_files import load_keras

old = pytest.importorskip("tf_keras")
L = old.layers


def convolutions() -> Any:
    """Options that Keras 3 has not, or calls otherwise, and layers in layers."""
    deep = old.Sequential([L.Conv2D(2, 3), L.BatchNormalization(), L.Dropout(0.5)], name="deep")
    inner = old.Sequential([L.InputLayer((9, 9, 3)), L.Conv2D(4, 3, kernel_regularizer="l2"), deep], name="inner")
    x = old.Input((9, 9, 3), name="image")
    y = L.DepthwiseConv2D(3, depth_multiplier=2, padding="same", name="block/depthwise")(inner(x))
    y = L.SeparableConv2D(3, 3, activation="swish")(L.LeakyReLU(0.3)(y))
    return old.Model(x, [L.Flatten()(L.Conv2DTranspose(2, 3, strides=2)(y)), inner(x)])


def recurrence() -> Any:
    """What used to be the default of recurrent layers: another hard sigmoid, and another GRU."""
    x = old.Input((None,), dtype="int32", name="ids")
    y = L.Embedding(20, 6, mask_zero=True, input_length=None)(x)
    y = L.LSTM(4, recurrent_activation="hard_sigmoid", return_sequences=True)(y)
    y = L.Bidirectional(L.GRU(4, recurrent_activation="hard_sigmoid", reset_after=False))(y)
    return old.Model(x, L.Activation("hard_sigmoid")(L.Dense(3)(y)))


def functions() -> Any:
    """TensorFlow's functions as layers, on several tensors, with constants, and slices."""
    x, y = old.Input((6, 4), name="x"), old.Input((4,), name="y")
    z = (tf.nn.relu(x) + tf.expand_dims(y, 1))[:, 1:, ::2]
    z = tf.concat([z, 2.0 * z, tf.nn.leaky_relu(z - 0.1)], -1)
    return old.Model([x, y], {"mean": tf.reduce_mean(z, axis=1), "last": z[:, :, -1], "half": L.Dense(2)(z) / 2.0})


def states() -> Any:
    x, first = old.Input((6, 4), name="x"), old.Input((3,), name="first")
    y, hidden, carry = L.LSTM(3, return_state=True, return_sequences=True)(x, initial_state=[first, first])
    y = L.TimeDistributed(L.Dense(5, activation="gelu"))(y)
    attended = L.LayerNormalization()(L.MultiHeadAttention(2, 3)(y, y))
    shared = L.Dense(3, name="shared")
    return old.Model([x, first], {"a": attended, "h": shared(hidden), "c": shared(shared(carry))})


MODELS = [convolutions, recurrence, functions, states]


def made(make: Callable[[], Any]) -> Any:
    """Make a model, with weights of which none is like another."""
    model = make()
    generator = np.random.default_rng(0)
    for weight in model.weights:
        if "float" in weight.dtype.name:
            weight.assign(generator.uniform(0.1, 0.6, weight.shape) * generator.choice([1, -1], weight.shape))
        if "variance" in weight.name:
            weight.assign(np.abs(weight))
    return model


def feeds(model: Any) -> list[Any]:
    generator = np.random.default_rng(1)
    shapes = [[3 if axis == 0 else size or 7 for axis, size in enumerate(one.shape)] for one in model.inputs]
    return [
        generator.integers(0, 9, shape).astype("int32")
        if one.dtype.name == "int32"
        else generator.normal(size=shape).astype("float32")
        for one, shape in zip(model.inputs, shapes, strict=True)
    ]


@pytest.mark.parametrize("suffix", ["h5", "keras"])
@pytest.mark.parametrize("make", MODELS)
def test_a_model_is_the_same(
    make: Callable[[], Any], suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = made(make)
    path = tmp_path / f"model.{suffix}"
    model.save(path)
    monkeypatch.setitem(sys.modules, "tf_keras", None)
    notes: list[str] = []
    again = load_keras(path, unsafe_load=False, notes=notes)
    assert isinstance(again, keras.Model) and notes == []
    values = feeds(model)
    values = values if len(values) > 1 else values[0]
    expected, found = keras.tree.flatten(model(values)), keras.tree.flatten(again(values))
    assert len(expected) == len(found)
    for one, other in zip(expected, found, strict=True):
        np.testing.assert_allclose(np.asarray(other), np.asarray(one), rtol=1e-5, atol=1e-6)
    assert [tensor.name for tensor in again.inputs] == [tensor.name for tensor in model.inputs]


def test_the_hard_sigmoids_differ() -> None:
    """Or the test of recurrent layers would prove nothing."""
    x = np.linspace(-3, 3, 9, dtype="float32")
    ours, theirs = keras.activations.hard_sigmoid(x), old.activations.hard_sigmoid(tf.constant(x))
    assert np.abs(np.asarray(ours) - np.asarray(theirs)).max() > 0.05


def test_a_sequential_of_a_list_and_an_old_gru(tmp_path: Path) -> None:
    """As Keras 2.0 wrote it: no name, no `reset_after`."""
    model = made(lambda: old.Sequential([L.GRU(3, reset_after=False, input_shape=(5, 2)), L.Dense(2)]))
    model.save(tmp_path / "model.h5")
    with h5py.File(tmp_path / "model.h5", "r+") as file:
        config = json.loads(file.attrs["model_config"])
        layers = [layer for layer in config["config"]["layers"] if layer["class_name"] != "InputLayer"]
        layers[0]["config"]["batch_input_shape"] = [None, 5, 2]
        del layers[0]["config"]["reset_after"]
        file.attrs["model_config"] = json.dumps({"class_name": "Sequential", "config": layers})
        file.attrs["keras_version"] = "2.0.6"
    again = load_keras(tmp_path / "model.h5", unsafe_load=False, notes=[])
    (x,) = feeds(model)
    np.testing.assert_allclose(np.asarray(again(x)), np.asarray(model(x)), rtol=1e-5, atol=1e-6)


def change(path: Path, old_text: str, new_text: str) -> None:
    with h5py.File(path, "r+") as file:
        config = file.attrs["model_config"]
        assert old_text in config
        file.attrs["model_config"] = config.replace(old_text, new_text)


@pytest.mark.parametrize(
    ("old_text", "new_text"),
    [
        ('"use_bias": true', '"use_bias": true, "sharpness": 3'),
        ('"activation": "linear"', '"activation": "unheard_of"'),
        ('"class_name": "Dense"', '"class_name": "Densest"'),
    ],
)
def test_what_is_not_known_is_not_guessed(
    old_text: str, new_text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "model.h5"
    old.Sequential([L.Dense(3, input_shape=(4,), name="first"), L.Dense(3, name="second")]).save(path)
    change(path, old_text, new_text)
    monkeypatch.setitem(sys.modules, "tf_keras", None)
    with pytest.raises(OpenError):
        load_keras(path, unsafe_load=False, notes=[])


def test_a_function_that_does_more_than_compute_is_refused(tmp_path: Path) -> None:
    """TensorFlow's own would write a file when the model is called."""
    path = tmp_path / "model.h5"
    x = old.Input((4,))
    old.Model(x, L.Dense(2)(tf.math.erfinv(x))).save(path)
    change(path, '"function": "math.erfinv"', '"function": "io.write_file"')
    with pytest.raises(UntrustedError, match=r"tf\.io\.write_file"):
        load_keras(path, unsafe_load=False, notes=[])


@pytest.mark.parametrize("suffix", ["h5", "keras"])
def test_a_lambda_in_a_wrapper_is_refused(suffix: str, tmp_path: Path) -> None:
    x = old.Input((6, 4))
    model = old.Model(x, L.TimeDistributed(L.Lambda(lambda t: t * 2, name="twice"))(x))
    path = tmp_path / f"model.{suffix}"
    model.save(path)
    with pytest.raises(UntrustedError, match="Lambda 'twice'"):
        load_keras(path, unsafe_load=False, notes=[])
    values = feeds(model)[0]
    again = load_keras(path, unsafe_load=True, notes=[])
    np.testing.assert_array_equal(np.asarray(again(values)), 2 * values)
