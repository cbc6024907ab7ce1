"""Keras layers, each alone in a model of its own, with the arguments that a model is most likely to give it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.zoo.entry import Entry

Build = Callable[[Any, Any], Any]

_SEQUENCE = (None, 6)
_IMAGE = (8, 8, 4)
_VOLUME = (6, 6, 6, 2)
_VECTOR = (5,)

# name: (shape of the input without the batch, layer of `keras.layers` and the input).
_ONE: dict[str, tuple[tuple[int | None, ...], Build]] = {
    "Dense": (_VECTOR, lambda k, x: k.Dense(3, activation="relu")(x)),
    "EinsumDense": (_SEQUENCE, lambda k, x: k.EinsumDense("abc,cd->abd", (None, 4), bias_axes="d")(x)),
    "Conv1D": (_SEQUENCE, lambda k, x: k.Conv1D(4, 3, padding="causal", dilation_rate=2)(x)),
    "Conv2D": (_IMAGE, lambda k, x: k.Conv2D(6, 3, strides=2, padding="same", activation="swish")(x)),
    "Conv2D_groups": (_IMAGE, lambda k, x: k.Conv2D(6, 3, groups=2, padding="same")(x)),
    "Conv3D": (_VOLUME, lambda k, x: k.Conv3D(4, 3, padding="same")(x)),
    "Conv1DTranspose": (_SEQUENCE, lambda k, x: k.Conv1DTranspose(4, 3, strides=2)(x)),
    "Conv2DTranspose": (_IMAGE, lambda k, x: k.Conv2DTranspose(5, 3, strides=2, padding="same")(x)),
    "Conv3DTranspose": (_VOLUME, lambda k, x: k.Conv3DTranspose(3, 3, strides=2)(x)),
    "DepthwiseConv1D": (_SEQUENCE, lambda k, x: k.DepthwiseConv1D(3, depth_multiplier=2)(x)),
    "DepthwiseConv2D": (_IMAGE, lambda k, x: k.DepthwiseConv2D(3, depth_multiplier=2, padding="same")(x)),
    "SeparableConv1D": (_SEQUENCE, lambda k, x: k.SeparableConv1D(5, 3)(x)),
    "SeparableConv2D": (_IMAGE, lambda k, x: k.SeparableConv2D(5, 3, padding="same")(x)),
    "MaxPooling1D": (_SEQUENCE, lambda k, x: k.MaxPooling1D(2, padding="same")(x)),
    "MaxPooling2D": (_IMAGE, lambda k, x: k.MaxPooling2D(3, strides=2, padding="same")(x)),
    "MaxPooling3D": (_VOLUME, lambda k, x: k.MaxPooling3D(2)(x)),
    "AveragePooling1D": (_SEQUENCE, lambda k, x: k.AveragePooling1D(2)(x)),
    "AveragePooling2D": (_IMAGE, lambda k, x: k.AveragePooling2D(3, strides=2, padding="same")(x)),
    "AveragePooling3D": (_VOLUME, lambda k, x: k.AveragePooling3D(2)(x)),
    "GlobalMaxPooling2D": (_IMAGE, lambda k, x: k.GlobalMaxPooling2D()(x)),
    "GlobalAveragePooling1D": (_SEQUENCE, lambda k, x: k.GlobalAveragePooling1D()(x)),
    "GlobalAveragePooling2D": (_IMAGE, lambda k, x: k.GlobalAveragePooling2D(keepdims=True)(x)),
    "BatchNormalization": (_IMAGE, lambda k, x: k.BatchNormalization()(x)),
    "LayerNormalization": (_SEQUENCE, lambda k, x: k.LayerNormalization()(x)),
    "GroupNormalization": (_IMAGE, lambda k, x: k.GroupNormalization(2)(x)),
    "UnitNormalization": (_VECTOR, lambda k, x: k.UnitNormalization()(x)),
    "SpectralNormalization": (_VECTOR, lambda k, x: k.SpectralNormalization(k.Dense(4))(x)),
    "Normalization": (_VECTOR, lambda k, x: k.Normalization(mean=[0.1] * 5, variance=[2.0] * 5)(x)),
    "Rescaling": (_IMAGE, lambda k, x: k.Rescaling(1 / 127.5, offset=-1)(x)),
    "SimpleRNN": (_SEQUENCE, lambda k, x: k.SimpleRNN(5)(x)),
    "LSTM": (_SEQUENCE, lambda k, x: k.LSTM(5, return_sequences=True)(x)),
    "LSTM_state": (_SEQUENCE, lambda k, x: k.LSTM(5, return_state=True, go_backwards=True)(x)),
    "LSTM_unrolled": ((4, 6), lambda k, x: k.LSTM(5, unroll=True)(x)),
    "GRU": (_SEQUENCE, lambda k, x: k.GRU(5, return_sequences=True)(x)),
    "GRU_reset_before": (_SEQUENCE, lambda k, x: k.GRU(5, reset_after=False)(x)),
    "Bidirectional": (_SEQUENCE, lambda k, x: k.Bidirectional(k.LSTM(5, return_sequences=True))(x)),
    "StackedRNNCells": (_SEQUENCE, lambda k, x: k.RNN([k.LSTMCell(5), k.GRUCell(4)])(x)),
    "ConvLSTM2D": ((4, 6, 6, 2), lambda k, x: k.ConvLSTM2D(3, 3, padding="same")(x)),
    "TimeDistributed": ((None, 8, 8, 3), lambda k, x: k.TimeDistributed(k.Conv2D(4, 3))(x)),
    "Masking": (_SEQUENCE, lambda k, x: k.LSTM(5)(k.Masking()(x))),
    "MultiHeadAttention": (_SEQUENCE, lambda k, x: k.MultiHeadAttention(2, 3)(x, x, use_causal_mask=True)),
    "GroupQueryAttention": (_SEQUENCE, lambda k, x: k.GroupQueryAttention(3, 4, 2)(x, x)),
    "Attention": (_SEQUENCE, lambda k, x: k.Attention(use_scale=True)([x, x])),
    "AdditiveAttention": (_SEQUENCE, lambda k, x: k.AdditiveAttention()([x, x])),
    "ReLU": (_VECTOR, lambda k, x: k.ReLU(6.0, negative_slope=0.1, threshold=0.2)(x)),
    "LeakyReLU": (_VECTOR, lambda k, x: k.LeakyReLU()(x)),
    "PReLU": (_IMAGE, lambda k, x: k.PReLU(shared_axes=[1, 2])(x)),
    "ELU": (_VECTOR, lambda k, x: k.ELU(0.5)(x)),
    "Softmax": (_SEQUENCE, lambda k, x: k.Softmax(axis=1)(x)),
    "gelu": (_VECTOR, lambda k, x: k.Activation("gelu")(x)),
    "mish": (_VECTOR, lambda k, x: k.Activation("mish")(x)),
    "hard_silu": (_VECTOR, lambda k, x: k.Activation("hard_silu")(x)),
    "log_softmax": (_VECTOR, lambda k, x: k.Activation("log_softmax")(x)),
    "Reshape": (_IMAGE, lambda k, x: k.Reshape((16, -1))(x)),
    "Permute": (_IMAGE, lambda k, x: k.Permute((3, 1, 2))(x)),
    "Flatten": (_IMAGE, lambda k, x: k.Flatten()(x)),
    "RepeatVector": (_VECTOR, lambda k, x: k.RepeatVector(3)(x)),
    "UpSampling2D": (_IMAGE, lambda k, x: k.UpSampling2D(2)(x)),
    "UpSampling2D_bilinear": (_IMAGE, lambda k, x: k.UpSampling2D(3, interpolation="bilinear")(x)),
    "Resizing": ((None, None, 3), lambda k, x: k.Resizing(9, 7)(x)),
    "CenterCrop": (_IMAGE, lambda k, x: k.CenterCrop(5, 5)(x)),
    "ZeroPadding2D": (_IMAGE, lambda k, x: k.ZeroPadding2D(((1, 0), (2, 1)))(x)),
    "Cropping2D": (_IMAGE, lambda k, x: k.Cropping2D(((1, 0), (2, 1)))(x)),
    "Dropout": (_VECTOR, lambda k, x: k.Dropout(0.5)(x)),
    "GaussianNoise": (_VECTOR, lambda k, x: k.GaussianNoise(0.5)(x)),
    "Concatenate": (_IMAGE, lambda k, x: k.Concatenate()([x, k.Conv2D(2, 1)(x)])),
    "Multiply": (_IMAGE, lambda k, x: k.Multiply()([x, k.GlobalAveragePooling2D(keepdims=True)(x)])),
    "Dot": (_SEQUENCE, lambda k, x: k.Dot(axes=2, normalize=True)([x, x])),
}


def _tokens(k: Any, x: Any) -> Any:
    return k.LSTM(4)(k.Embedding(20, 6, mask_zero=True)(x))


def _make(name: str, shape: tuple[int | None, ...], build: Build, dtype: str, folder: Path) -> Path:
    import keras
    import numpy as np

    keras.utils.set_random_seed(0)
    x = keras.Input(shape, name="x", dtype=dtype)
    model = keras.Model(x, build(keras.layers, x), name=name)
    generator = np.random.default_rng(0)
    for weight in model.weights:
        if weight.dtype == "float32":
            # Also what starts as zeros or ones; a variance stays positive.
            weight.assign(0.5 + generator.random(weight.shape, np.float32) * (1 if "variance" in weight.name else -0.9))
    path = folder / f"{name}.keras"
    model.save(path)
    return path


LAYERS = {
    f"layer/{name}": Entry("Keras layers", partial(_make, name, shape, build, "float32"))
    for name, (shape, build) in _ONE.items()
} | {"layer/Embedding": Entry("Keras layers", partial(_make, "Embedding", (None,), _tokens, "int32"))}
