"""Recurrent Keras layers: one operator, or a loop over subgraphs."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

from tests.converters.tf_to_onnx.cases import floats, run
from tests.converters.tflite_to_onnx.cases import check, convert, opened, operators, written
from translate.errors import CannotTranslateError
from translate.graphs import to_onnx

SEQUENCE = floats(1, 6, 3)


def recurrent(layer: Any) -> bytes:
    keras.utils.set_random_seed(2)
    inputs = keras.Input(batch_shape=(1, 6, 3))
    model = keras.Model(inputs, layer(inputs))
    return convert(lambda x: model(x), [SEQUENCE])


def lstm(**options: Any) -> bytes:
    """Write the operator that older versions of Keras' LSTM become."""
    generator = np.random.default_rng(3)

    def numbers(*sizes: int) -> np.ndarray[Any, Any]:
        return generator.standard_normal(sizes).astype(np.float32)

    gates = [*(numbers(4, 3) for _ in range(4)), *(numbers(4, 4) for _ in range(4))]
    biases = [numbers(4) for _ in range(4)]
    inputs = [SEQUENCE, *gates, None, None, None, *biases, None, None, (1, 4), (1, 4), None, None, None, None]
    settings = {"fusedActivationFunction": 4, "timeMajor": False} | options
    kind = "UnidirectionalSequenceLSTMOptions"
    return written("UNIDIRECTIONAL_SEQUENCE_LSTM", inputs, [floats(1, 6, 4)], kind=kind, **settings)


def test_an_lstm_is_one_operator() -> None:
    exported = check(lstm(), [SEQUENCE])
    assert [node.op_type for node in exported.graph].count("LSTM") == 1


def test_an_lstm_that_clips_is_refused() -> None:
    with pytest.raises(CannotTranslateError, match="it clips its cell"):
        to_onnx(opened(lstm(cellClip=0.5)), [])


def test_each_run_starts_from_zeros() -> None:
    # The interpreter keeps the state of an LSTM from one run to the next.
    model = opened(lstm())
    feeds = {model.inputs[0].name: np.ones((1, 6, 3), np.float32)}
    first, second = (next(iter(model.run(feeds).values())) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    np.testing.assert_allclose(run(to_onnx(model, []), feeds)[0], second, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("layer", [keras.layers.GRU(4), keras.layers.LSTM(4, return_sequences=True)])
def test_keras_layers_are_a_loop(layer: Any) -> None:
    content = recurrent(layer)
    assert "WHILE" in operators(content)
    check(content, [SEQUENCE])


def test_what_has_no_lowering_is_named_with_its_reason() -> None:
    import tensorflow as tf

    content = convert(lambda x: tf.abs(tf.signal.rfft2d(x)), [floats(1, 4, 4)])
    with pytest.raises(CannotTranslateError, match=r"tflite::RFFT2D.*complex numbers"):
        to_onnx(opened(content), [])
