"""Models that Keras has quantized: the integers and scales of the layers, and what they compute."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
import torch
from keras import layers as L
from keras.quantizers import Int4QuantizationConfig, Int8QuantizationConfig

from tests.converters.keras_to_torch.cases import feed, randomise
from translate.converters.keras_to_torch import convert, interface, update_weights
from translate.converters.onnx_to_torch import export
from translate.errors import CannotTranslateError

IDS = np.array([[3, 5, 2, 0, 1, 9], [4, 19, 7, 1, 4, 4]], "int32")

CONFIGS = {
    "int8": "int8",
    "int8 weights only": Int8QuantizationConfig(activation_quantizer=None),
    "int4": "int4",
    "int4 per channel": Int4QuantizationConfig(block_size=-1),
    "int4 in blocks": Int4QuantizationConfig(block_size=4),
    "float8": "float8",
}


def quantize(model: Any, config: Any) -> None:
    if isinstance(config, str):
        model.quantize(config)
    else:
        model.quantize(config=config)


def dense_model() -> Any:
    x = start = keras.Input((5, 12))
    x = L.Dense(7, activation="relu", name="dense")(x)
    x = L.EinsumDense("abc,cde->abde", (None, 2, 3), bias_axes="de", name="einsum")(x)
    model = keras.Model(start, L.EinsumDense("abde,def->abf", (None, 4), name="back")(x))
    randomise(model)
    return model


def assert_close(found: Any, expected: Any) -> None:
    expected = np.asarray(expected)
    np.testing.assert_allclose(found.detach().numpy(), expected, rtol=1e-5, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize("name", CONFIGS)
def test_quantized_products(name):
    model = dense_model()
    x = feed((3, 5, 12))
    before = np.asarray(model(x))
    quantize(model, CONFIGS[name])
    expected = np.asarray(model(x))
    # The quantization makes a difference, or the test would not notice it.
    assert name == "float8" or np.abs(expected - before).max() > 1e-3
    module = convert(model)
    assert_close(module(torch.from_numpy(x)), expected)
    if name != "float8":
        assert module.dense.weight.dtype is torch.int8
        assert {key.partition(".")[2] for key, _ in module.named_parameters()} == {"bias"}
    program = export.exported(module, interface(module))
    assert_close(program.module()(torch.from_numpy(x[:1])), expected[:1])
    update_weights(model, module)
    np.testing.assert_array_equal(np.asarray(model(x)), expected)


@pytest.mark.parametrize("name", ["int8", "int8 weights only", "int4 per channel"])
def test_a_quantized_transformer(name):
    x = ids = keras.Input((6,), dtype="int32")
    x = L.Embedding(20, 8, name="words")(x)
    x = L.Add()([x, L.MultiHeadAttention(2, 4, name="attention")(x, x, use_causal_mask=True)])
    model = keras.Model(ids, L.Dense(3)(L.LayerNormalization()(x)))
    randomise(model)
    quantize(model, CONFIGS[name])
    module = convert(model)
    assert_close(module(torch.from_numpy(IDS)), model(IDS))
    assert module.words.weight.dtype is torch.int8
    assert module.attention.query.weight.dtype is torch.int8


def test_a_quantized_embedding_by_groups_is_refused_by_name():
    ids = keras.Input((6,), dtype="int32")
    model = keras.Model(ids, L.Embedding(20, 8, name="words")(ids))
    model.quantize(config=Int4QuantizationConfig(block_size=4))
    with pytest.raises(CannotTranslateError, match=r"words.*int4 by groups"):
        convert(model)
