"""A module that was made of a Keras model learns as the model does: its gradients, and ten steps down a loss."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
import torch
from keras import layers as L

from tests.converters.keras_to_torch.cases import feed, randomise
from translate.converters.keras_to_torch import convert, update_weights

STEPS = 10
RATE = 0.1


def dense() -> Any:
    x = keras.Input((6,))
    return keras.Model(x, L.Dense(3)(L.LeakyReLU()(L.Dense(8, activation="tanh")(x))))


def conv() -> Any:
    x = image = keras.Input((8, 9, 3))
    x = L.BatchNormalization(momentum=0.8)(L.Conv2D(4, 3, strides=2, padding="same", use_bias=False)(x))
    x = L.SeparableConv2D(5, 3, padding="same", activation="relu")(x)
    x = L.Conv2DTranspose(4, 3, strides=2, padding="same")(x)
    x = L.GroupNormalization(2)(L.AveragePooling2D(2, padding="same")(x))
    return keras.Model(image, L.Dense(3)(L.Flatten()(L.PReLU()(x))))


def memory(kind: type[Any], **options: Any) -> Callable[[], Any]:
    def build() -> Any:
        ids = keras.Input((6,), dtype="int32")
        x = L.Embedding(20, 6, mask_zero=True)(ids)
        x = L.Bidirectional(kind(4, return_sequences=True, **options))(x)
        return keras.Model(ids, L.Dense(3)(kind(4, **options)(x)))

    return build


def attention() -> Any:
    ids = keras.Input((6,), dtype="int32")
    x = L.Embedding(20, 8, mask_zero=True)(ids)
    x = L.LayerNormalization()(x + L.MultiHeadAttention(2, 4)(x, x))
    x = L.RMSNormalization()(x + L.Dense(8, activation="gelu")(x))
    x = L.GroupQueryAttention(4, 4, 2)(x, x, use_causal_mask=True)
    return keras.Model(ids, L.GlobalAveragePooling1D()(L.Attention(use_scale=True)([x, x])))


def shared() -> Any:
    """One layer twice, one that is not trained, and one in a model inside."""
    x = keras.Input((6,))
    layer = L.Dense(6, activation="sigmoid")
    inner = keras.Sequential([keras.Input((6,)), L.Dense(4), L.EinsumDense("ab,bc->ac", 5, bias_axes="c")])
    frozen = L.Dense(6)
    frozen.trainable = False
    return keras.Model(x, inner(layer(frozen(layer(x)))))


MODELS: dict[str, Callable[[], Any]] = {
    "dense": dense,
    "conv": conv,
    "lstm": memory(L.LSTM),
    "gru": memory(L.GRU),
    "gru_reset_before": memory(L.GRU, reset_after=False),
    "simple_rnn": memory(L.SimpleRNN),
    "attention": attention,
    "shared": shared,
}
# The last sample is padded to its end, and none is empty.
IDS = np.array([[3, 5, 2, 0, 0, 0], [0, 0, 7, 1, 4, 4], [1, 0, 2, 0, 3, 0], [9, 8, 7, 6, 5, 4]], "int32")


def made(name: str) -> tuple[Any, np.ndarray, np.ndarray]:
    """Return a model with random weights, its inputs and what it is to learn."""
    # So that layers without a name get the same one every time.
    keras.utils.clear_session()
    keras.utils.set_random_seed(0)
    model = MODELS[name]()
    randomise(model)
    x = IDS if model.inputs[0].dtype == "int32" else feed((4, *model.input_shape[1:]))
    return model, x, feed((4, *model.output_shape[1:]), 1)


def keras_step(model: Any, x: np.ndarray, wanted: np.ndarray, training: bool) -> tuple[float, list[Any]]:
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean((model(x, training=training) - wanted) ** 2)
    return float(loss), [tf.convert_to_tensor(g) for g in tape.gradient(loss, model.trainable_variables)]


def torch_loss(module: Any, x: np.ndarray, wanted: np.ndarray) -> torch.Tensor:
    return ((module(torch.from_numpy(x)) - torch.from_numpy(wanted)) ** 2).mean()


@pytest.mark.parametrize("name", MODELS)
def test_gradients_of_every_weight_are_those_of_tensorflow(name):
    model, x, wanted = made(name)
    module = convert(model)
    loss, gradients = keras_step(model, x, wanted, training=False)
    ours = torch_loss(module, x, wanted)
    ours.backward()
    assert ours.item() == pytest.approx(loss, rel=1e-5)
    parameters = dict(module.named_parameters(remove_duplicate=False))
    compared = set()
    # Some are zero but for rounding: that of a key's bias in attention.
    largest = max(float(tf.reduce_max(tf.abs(gradient))) for gradient in gradients)
    for variable, gradient in zip(model.trainable_variables, gradients, strict=True):
        for parameter, stored in module.meta["stored"].items():
            # PyTorch's recurrent layers have a second bias, which stays zero where Keras's have one.
            if stored.variable is variable and parameters[parameter].requires_grad:
                compared.add(id(variable))
                theirs = stored.get(np.asarray(gradient))
                found = parameters[parameter].grad.numpy()
                np.testing.assert_allclose(found, theirs, rtol=1e-4, atol=1e-6 * largest)
    assert compared == set(map(id, model.trainable_variables))
    assert all(p.grad is None for p in parameters.values() if not p.requires_grad)


@pytest.mark.parametrize("name", MODELS)
def test_ten_steps_of_training_go_down_the_same_loss(name):
    model, x, wanted = made(name)
    module = convert(model).train()
    optimiser = torch.optim.SGD([p for p in module.parameters() if p.requires_grad], lr=RATE)
    theirs, ours = [], []
    for _ in range(STEPS):
        loss, gradients = keras_step(model, x, wanted, training=True)
        theirs.append(loss)
        for variable, gradient in zip(model.trainable_variables, gradients, strict=True):
            variable.assign_sub(RATE * gradient)
        optimiser.zero_grad()
        value = torch_loss(module, x, wanted)
        value.backward()
        optimiser.step()
        ours.append(value.item())
    np.testing.assert_allclose(ours, theirs, rtol=1e-4)
    # It has learnt something, or steps that do nothing would pass.
    assert ours[-1] < 0.95 * ours[0]
    # What the module has learnt goes back into Keras: the model is the one that Keras has trained.
    trained = [np.asarray(variable) for variable in model.trainable_variables]
    again, _, _ = made(name)
    twin = convert(again)
    twin.load_state_dict(module.state_dict())
    update_weights(again, twin)
    for variable, expected in zip(again.trainable_variables, trained, strict=True):
        np.testing.assert_allclose(np.asarray(variable), expected, rtol=1e-3, atol=1e-4)
