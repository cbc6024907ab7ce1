"""The odd options of layers against Keras: axes, groups, padding on odd sizes, shapes that broadcast, masks."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf
import torch
from keras import layers as L

from tests.converters.keras_to_torch.cases import assert_same, feed, randomise, sequential
from tests.converters.keras_to_torch.test_recurrent import again, mask_at, name
from translate.converters.keras_to_torch import convert
from translate.errors import CannotTranslateError

IMAGES = [
    L.Conv2D(4, (1, 3), dilation_rate=(1, 3), padding="same", kernel_initializer="he_normal"),
    L.Conv2D(4, 3, strides=4, padding="same"),
    L.Conv2D(4, 2, strides=3, padding="same", use_bias=False),
    L.Conv2D(8, 3, groups=4, padding="same", strides=2),
    L.DepthwiseConv2D((3, 2), strides=3, depth_multiplier=3, padding="same"),
    L.DepthwiseConv2D(3, dilation_rate=2, depth_multiplier=2, activation="tanh", use_bias=False),
    L.SeparableConv2D(5, (2, 3), dilation_rate=2, depth_multiplier=2, padding="same", use_bias=False),
    L.Conv2DTranspose(3, 3, strides=(3, 2), padding="same", output_padding=(2, 1)),
    L.Conv2DTranspose(3, 3, strides=2, output_padding=1),
    L.Conv2DTranspose(3, 5, strides=1, padding="same", use_bias=False, activation="relu"),
    L.Conv2DTranspose(3, 2, strides=3, padding="same"),
    L.Conv2DTranspose(3, 3, dilation_rate=2, padding="same"),
    L.Conv2DTranspose(3, (2, 3), strides=3, padding="valid"),
    L.MaxPooling2D((3, 1), strides=(2, 3), padding="same"),
    L.MaxPooling2D(5, strides=1, padding="same"),
    L.MaxPooling2D(2, strides=3),
    L.AveragePooling2D(5, strides=3, padding="same"),
    L.AveragePooling2D((1, 4), strides=2, padding="same"),
    L.GlobalMaxPooling2D(keepdims=True),
    L.AdaptiveAveragePooling2D((1, 5)),
    L.AdaptiveAveragePooling2D((5, 4)),
    L.AdaptiveMaxPooling2D((5, 4)),
    L.BatchNormalization(axis=2),
    L.BatchNormalization(axis=-2, center=False, momentum=0.7),
    L.BatchNormalization(synchronized=True),
    L.GroupNormalization(groups=1),
    L.GroupNormalization(groups=2, axis=2, scale=False),
    L.GroupNormalization(groups=4, center=False, epsilon=0.1),
    L.LayerNormalization(axis=[1, 2], epsilon=1e-2),
    L.LayerNormalization(axis=[2, 3], center=False),
    L.LayerNormalization(axis=[-1, 1]),
    L.LayerNormalization(center=False, scale=False),
    L.LayerNormalization(rms_scaling=True),
    L.LayerNormalization(axis=[1, 2], rms_scaling=True),
    L.LayerNormalization(axis=[-1, 2]),
    L.RMSNormalization(axis=[-2, -1], epsilon=0.1),
    L.UnitNormalization(axis=1),
    L.Normalization(axis=(1, -1), mean=np.arange(28.0).reshape(7, 4), variance=np.arange(1.0, 29).reshape(7, 4)),
    L.Normalization(axis=None, mean=2.0, variance=3.0),
    L.Normalization(axis=2, mean=np.arange(6.0), variance=np.ones(6), invert=True),
    L.SpatialDropout2D(0.3, data_format="channels_first"),
    L.AlphaDropout(0.3, noise_shape=(None, 1, 1, 4)),
    L.Dropout(0.3, noise_shape=(None, 1, 6, 1)),
    L.Dropout(0.0),
    L.GaussianDropout(0.0),
    L.GaussianNoise(0.0),
]


@pytest.mark.parametrize("layer", IMAGES, ids=name)
def test_options_on_images(layer):
    assert_same(sequential((7, 6, 4), again(layer)), feed((3, 7, 6, 4)))


OPEN = [
    L.Conv2D(4, 3, strides=2, padding="same", dilation_rate=1, groups=2),
    L.Conv2D(4, 4, strides=3, padding="same"),
    L.DepthwiseConv2D(3, strides=2, padding="same", depth_multiplier=2),
    L.SeparableConv2D(4, 3, strides=2, padding="same"),
    L.Conv2DTranspose(4, 3, strides=2, padding="same", output_padding=1),
    L.Conv2DTranspose(4, 4, strides=3, padding="valid"),
    L.MaxPooling2D(3, strides=2, padding="same"),
    L.AveragePooling2D(3, strides=2, padding="same"),
    L.AveragePooling2D(4, strides=3, padding="same"),
    L.LayerNormalization(),
    L.GroupNormalization(2),
]


@pytest.mark.parametrize("layer", OPEN, ids=name)
def test_options_on_images_of_any_size(layer):
    model = sequential((None, None, 4), again(layer))
    module = assert_same(model, feed((3, 7, 6, 4)))
    for size in [(8, 9), (12, 7), (5, 16)]:
        x = feed((2, *size, 4))
        found = module(torch.from_numpy(x)).detach().numpy()
        np.testing.assert_allclose(found, np.asarray(model(x)), rtol=1e-5, atol=2e-6)


SEQUENCES = [
    L.Conv1D(4, 3, padding="causal", strides=2),
    L.Conv1D(4, 2, padding="causal", dilation_rate=3, groups=2),
    L.Conv1D(4, 4, padding="same", strides=3),
    L.DepthwiseConv1D(3, strides=2, depth_multiplier=2, padding="same"),
    L.DepthwiseConv1D(2, dilation_rate=2),
    L.SeparableConv1D(4, 3, padding="same", strides=2, depth_multiplier=2),
    L.SeparableConv1D(4, 2, strides=2, padding="same"),
    L.Conv1DTranspose(3, 3, strides=2, output_padding=1),
    L.Conv1DTranspose(3, 2, dilation_rate=3, padding="same"),
    L.MaxPooling1D(3, strides=2, padding="same"),
    L.AveragePooling1D(2, strides=3, padding="same"),
    L.GlobalAveragePooling1D(keepdims=True),
    L.GlobalMaxPooling1D(keepdims=True),
    L.AdaptiveMaxPooling1D(3),
    L.AdaptiveAveragePooling1D(7),
    L.BatchNormalization(axis=1),
    L.GroupNormalization(-1, axis=1),
    L.LayerNormalization(axis=1),
    L.TimeDistributed(L.BatchNormalization()),
    L.TimeDistributed(L.LayerNormalization()),
]


@pytest.mark.parametrize("layer", SEQUENCES, ids=name)
def test_options_on_sequences(layer):
    assert_same(sequential((8, 4), again(layer)), feed((3, 8, 4)))


VOLUMES = [
    L.Conv3D(4, (2, 3, 1), strides=(2, 1, 2), padding="same", groups=2),
    L.Conv3D(2, 2, dilation_rate=2),
    L.Conv3DTranspose(2, 3, strides=2, padding="same"),
    L.Conv3DTranspose(2, 3, strides=2, padding="valid", output_padding=1),
    L.MaxPooling3D((2, 3, 1), strides=2, padding="same"),
    L.AveragePooling3D(3, strides=2, padding="same"),
    L.AveragePooling3D((2, 1, 3), padding="valid"),
    L.GlobalAveragePooling3D(keepdims=True),
    L.AdaptiveAveragePooling3D((2, 3, 4)),
    L.AdaptiveMaxPooling3D((3, 2, 2)),
    L.GroupNormalization(2),
    L.BatchNormalization(axis=1),
    L.LayerNormalization(axis=(1, 2, 3)),
]


@pytest.mark.parametrize("layer", VOLUMES, ids=name)
def test_options_on_volumes(layer):
    assert_same(sequential((4, 5, 6, 4), again(layer)), feed((2, 4, 5, 6, 4)))


FIRST = [
    L.AveragePooling2D(3, strides=2, padding="same", data_format="channels_first"),
    L.MaxPooling1D(3, strides=2, padding="same", data_format="channels_first"),
    L.AveragePooling1D(2, data_format="channels_first"),
    L.MaxPooling3D(2, padding="same", data_format="channels_first"),
    L.AveragePooling3D(2, data_format="channels_first"),
    L.GlobalMaxPooling1D(data_format="channels_first"),
    L.GlobalAveragePooling1D(data_format="channels_first", keepdims=True),
    L.GlobalMaxPooling3D(data_format="channels_first"),
    L.GlobalAveragePooling3D(data_format="channels_first"),
    L.AdaptiveAveragePooling1D(3, data_format="channels_first"),
    L.AdaptiveAveragePooling2D(3, data_format="channels_first"),
    L.AdaptiveMaxPooling2D((2, 3), data_format="channels_first"),
    L.AdaptiveMaxPooling3D(2, data_format="channels_first"),
    L.Conv1D(4, 3, padding="same", strides=2, data_format="channels_first"),
    L.Conv1D(4, 3, padding="causal", data_format="channels_first"),
    L.Conv2D(4, 3, padding="same", data_format="channels_first"),
    L.DepthwiseConv1D(3, data_format="channels_first"),
    L.DepthwiseConv2D(3, strides=2, padding="same", depth_multiplier=2, data_format="channels_first"),
    L.SeparableConv1D(4, 3, data_format="channels_first"),
    L.SeparableConv2D(4, 3, padding="same", data_format="channels_first"),
    L.Conv1DTranspose(4, 3, strides=2, data_format="channels_first"),
    L.Conv2DTranspose(4, 3, strides=2, padding="same", data_format="channels_first"),
    L.Conv3D(4, 2, data_format="channels_first"),
    L.Conv3DTranspose(4, 2, strides=2, data_format="channels_first"),
]


@pytest.mark.parametrize("layer", FIRST, ids=name)
def test_channels_first_is_the_same_as_channels_last(layer):
    # TensorFlow lacks most of these kernels on the CPU.
    config = layer.get_config()
    rank = next(int(letter) for letter in type(layer).__name__ if letter.isdigit()) + 2
    sizes = (7, 6, 5)[: rank - 2]
    last = sequential((*sizes, 4), type(layer).from_config(config | {"data_format": "channels_last"}))
    randomise(last)
    first = sequential((4, *sizes), again(layer))
    first.set_weights(last.get_weights())
    x = feed((3, *last.input_shape[1:]))
    module = convert(first)
    y = module(torch.from_numpy(np.moveaxis(x, -1, 1).copy())).detach().numpy()
    expected = np.asarray(last(x))
    expected = np.moveaxis(expected, -1, 1) if expected.ndim > 2 else expected
    np.testing.assert_allclose(y, expected, rtol=1e-5, atol=2e-6)
    assert "permute" not in module.code


def test_a_scale_that_keras_puts_on_the_last_axis():
    # It normalises along the first of two axes of one size.
    assert_same(sequential((4, 6, 4), L.RMSNormalization(axis=1)), feed((3, 4, 6, 4)))


def test_alpha_dropout_with_a_noise_shape_keeps_mean_and_variance():
    module = convert(sequential((40, 50), L.AlphaDropout(0.3, noise_shape=(None, 40, 1)))).train()
    torch.manual_seed(0)
    x = torch.randn(100, 40, 50)
    y = module(x)
    changed = (y - y[..., :1] == 0).all(-1)
    assert changed.float().mean() == pytest.approx(0.3, abs=0.02)
    assert float(y.mean()) == pytest.approx(0, abs=0.03)
    assert float(y.var()) == pytest.approx(1, abs=0.05)


MERGES = [
    (L.Add(), [(5, 1, 3), (1, 4, 3)]),
    (L.Multiply(), [(4,), (3, 4), (2, 3, 4)]),
    (L.Average(), [(3, 4), (4,)]),
    (L.Maximum(), [(4,), (2, 3, 4)]),
    (L.Subtract(), [(3, 4), (4,)]),
    (L.Add(), [(6,), (6,), (6,), (6,)]),
    (L.Dot(axes=1), [(4,), (4, 3)]),
    (L.Dot(axes=(1, 2)), [(4, 3), (5, 4)]),
    (L.Dot(axes=-1, normalize=True), [(2, 4, 3), (5, 3)]),
    (L.Concatenate(axis=-2), [(2, 4, 3), (2, 1, 3)]),
]


@pytest.mark.parametrize(("layer", "shapes"), MERGES, ids=name)
def test_merging_of_shapes_that_broadcast(layer, shapes):
    inputs = [keras.Input(shape) for shape in shapes]
    model = keras.Model(inputs, layer(inputs))
    assert_same(model, *(feed((2, *shape), seed) for seed, shape in enumerate(shapes)))


def test_batch_statistics_leave_masked_steps_out():
    x, mask = keras.Input((5, 3)), keras.Input((5,), dtype="bool")
    norm = L.BatchNormalization(momentum=0.8, name="norm")
    model = keras.Model([x, mask], norm(x, mask=mask))
    randomise(model)
    module = convert(model).train()
    values, counts = feed((4, 5, 3)), mask_at(5, 2, 3, 1)
    found = module(torch.from_numpy(values), torch.from_numpy(counts)).detach().numpy()
    expected = np.asarray(model([values, counts], training=True))
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
    # In evaluation the mask has no effect, and the statistics are those that both have learnt.
    again_found = module.eval()(torch.from_numpy(values), torch.from_numpy(counts)).detach().numpy()
    np.testing.assert_allclose(again_found, np.asarray(model([values, counts])), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    "layer",
    [
        L.Conv2D(4, 3, strides=2, padding="same"),
        L.SeparableConv2D(4, 3, depth_multiplier=2, dilation_rate=2),
        L.Conv2DTranspose(4, 4, strides=3, padding="same"),
        L.GroupNormalization(2),
        L.LayerNormalization(axis=[1, 3]),
        L.AveragePooling2D(3, strides=2, padding="same"),
        L.MaxPooling2D(3, strides=2, padding="same"),
    ],
    ids=name,
)
def test_gradients_are_those_of_keras(layer):
    model = sequential((7, 6, 4), L.Conv2D(4, 1), again(layer))
    randomise(model)
    module = convert(model)
    x = feed((2, 7, 6, 4))
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(model(x) ** 2)
    gradients = tape.gradient(loss, [variable.value for variable in model.trainable_variables])
    module(torch.from_numpy(x)).square().sum().backward()
    tensors, stored = dict(module.named_parameters()), module.meta["stored"]
    names = {id(one.variable): key for key, one in stored.items()}
    for variable, gradient in zip(model.trainable_variables, gradients, strict=True):
        key = names[id(variable)]
        expected = stored[key].get(np.asarray(gradient))
        np.testing.assert_allclose(tensors[key].grad.numpy(), expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (L.Conv2D(4, 3, strides=2, padding="same"), (7, 6, 3)),
        (L.Conv1DTranspose(4, 3, strides=2), (7, 3)),
        (L.Dense(4, activation="relu"), (5, 3)),
    ],
    ids=name,
)
def test_spectral_normalization_changes_the_weight_in_training(layer, shape):
    layer = L.SpectralNormalization(again(layer), power_iterations=2, name="spectral")
    model = sequential(shape, layer)
    randomise(model)
    module = convert(model)
    x = feed((2, *shape))
    for training in (False, True, True, False):
        found = module.train(training)(torch.from_numpy(x))
        expected = np.asarray(model(x, training=training))
        np.testing.assert_allclose(found.detach().numpy(), expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(module.spectral.step.vector_u.numpy(), np.asarray(layer.vector_u), rtol=1e-4, atol=1e-5)


def test_spectral_normalization_of_another_layer_is_refused():
    with pytest.raises(CannotTranslateError, match=r"spectral.*DepthwiseConv2D"):
        convert(sequential((7, 6, 3), L.SpectralNormalization(L.DepthwiseConv2D(3), name="spectral")))
