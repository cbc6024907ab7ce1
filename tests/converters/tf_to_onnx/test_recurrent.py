"""Keras' recurrent layers become one operator; loops that only resemble them stay loops, and are right."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.converters.tf_to_onnx.cases import check, floats, operators, run
from translate.converters.tf_to_onnx.models import from_keras
from translate.models.open import open_model

L = keras.layers
FEATURES, UNITS = 5, 3
# Batch and time.
SIZES = ((3, 5), (1, 9), (4, 1))


def sequential(*layers: Any, masked: bool = False) -> keras.Model:
    x = y = keras.Input((None, FEATURES))
    for layer in ([L.Masking()] if masked else []) + list(layers):
        y = layer(y)
    return keras.Model(x, y)


def with_initial_state(layer: Any, number: int) -> keras.Model:
    x, states = keras.Input((None, FEATURES)), [keras.Input((UNITS,)) for _ in range(number)]
    return keras.Model([x, *states], layer(x, initial_state=states if number > 1 else states[0]))


def of_tokens(layer: Any) -> keras.Model:
    x = keras.Input((None,), dtype="int32")
    return keras.Model(x, layer(L.Embedding(4, FEATURES, mask_zero=True)(x)))


def shared(layer: Any) -> keras.Model:
    inputs = [keras.Input((None, FEATURES)) for _ in range(2)]
    return keras.Model(inputs, [layer(x) for x in inputs])


MODELS: dict[str, tuple[Callable[[], keras.Model], list[str]]] = {
    "lstm": (lambda: sequential(L.LSTM(UNITS)), ["LSTM"]),
    "lstm, all outputs": (lambda: sequential(L.LSTM(UNITS, return_sequences=True, return_state=True)), ["LSTM"]),
    "lstm without bias": (lambda: sequential(L.LSTM(UNITS, use_bias=False)), ["LSTM"]),
    "lstm, backwards": (lambda: sequential(L.LSTM(UNITS, go_backwards=True, return_sequences=True)), ["LSTM"]),
    "lstm, other activation": (lambda: sequential(L.LSTM(UNITS, activation="relu")), ["LSTM"]),
    "lstm from states": (lambda: with_initial_state(L.LSTM(UNITS), 2), ["LSTM"]),
    "lstm twice": (lambda: shared(L.LSTM(UNITS)), ["LSTM", "LSTM"]),
    "lstm of known length": (lambda: keras.Sequential([keras.Input((6, FEATURES)), L.LSTM(UNITS)]), ["LSTM"]),
    "gru": (lambda: sequential(L.GRU(UNITS, return_sequences=True)), ["GRU"]),
    "gru without bias": (lambda: sequential(L.GRU(UNITS, use_bias=False)), ["GRU"]),
    "gru, reset before": (lambda: sequential(L.GRU(UNITS, reset_after=False)), ["GRU"]),
    "gru from a state": (lambda: with_initial_state(L.GRU(UNITS, return_state=True), 1), ["GRU"]),
    "simple": (lambda: sequential(L.SimpleRNN(UNITS)), ["RNN"]),
    "simple, relu": (lambda: sequential(L.SimpleRNN(UNITS, activation="relu", return_sequences=True)), ["RNN"]),
    "cell in a loop": (lambda: sequential(L.RNN(L.GRUCell(UNITS))), ["GRU"]),
    "bidirectional": (lambda: sequential(L.Bidirectional(L.LSTM(UNITS, return_sequences=True))), ["LSTM", "LSTM"]),
    "stack": (lambda: sequential(L.GRU(UNITS, return_sequences=True), L.LSTM(2)), ["GRU", "LSTM"]),
    "masked lstm": (lambda: sequential(L.LSTM(UNITS, return_sequences=True), masked=True), ["LSTM"]),
    "masked gru": (lambda: sequential(L.GRU(UNITS, return_state=True), masked=True), ["GRU"]),
    "masked, from a state": (lambda: masked_from_state(), ["GRU"]),
    "masked bidirectional": (
        lambda: sequential(L.Bidirectional(L.SimpleRNN(UNITS, return_sequences=True)), masked=True),
        ["RNN", "RNN"],
    ),
    "tokens": (lambda: of_tokens(L.LSTM(UNITS)), ["LSTM"]),
    # The memory of each sequence's last step is nowhere in ONNX's result.
    "masked lstm, its memory": (lambda: sequential(L.LSTM(UNITS, return_state=True), masked=True), ["Loop"]),
    "hard sigmoid": (lambda: sequential(L.LSTM(UNITS, activation="hard_sigmoid")), ["Loop"]),
    "two cells in a loop": (lambda: sequential(L.RNN([L.LSTMCell(UNITS), L.LSTMCell(UNITS)])), ["Loop"]),
}


def masked_from_state() -> keras.Model:
    x, state = keras.Input((None, FEATURES)), keras.Input((UNITS,))
    layer = L.GRU(UNITS, return_sequences=True, return_state=True)
    return keras.Model([x, state], layer(L.Masking()(x), initial_state=state))


def draw(spec: Any, batch: int, times: int, masked: bool, generator: np.random.Generator) -> np.ndarray:
    sizes = [batch, *(times if isinstance(size, str) else size for size in spec.shape[1:])]
    if spec.dtype.startswith("int"):
        return generator.integers(0, 4, sizes).astype(spec.dtype)
    array = generator.normal(size=sizes)
    if masked and len(sizes) == 3:
        # Gaps anywhere, and a first sequence that is nothing else.
        array *= generator.random((*sizes[:2], 1)) < 0.6
        array[0] = 0
    return array.astype(spec.dtype)


@pytest.mark.parametrize("name", MODELS)
def test_a_layer_is_one_operator(name: str) -> None:
    make, expected = MODELS[name]
    generator = np.random.default_rng(0)
    net = make()
    net.set_weights([generator.normal(size=weight.shape) * 0.7 for weight in net.get_weights()])
    opened = open_model(net)
    model = from_keras(opened)
    found = [op for op in operators(model) if op in ("LSTM", "GRU", "RNN", "Loop", "Scan")]
    assert sorted(found) == sorted(expected)
    for batch, times in SIZES:
        feeds = {spec.name: draw(spec, batch, times, "masked" in name, generator) for spec in opened.inputs}
        results = opened.run(feeds)
        for value, array in zip(model.graph.outputs, run(model, feeds), strict=True):
            np.testing.assert_allclose(array, results[str(value.name)], rtol=1e-5, atol=1e-6)


def loop(step: Callable[..., Any], x: tf.Tensor, states: int, times: tf.Tensor | None = None) -> Any:
    """Run `step(x, *states)` → (output, *states) over x [T, N, I], from states that are zero."""
    times = tf.shape(x)[0] if times is None else times
    items = tf.TensorArray(tf.float32, size=tf.shape(x)[0]).unstack(x)
    outputs = tf.TensorArray(tf.float32, size=times, element_shape=[None, UNITS])

    def body(time: tf.Tensor, outputs: tf.TensorArray, *before: tf.Tensor) -> Any:
        output, *after = step(items.read(time), *before)
        return time + 1, outputs.write(time, output), *after

    zero = tf.zeros([tf.shape(x)[1], UNITS])
    _, outputs, *last = tf.while_loop(lambda time, *_: time < times, body, (0, outputs, *[zero] * states))
    return outputs.stack(), *last


W, R, B = (
    np.random.default_rng(seed).normal(size=size).astype(np.float32)
    for seed, size in enumerate([(FEATURES, 4 * UNITS), (UNITS, 4 * UNITS), (4 * UNITS,)])
)


def gates(x: tf.Tensor, h: tf.Tensor, number: int = 4) -> list[tf.Tensor]:
    columns = number * UNITS
    return tf.split(x @ W[:, :columns] + h @ R[:, :columns] + B[:columns], number, axis=1)


def lstm(x: tf.Tensor, h: tf.Tensor, c: tf.Tensor) -> Any:
    i, f, g, o = gates(x, h)
    c = tf.sigmoid(f) * c + tf.tanh(g) * tf.sigmoid(i)
    h = tf.sigmoid(o) * tf.tanh(c)
    return h, h, c


def gru(x: tf.Tensor, h: tf.Tensor) -> Any:
    z, r = (tf.sigmoid(gate) for gate in gates(x, h, 2))
    candidate = tf.tanh(x @ W[:, :UNITS] + (r * h) @ R[:, :UNITS])
    h = (1 - z) * candidate + h * z
    return h, h


def lstm_of_the_old_memory(x: tf.Tensor, h: tf.Tensor, c: tf.Tensor) -> Any:
    i, f, g, o = gates(x, h)
    new = tf.sigmoid(f) * c + tf.tanh(g) * tf.sigmoid(i)
    h = tf.sigmoid(o) * tf.tanh(c)
    return h, h, new


def lstm_with_another_gate(x: tf.Tensor, h: tf.Tensor, c: tf.Tensor) -> Any:
    i, f, g, o = gates(x, h)
    c = tf.nn.relu(f) * c + tf.tanh(g) * tf.sigmoid(i)
    h = tf.sigmoid(o) * tf.tanh(c)
    return h, h, c


def lstm_that_shows_its_memory(x: tf.Tensor, h: tf.Tensor, c: tf.Tensor) -> Any:
    _, h, c = lstm(x, h, c)
    return c, h, c


def lstm_of_the_memory(x: tf.Tensor, h: tf.Tensor, c: tf.Tensor) -> Any:
    i, f, g, o = gates(x, c)
    c = tf.sigmoid(f) * c + tf.tanh(g) * tf.sigmoid(i)
    h = tf.sigmoid(o) * tf.tanh(c) + 0 * h
    return h, h, c


def gru_with_two_updates(x: tf.Tensor, h: tf.Tensor) -> Any:
    z, r = (tf.sigmoid(gate) for gate in gates(x, h, 2))
    candidate = tf.tanh(x @ W[:, :UNITS] + (r * h) @ R[:, :UNITS])
    h = (1 - r) * candidate + h * z
    return h, h


def rnn_of_columns_apart(x: tf.Tensor, h: tf.Tensor) -> Any:
    every_second = W[:, ::4][:, :UNITS]
    h = tf.tanh(tf.nn.bias_add(x @ every_second, B[::4]) + h @ R[:, 3 : 3 + UNITS])
    return h, h


def rnn_of_twice_the_input(x: tf.Tensor, h: tf.Tensor) -> Any:
    h = tf.tanh(x @ W[:, :UNITS] + (x + x) @ W[:, :UNITS] + h @ R[:, :UNITS])
    return h, h


def test_a_loop_with_the_arithmetic_of_a_cell() -> None:
    for step, states, op in ((lstm, 2, "LSTM"), (gru, 1, "GRU")):
        model = check(lambda x, s=step, n=states: loop(s, x, n), floats("t", "n", FEATURES))
        assert operators(model).count(op) == 1 and "Loop" not in operators(model)


def test_a_loop_over_the_first_steps_only() -> None:
    model = check(lambda x: loop(lstm, x, 2, tf.shape(x)[0] - 2), floats("t", "n", FEATURES), static=False)
    assert "LSTM" in operators(model)


@pytest.mark.parametrize(
    ("step", "states"),
    [
        (lstm_of_the_old_memory, 2),
        (lstm_with_another_gate, 2),
        (lstm_that_shows_its_memory, 2),
        (lstm_of_the_memory, 2),
        (gru_with_two_updates, 1),
        (rnn_of_twice_the_input, 1),
    ],
)
def test_what_only_resembles_a_cell_stays_a_loop(step: Callable[..., Any], states: int) -> None:
    model = check(lambda x: loop(step, x, states), floats("t", "n", FEATURES), static=False)
    assert "Loop" in operators(model)
    assert not {"LSTM", "GRU", "RNN"} & set(operators(model))


def test_columns_that_are_computed_outside() -> None:
    model = check(lambda x: loop(rnn_of_columns_apart, x, 1), floats("t", "n", FEATURES), static=False)
    assert "Loop" not in operators(model)
