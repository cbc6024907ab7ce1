"""Each row of the table of Keras's layers against Keras, with random weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import torch
from keras import layers as L

from tests.converters.keras_to_torch.cases import assert_same, feed, sequential
from translate.converters.keras_to_torch import convert
from translate.converters.keras_to_torch.document import document
from translate.converters.keras_to_torch.lowerings import TABLE
from translate.errors import CannotTranslateError

IMAGES = [
    L.Conv2D(4, 3),
    L.Conv2D(4, 3, padding="same"),
    L.Conv2D(4, 3, strides=2, padding="same"),
    L.Conv2D(4, (2, 4), strides=(2, 1), padding="same", use_bias=False, activation="relu"),
    L.Conv2D(4, 3, dilation_rate=2, padding="same"),
    L.Conv2D(6, 3, groups=2, activation="softmax"),
    L.DepthwiseConv2D(3, padding="same", depth_multiplier=2),
    L.DepthwiseConv2D(3, strides=2, padding="same"),
    L.SeparableConv2D(5, 3, strides=2, padding="same", depth_multiplier=3, activation="elu"),
    L.Conv2DTranspose(4, 3, strides=2, padding="same"),
    L.Conv2DTranspose(4, 4, strides=2, padding="same"),
    L.Conv2DTranspose(4, 3, strides=2),
    L.Conv2DTranspose(4, 1, strides=3),
    L.Conv2DTranspose(4, 4, strides=2, padding="same", output_padding=1),
    L.Conv2DTranspose(4, 3, dilation_rate=2),
    L.MaxPooling2D(2),
    L.MaxPooling2D(3, strides=2, padding="same"),
    L.AveragePooling2D(3, strides=2, padding="same"),
    L.AveragePooling2D((2, 3), strides=1, padding="same"),
    L.AveragePooling2D(2),
    L.GlobalAveragePooling2D(),
    L.GlobalAveragePooling2D(keepdims=True),
    L.GlobalMaxPooling2D(),
    L.AdaptiveAveragePooling2D(3),
    L.AdaptiveMaxPooling2D((2, 3)),
    L.ZeroPadding2D(((1, 2), (0, 3))),
    L.Cropping2D(((1, 2), (0, 1))),
    L.UpSampling2D((2, 3)),
    L.UpSampling2D(2, interpolation="bilinear"),
    L.Resizing(5, 12),
    L.Resizing(5, 12, interpolation="nearest"),
    L.CenterCrop(4, 3),
    L.BatchNormalization(),
    L.BatchNormalization(scale=False, epsilon=1e-2),
    L.BatchNormalization(center=False, scale=False),
    L.BatchNormalization(axis=1),
    L.GroupNormalization(2),
    L.GroupNormalization(-1),
    L.LayerNormalization(),
    L.LayerNormalization(axis=1),
    L.LayerNormalization(axis=[1, 3], scale=False),
    L.RMSNormalization(),
    L.RMSNormalization(axis=[2, 3]),
    L.UnitNormalization(axis=(1, 2)),
    L.Normalization(mean=[1.0, 2.0, 3.0, 4.0], variance=[1.0, 2.0, 3.0, 0.5]),
    L.Normalization(mean=0.5, variance=2.0, invert=True),
    L.Rescaling(1 / 127.5, offset=-1),
    L.Pipeline([L.Rescaling(2.0), L.Resizing(4, 4)]),
    L.Flatten(),
    L.Reshape((4, -1)),
    L.Reshape((9, 7, 4)),
    L.Permute((3, 1, 2)),
    L.Dense(3),
    L.EinsumDense("abcd,de->abce", output_shape=(None, None, 5), bias_axes="e"),
    L.EinsumDense("abcd,cde->abce", output_shape=(None, 9, 5)),
    L.PReLU(),
    L.PReLU(shared_axes=[1, 2]),
    L.LeakyReLU(0.1),
    L.ELU(0.7),
    L.ReLU(max_value=6),
    L.ReLU(negative_slope=0.1, max_value=1.0, threshold=0.2),
    L.Softmax(axis=1),
    L.Dropout(0.5),
    L.Dropout(0.5, noise_shape=(None, 1, 1, None)),
    L.SpatialDropout2D(0.5),
    L.AlphaDropout(0.2),
    L.GaussianNoise(0.3),
    L.GaussianDropout(0.3),
    L.ActivityRegularization(0.1),
    L.Identity(),
    L.TimeDistributed(L.Conv1D(3, 2)),
]


def names(layer: Any) -> str:
    options = {k: v for k, v in layer.get_config().items() if isinstance(v, bool | int | float | str | tuple)}
    return f"{type(layer).__name__}-{'-'.join(map(str, options.values()))}"[:60]


@pytest.mark.parametrize("layer", IMAGES, ids=names)
def test_layers_on_images_are_the_same(layer):
    assert_same(sequential((7, 9, 4), layer), feed((3, 7, 9, 4)))


@pytest.mark.parametrize("size", [(8, 6), (5, 12)])
@pytest.mark.parametrize("kind", [L.Conv2D, L.SeparableConv2D, L.Conv2DTranspose])
@pytest.mark.parametrize("kernel", [1, 2, 3, 5])
@pytest.mark.parametrize("stride", [1, 2, 3])
def test_same_padding_is_exact_at_every_size(size, kind, kernel, stride):
    layer = kind(3, kernel, strides=stride, padding="same")
    assert_same(sequential((*size, 2), layer), feed((2, *size, 2)))


def test_an_open_image_size_is_padded_as_the_image_needs():
    model = sequential(
        (None, None, 2),
        L.Conv2D(3, 3, strides=2, padding="same"),
        L.MaxPooling2D(3, strides=2, padding="same"),
        L.Conv2DTranspose(3, 3, strides=2, padding="same"),
        L.AveragePooling2D(2, padding="same"),
    )
    module = assert_same(model, feed((2, 9, 8, 2)))
    for height, width in [(8, 9), (7, 12), (16, 5)]:
        x = feed((2, height, width, 2))
        found = module(torch.from_numpy(x)).detach().numpy()
        np.testing.assert_allclose(found, np.asarray(model(x)), rtol=1e-5, atol=1e-6)


CHANNELS_FIRST = [
    L.MaxPooling2D(2, data_format="channels_first"),
    L.GlobalAveragePooling2D(data_format="channels_first"),
    L.ZeroPadding2D(((1, 2), (0, 3)), data_format="channels_first"),
    L.Cropping2D(((1, 2), (0, 1)), data_format="channels_first"),
    L.UpSampling2D(2, data_format="channels_first"),
    L.Flatten(data_format="channels_first"),
    L.BatchNormalization(axis=1),
]


@pytest.mark.parametrize("layer", CHANNELS_FIRST, ids=names)
def test_layers_with_channels_first_are_the_same(layer):
    try:
        assert_same(sequential((4, 7, 9), layer), feed((3, 4, 7, 9)))
    except Exception as error:
        # TensorFlow's own limit, where it shows.
        if "NHWC" in str(error) or "NCHW" in str(error):
            pytest.skip("TensorFlow has no channels-first kernel on the CPU")
        raise


def test_a_channels_first_convolution_reads_its_input_as_it_is():
    last = sequential((7, 9, 4), L.Conv2D(3, 3, strides=2, padding="same", name="conv"))
    first = sequential((4, 7, 9), L.Conv2D(3, 3, strides=2, padding="same", data_format="channels_first", name="conv"))
    first.set_weights(last.get_weights())
    x = feed((2, 7, 9, 4))
    module = convert(first)
    y = module(torch.from_numpy(x.transpose(0, 3, 1, 2).copy())).detach().numpy()
    # TensorFlow has no such kernel on the CPU, but the same layer with channels last.
    np.testing.assert_allclose(y, np.asarray(last(x)).transpose(0, 3, 1, 2), rtol=1e-5, atol=1e-6)
    assert "permute" not in module.code


SEQUENCES = [
    L.Conv1D(4, 3, padding="causal", dilation_rate=2),
    L.Conv1D(4, 3, strides=2, padding="same"),
    L.DepthwiseConv1D(3, padding="same"),
    L.SeparableConv1D(3, 3, padding="same"),
    L.Conv1DTranspose(3, 3, strides=2, padding="same"),
    L.MaxPooling1D(2),
    L.AveragePooling1D(3, strides=2, padding="same"),
    L.GlobalAveragePooling1D(),
    L.GlobalMaxPooling1D(),
    L.AdaptiveAveragePooling1D(2),
    L.AdaptiveMaxPooling1D(2),
    L.ZeroPadding1D((1, 2)),
    L.Cropping1D((1, 2)),
    L.UpSampling1D(2),
    L.SpatialDropout1D(0.5),
    L.BatchNormalization(),
    L.LSTM(4),
    L.LSTM(4, return_sequences=True, use_bias=False),
    L.LSTM(4, go_backwards=True, return_sequences=True),
    L.LSTM(4, activation="relu", recurrent_activation="hard_sigmoid"),
    L.LSTM(4, dropout=0.3),
    L.LSTM(4, return_sequences=True, return_state=True),
    L.GRU(4, return_sequences=True),
    L.GRU(4, reset_after=False, return_sequences=True),
    L.GRU(4, use_bias=False),
    L.GRU(4, return_state=True),
    L.SimpleRNN(4),
    L.SimpleRNN(4, activation="relu", return_sequences=True),
    L.SimpleRNN(4, activation="sigmoid"),
    L.RNN([L.LSTMCell(3), L.GRUCell(4)], return_sequences=True),
    L.RNN(L.SimpleRNNCell(3), return_state=True),
    L.Bidirectional(L.LSTM(4)),
    L.Bidirectional(L.GRU(4, return_sequences=True)),
    L.Bidirectional(L.LSTM(4, return_sequences=True, return_state=True)),
    L.Bidirectional(L.LSTM(4, return_sequences=True), merge_mode="sum"),
    L.Bidirectional(L.LSTM(4, activation="relu"), merge_mode="mul"),
    L.Bidirectional(L.GRU(4), merge_mode="ave"),
    L.Bidirectional(L.GRU(4, return_sequences=True), merge_mode=None),
    L.TimeDistributed(L.Dense(3)),
]


@pytest.mark.parametrize("steps", [6, None], ids=["known", "open"])
@pytest.mark.parametrize("layer", SEQUENCES, ids=names)
def test_layers_on_sequences_are_the_same(layer, steps):
    layer = type(layer).from_config(layer.get_config())
    if steps is None and "Adaptive" in type(layer).__name__:
        pytest.skip("Keras needs the length to pool adaptively")
    assert_same(sequential((steps, 5), layer), feed((3, 6, 5)))


VOLUMES = [
    L.Conv3D(3, 2, strides=2, padding="same"),
    L.Conv3DTranspose(3, 2, strides=2),
    L.MaxPooling3D(2, padding="same"),
    L.AveragePooling3D(2, padding="same"),
    L.GlobalAveragePooling3D(),
    L.GlobalMaxPooling3D(keepdims=True),
    L.AdaptiveAveragePooling3D(2),
    L.AdaptiveMaxPooling3D(2),
    L.ZeroPadding3D((1, 0, 2)),
    L.Cropping3D(((1, 0), (0, 1), (1, 1))),
    L.UpSampling3D(2),
    L.SpatialDropout3D(0.5),
    L.BatchNormalization(),
]


@pytest.mark.parametrize("layer", VOLUMES, ids=names)
def test_layers_on_volumes_are_the_same(layer):
    assert_same(sequential((4, 5, 3, 2), layer), feed((2, 4, 5, 3, 2)))


@pytest.mark.parametrize(
    "layer",
    [
        L.Add(),
        L.Subtract(),
        L.Multiply(),
        L.Average(),
        L.Maximum(),
        L.Minimum(),
        L.Concatenate(),
        L.Concatenate(axis=1),
    ],
    ids=names,
)
def test_layers_that_merge_take_images_in_any_layout(layer):
    image, other = keras.Input((5, 5, 3)), keras.Input((5, 5, 3))
    # One of them comes out of a convolution, and is held with channels first.
    model = keras.Model([image, other], layer([L.Conv2D(3, 3, padding="same")(image), other]))
    assert_same(model, feed((2, 5, 5, 3)), feed((2, 5, 5, 3), 1))


@pytest.mark.parametrize("layer", [L.Dot(axes=(2, 1)), L.Dot(axes=2, normalize=True), L.Dot(axes=-1)], ids=names)
def test_dot(layer):
    axes = layer.axes if isinstance(layer.axes, tuple) else (2, 2)
    x, y = keras.Input((4, 3)), keras.Input((3, 5) if axes == (2, 1) else (5, 3))
    assert_same(keras.Model([x, y], layer([x, y])), feed((2, 4, 3)), feed((2, *y.shape[1:]), 1))


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("scores", [False, True])
@pytest.mark.parametrize(
    "layer",
    [
        L.MultiHeadAttention(2, 3),
        L.MultiHeadAttention(2, 3, value_dim=4, use_bias=False, dropout=0.1, output_shape=6),
        L.GroupQueryAttention(3, 4, 2),
    ],
    ids=names,
)
def test_attention_of_several_heads(layer, causal, scores):
    layer = type(layer).from_config(layer.get_config())
    x, y = keras.Input((4, 5)), keras.Input((6, 5))
    result = layer(x, y, return_attention_scores=scores, use_causal_mask=causal)
    assert_same(keras.Model([x, y], result), feed((2, 4, 5)), feed((2, 6, 5), 1))


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize(
    "layer",
    [L.Attention(use_scale=True), L.Attention(score_mode="concat", dropout=0.1), L.AdditiveAttention()],
    ids=names,
)
def test_attention_of_one_head(layer, causal):
    layer = type(layer).from_config(layer.get_config())
    x, y, z = keras.Input((4, 5)), keras.Input((6, 5)), keras.Input((6, 5))
    model = keras.Model([x, y, z], layer([x, y, z], use_causal_mask=causal))
    assert_same(model, feed((2, 4, 5)), feed((2, 6, 5), 1), feed((2, 6, 5), 2))


def test_initial_states():
    x, h, c = keras.Input((6, 5)), keras.Input((4,)), keras.Input((4,))
    model = keras.Model([x, h, c], L.LSTM(4, return_state=True)(x, initial_state=[h, c]))
    assert_same(model, feed((2, 6, 5)), feed((2, 4), 1), feed((2, 4), 2))


@pytest.mark.parametrize(
    "layer",
    [
        L.CategoryEncoding(6, "one_hot"),
        L.CategoryEncoding(6, "multi_hot"),
        L.CategoryEncoding(6, "count"),
        L.Embedding(6, 3),
    ],
    ids=names,
)
def test_layers_on_numbers_of_categories(layer):
    steps = 1 if getattr(layer, "output_mode", "") == "one_hot" else 5
    ids = np.random.default_rng(0).integers(0, 6, (4, steps)).astype("int32")
    model = sequential((steps,), layer, dtype="int32")
    expected = np.asarray(model(ids))
    np.testing.assert_array_equal(convert(model)(torch.from_numpy(ids)).detach().numpy(), expected)


def test_discretization():
    assert_same(sequential((5,), L.Discretization([-0.5, 0.0, 0.7])), feed((3, 5)))


ACTIVATIONS = sorted(
    name
    for name in dir(keras.activations)
    if not name.startswith("_") and name not in ("get", "serialize", "deserialize", "threshold", "sparsemax")
)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations(name):
    assert_same(sequential((4, 6), L.Conv1D(6, 1), L.Activation(name)), feed((3, 4, 6)))


def test_what_a_row_does_not_cover_is_reported_with_the_layer_and_the_reason():
    model = sequential((5, 4), L.BatchNormalization(renorm=True, name="norm"))
    with pytest.raises(CannotTranslateError, match=r"norm.*renormalisation"):
        convert(model)


def test_every_layer_of_keras_has_a_row_xor_a_reason():
    kinds = {value.__name__ for name in dir(L) if isinstance(value := getattr(L, name), type)}
    rows = {row.name for row in TABLE if row.part == "layers"}
    assert rows <= kinds
    assert not rows & set(TABLE.not_done)
    assert kinds <= rows | set(TABLE.not_done)


def test_every_reason_is_given():
    assert all(len(reason) > 10 for reason in TABLE.not_done.values())


def test_the_document_is_current():
    written = Path(__file__).parents[3] / "docs" / "layers.md"
    assert written.read_text() == document(), "run `make docs`"
