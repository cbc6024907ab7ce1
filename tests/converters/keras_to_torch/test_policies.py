"""Dtype policies: weights in one precision, the computation in another, as Keras does."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np
import pytest
import torch
from keras import layers as L

from tests.converters.keras_to_torch.cases import feed, randomise, sequential
from translate.converters.keras_to_torch import convert, interface, update_weights
from translate.converters.onnx_to_torch import export

# How far apart neighbouring numbers are, relative to themselves.
STEP = {"float16": 2.0**-10, "bfloat16": 2.0**-7, "float64": 2.0**-52}


@contextmanager
def policy(name: str) -> Iterator[None]:
    """Give the layers that are made meanwhile a dtype policy."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(name)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def image_layers() -> list[Any]:
    return [
        L.Conv2D(4, 3, strides=2, padding="same", activation="relu"),
        L.BatchNormalization(),
        L.DepthwiseConv2D(3, padding="same"),
        L.GroupNormalization(2),
        L.SeparableConv2D(6, 3),
        L.LayerNormalization(),
        L.Conv2DTranspose(4, 3, strides=2),
        L.PReLU(),
        L.AveragePooling2D(2, padding="same"),
        L.RMSNormalization(),
        L.Dense(5, activation="sigmoid"),
        L.EinsumDense("nhwc,cwd->nhd", (None, 3)),
        L.UnitNormalization(),
        L.Softmax(),
    ]


def sequence_layers() -> list[Any]:
    # TensorFlow has no orthogonal matrices in bfloat16.
    options: dict[str, Any] = {"return_sequences": True, "recurrent_initializer": "glorot_uniform"}
    return [
        L.Conv1D(4, 3, padding="causal"),
        L.LSTM(4, **options),
        L.Bidirectional(L.GRU(4, **options)),
        L.SimpleRNN(6, **options),
        L.LayerNormalization(axis=1),
        L.Dense(3),
    ]


def close(found: Any, expected: Any, of: str) -> None:
    """Compare by the steps of a dtype; a few of them come together in a model of a dozen layers."""
    ours, theirs = found.detach().double().numpy(), np.asarray(keras.ops.cast(expected, "float64"))
    assert ours.shape == theirs.shape
    assert np.abs(ours - theirs).max() < 16 * STEP[of] * np.abs(theirs).max()


@pytest.mark.parametrize("name", ["mixed_float16", "mixed_bfloat16", "float16", "bfloat16", "float64"])
@pytest.mark.parametrize(("layers", "shape"), [(image_layers, (9, 10, 3)), (sequence_layers, (6, 3))])
def test_a_policy_is_kept(name, layers, shape):
    with policy(name):
        model = sequential(shape, *layers())
    randomise(model)
    module = convert(model)
    compute = name.removeprefix("mixed_")
    stored = torch.float32 if name.startswith("mixed") else getattr(torch, name)
    assert {parameter.dtype for parameter in module.parameters()} == {stored}
    x = feed((3, *shape)).astype("float32")
    found = module(torch.from_numpy(x))
    assert found.dtype is getattr(torch, compute)
    close(found, model(x), compute)
    # Another batch, from the file's form.
    program = export.exported(module, interface(module))
    close(program.module()(torch.from_numpy(x[:2])), model(x[:2]), compute)


@pytest.mark.parametrize("tied", [True, False], ids=["tied", "untied"])
def test_a_language_model_in_mixed_precision(tied):
    with policy("mixed_bfloat16"):
        x = ids = keras.Input((6,), dtype="int32")
        table = L.ReversibleEmbedding(20, 8, tie_weights=tied, mask_zero=True, logit_soft_cap=5.0)
        x = L.LayerNormalization()(table(x))
        x = L.Add()([x, L.MultiHeadAttention(2, 4)(x, x, use_causal_mask=True)])
        model = keras.Model(ids, table(L.RMSNormalization()(x), reverse=True))
    randomise(model)
    module = convert(model)
    values = np.array([[3, 5, 2, 0, 0, 0], [4, 19, 7, 1, 4, 4]], "int32")
    found, expected = module(torch.from_numpy(values)), model(values)
    assert str(found.dtype) == f"torch.{expected.dtype.name}"
    close(found, expected, "bfloat16")


def test_the_weights_of_mixed_precision_are_trained_in_full():
    with policy("mixed_bfloat16"):
        model = sequential((9, 10, 3), L.Conv2D(4, 3), L.BatchNormalization(), L.Flatten(), L.Dense(2))
    randomise(model)
    module = convert(model).train()
    module(torch.from_numpy(feed((4, 9, 10, 3)))).float().square().mean().backward()
    assert all(parameter.grad is not None and parameter.grad.abs().max() > 0 for parameter in module.parameters())
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.sub_(1e-4 * parameter.grad)
    update_weights(model, module)
    found = module.eval()(torch.from_numpy(feed((2, 9, 10, 3))))
    close(found, model(feed((2, 9, 10, 3))), "bfloat16")
