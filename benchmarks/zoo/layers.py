"""Every layer of `keras.layers` in a model of its own, with each of its odd options.

Each is a `.keras` file, which is translated layer by layer; some are SavedModels, too, which are by their graph.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from benchmarks.zoo.entry import Entry
from benchmarks.zoo.made import L, Made, Row

_VECTOR = (6,)
_STEPS = (None, 6)
_KNOWN_STEPS = (7, 6)
_IMAGE = (7, 9, 4)
_OPEN_IMAGE = (None, None, 4)
_FIRST = (4, 7, 9)
_VOLUME = (5, 6, 4, 2)
_MASKED = L.Masking()
_WORDS = L.Embedding(20, 6, mask_zero=True)


def _on(shape: Sequence[int | None], *layers: Made) -> list[Row]:
    return [Row(layer, (tuple(shape),)) for layer in layers]


_DENSE = [
    *_on(
        _VECTOR,
        L.Dense(3),
        L.Dense(3, activation="relu", use_bias=False),
        L.EinsumDense("ab,bc->ac", 4, bias_axes="c"),
        L.SpectralNormalization(L.Dense(4)),
        L.Identity(),
        L.ActivityRegularization(0.1),
        L.Pipeline([L.Dense(4), L.ReLU()]),
    ),
    *_on(
        _STEPS,
        L.Dense(3, activation="softmax"),
        L.EinsumDense("abc,cd->abd", (None, 4), bias_axes="d"),
        L.EinsumDense("abc,cde->abde", (None, 2, 3), bias_axes="de"),
        L.EinsumDense("abc,cd->adb", (4, None)),
    ),
    # With an open number of steps, Keras 3.15 takes the batch's size for it wherever TensorFlow traces it.
    *_on(_KNOWN_STEPS, L.TimeDistributed(L.Dense(3))),
    *_on((3, 8, 8, 3), L.TimeDistributed(L.Conv2D(4, 3)), L.TimeDistributed(L.MaxPooling2D(2))),
]

_CONVOLUTIONS = [
    *_on(
        _STEPS,
        L.Conv1D(4, 3),
        L.Conv1D(4, 3, padding="causal", dilation_rate=2),
        L.Conv1D(4, 3, padding="causal", strides=2),
        L.Conv1D(4, 4, strides=3, padding="same"),
        L.Conv1D(4, 3, groups=2, padding="same", activation="gelu"),
        L.Conv1DTranspose(4, 3, strides=2),
        L.Conv1DTranspose(4, 4, strides=3, padding="same"),
        L.Conv1DTranspose(4, 3, strides=2, padding="same", output_padding=1),
        L.DepthwiseConv1D(3, depth_multiplier=2),
        L.DepthwiseConv1D(3, padding="same", strides=2),
        L.DepthwiseConv1D(3, padding="same", dilation_rate=2),
        L.SeparableConv1D(5, 3),
        L.SeparableConv1D(5, 4, padding="same", strides=2, depth_multiplier=2),
    ),
    *_on(
        _IMAGE,
        L.Conv2D(6, 3),
        L.Conv2D(6, 3, padding="same"),
        L.Conv2D(6, 3, strides=2, padding="same", activation="swish"),
        L.Conv2D(6, (2, 4), strides=(3, 2), padding="same", use_bias=False),
        L.Conv2D(6, 3, dilation_rate=2, padding="same"),
        L.Conv2D(6, 3, dilation_rate=(1, 3)),
        L.Conv2D(6, 3, groups=2, padding="same"),
        L.Conv2D(8, 3, groups=4, strides=2),
        L.Conv2DTranspose(5, 3),
        L.Conv2DTranspose(5, 3, strides=2, padding="same"),
        L.Conv2DTranspose(5, 2, strides=3, padding="same"),
        L.Conv2DTranspose(5, (2, 4), strides=(1, 2)),
        L.Conv2DTranspose(5, 3, strides=2, padding="same", output_padding=1),
        L.Conv2DTranspose(5, 3, dilation_rate=2),
        L.DepthwiseConv2D(3),
        L.DepthwiseConv2D(3, strides=2, padding="same", depth_multiplier=2),
        L.DepthwiseConv2D(3, dilation_rate=2, padding="same"),
        L.SeparableConv2D(5, 3, padding="same"),
        L.SeparableConv2D(5, 3, strides=2, depth_multiplier=2, activation="elu"),
        L.SeparableConv2D(5, 3, dilation_rate=2, padding="same", use_bias=False),
        L.SpectralNormalization(L.Conv2D(4, 3)),
    ),
    *_on(
        _OPEN_IMAGE,
        L.Conv2D(6, 3, strides=2, padding="same"),
        L.Conv2DTranspose(5, 3, strides=2, padding="same"),
        L.DepthwiseConv2D(3, strides=2, padding="same"),
    ),
    *_on(
        _VOLUME,
        L.Conv3D(4, 3, padding="same"),
        L.Conv3D(4, 2, strides=2, padding="same", use_bias=False),
        L.Conv3D(4, (1, 2, 2), dilation_rate=(1, 1, 2)),
        L.Conv3D(4, 2, groups=2),
        L.Conv3DTranspose(3, 3, strides=2),
        L.Conv3DTranspose(3, 2, strides=(1, 2, 3), padding="same"),
    ),
]

_POOLS = [
    *_on(
        _STEPS,
        L.MaxPooling1D(2),
        L.MaxPooling1D(3, strides=2, padding="same"),
        L.AveragePooling1D(2),
        L.AveragePooling1D(3, strides=2, padding="same"),
        L.GlobalMaxPooling1D(),
        L.GlobalAveragePooling1D(),
        L.GlobalAveragePooling1D(keepdims=True),
        L.UpSampling1D(3),
        L.ZeroPadding1D((1, 2)),
        L.Cropping1D((1, 2)),
    ),
    *_on(_KNOWN_STEPS, L.AdaptiveAveragePooling1D(3), L.AdaptiveMaxPooling1D(3)),
    Row(L.GlobalAveragePooling1D(), (_STEPS,), before=_MASKED),
    *_on(_KNOWN_STEPS, L.GlobalAveragePooling1D(data_format="channels_first")),
    *_on(
        _IMAGE,
        L.MaxPooling2D(),
        L.MaxPooling2D(3, strides=2, padding="same"),
        L.MaxPooling2D((2, 3), strides=1),
        L.AveragePooling2D(2),
        L.AveragePooling2D(3, strides=2, padding="same"),
        L.AveragePooling2D((2, 3), strides=1, padding="same"),
        L.GlobalMaxPooling2D(),
        L.GlobalMaxPooling2D(keepdims=True),
        L.GlobalAveragePooling2D(),
        L.GlobalAveragePooling2D(keepdims=True),
        L.AdaptiveAveragePooling2D(3),
        L.AdaptiveMaxPooling2D((2, 4)),
        L.UpSampling2D((2, 3)),
        L.UpSampling2D(2, interpolation="bilinear"),
        L.UpSampling2D(2, interpolation="bicubic"),
        L.UpSampling2D(2, interpolation="lanczos3"),
        L.ZeroPadding2D(((1, 2), (0, 3))),
        L.Cropping2D(((1, 2), (0, 1))),
    ),
    *_on(
        _OPEN_IMAGE,
        L.MaxPooling2D(3, strides=2, padding="same"),
        L.AveragePooling2D(3, strides=2, padding="same"),
        L.GlobalAveragePooling2D(),
    ),
    *_on(
        _FIRST,
        L.GlobalAveragePooling2D(data_format="channels_first"),
        L.GlobalMaxPooling2D(data_format="channels_first", keepdims=True),
        L.ZeroPadding2D(1, data_format="channels_first"),
        L.Cropping2D(((1, 2), (0, 1)), data_format="channels_first"),
        L.UpSampling2D(2, data_format="channels_first"),
    ),
    *_on(
        _VOLUME,
        L.MaxPooling3D(2),
        L.MaxPooling3D(2, strides=1, padding="same"),
        L.AveragePooling3D(2),
        L.AveragePooling3D(3, strides=2, padding="same"),
        L.GlobalMaxPooling3D(),
        L.GlobalAveragePooling3D(keepdims=True),
        L.AdaptiveAveragePooling3D(2),
        L.AdaptiveMaxPooling3D((2, 3, 2)),
        L.UpSampling3D(2),
        L.ZeroPadding3D((1, 0, 2)),
        L.Cropping3D(((1, 0), (0, 1), (1, 1))),
    ),
]

_NORMALISATIONS = [
    *_on(
        _IMAGE,
        L.BatchNormalization(),
        L.BatchNormalization(scale=False, epsilon=1e-2, momentum=0.9),
        L.BatchNormalization(center=False),
        L.BatchNormalization(axis=1),
        L.GroupNormalization(2),
        L.GroupNormalization(-1),
        L.GroupNormalization(2, scale=False, center=False),
        L.LayerNormalization(),
        L.LayerNormalization(axis=[1, 2, 3]),
        L.LayerNormalization(axis=1, center=False),
        L.RMSNormalization(),
        L.RMSNormalization(axis=[2, 3]),
        L.UnitNormalization(axis=(1, 2)),
        L.Normalization(mean=[1.0, 2.0, 3.0, 4.0], variance=[1.0, 2.0, 3.0, 0.5]),
        L.Rescaling(1 / 127.5, offset=-1),
    ),
    *_on(
        _STEPS,
        L.BatchNormalization(),
        L.LayerNormalization(epsilon=1e-6),
        L.LayerNormalization(scale=False),
        L.GroupNormalization(3),
        L.RMSNormalization(),
    ),
    *_on(
        _VECTOR,
        L.BatchNormalization(),
        L.LayerNormalization(),
        L.UnitNormalization(),
        L.Normalization(mean=[0.1] * 6, variance=[2.0] * 6),
        L.Normalization(mean=0.5, variance=2.0, axis=None, invert=True),
        L.Rescaling(0.5),
    ),
    *_on(_VOLUME, L.BatchNormalization(), L.LayerNormalization(), L.GroupNormalization(1)),
    Row(L.BatchNormalization(), (_STEPS,), before=_MASKED),
]

_CELLS = [
    L.LSTM(5),
    L.LSTM(5, return_sequences=True),
    L.LSTM(5, return_sequences=True, return_state=True),
    L.LSTM(5, go_backwards=True, return_state=True),
    L.LSTM(5, activation="relu", recurrent_activation="hard_sigmoid", use_bias=False),
    L.LSTM(5, dropout=0.3),
    L.LSTM(5, recurrent_dropout=0.3),
    L.GRU(5),
    L.GRU(5, return_sequences=True),
    L.GRU(5, reset_after=False, return_sequences=True),
    L.GRU(5, return_state=True, go_backwards=True),
    L.GRU(5, use_bias=False),
    L.SimpleRNN(5),
    L.SimpleRNN(5, activation="relu", return_sequences=True, return_state=True),
    L.RNN([L.LSTMCell(5), L.GRUCell(4)]),
    L.RNN(L.StackedRNNCells([L.SimpleRNNCell(5), L.GRUCell(4)]), return_sequences=True),
    L.Bidirectional(L.LSTM(5)),
    L.Bidirectional(L.LSTM(5, return_sequences=True)),
    L.Bidirectional(L.LSTM(5, return_sequences=True, return_state=True)),
    L.Bidirectional(L.GRU(5, return_sequences=True), merge_mode="sum"),
    L.Bidirectional(L.GRU(5), merge_mode="mul"),
    L.Bidirectional(L.SimpleRNN(5, return_sequences=True), merge_mode="ave"),
    L.Bidirectional(L.LSTM(5, return_sequences=True), merge_mode=None),
    L.Bidirectional(
        L.LSTM(5, return_sequences=True), backward_layer=L.GRU(5, return_sequences=True, go_backwards=True)
    ),
]
_RECURRENT = [
    *_on(_STEPS, *_CELLS),
    Row(L.TimeDistributed(L.Dense(3)), (_KNOWN_STEPS,), before=_MASKED),
    *(Row(cell, (_STEPS,), before=_MASKED) for cell in _CELLS),
    *(Row(cell, ((None,),), integers=20, before=_WORDS) for cell in (L.LSTM(5), L.Bidirectional(L.GRU(5)))),
    *_on((4, 6), L.LSTM(5, unroll=True), L.GRU(5, unroll=True, return_sequences=True)),
    *_on(
        (4, 6, 2),
        L.ConvLSTM1D(3, 3),
        L.ConvLSTM1D(3, 2, padding="same", return_sequences=True),
    ),
    *_on(
        (4, 6, 5, 2),
        L.ConvLSTM2D(3, 3),
        L.ConvLSTM2D(3, 3, padding="same", return_sequences=True, return_state=True),
        L.ConvLSTM2D(3, 2, strides=2, go_backwards=True, use_bias=False),
        L.Bidirectional(L.ConvLSTM2D(3, 3, padding="same")),
    ),
    *_on((None, 6, 5, 2), L.ConvLSTM2D(3, 3, return_sequences=True)),
    *_on((3, 4, 5, 4, 2), L.ConvLSTM3D(3, 2, padding="same")),
]

_ATTENTION = [
    *(
        Row(layer, (_STEPS, _STEPS), separate=True, call=call)
        for layer in (
            L.MultiHeadAttention(2, 3),
            L.MultiHeadAttention(2, 3, value_dim=4, use_bias=False, dropout=0.1, output_shape=5),
            L.GroupQueryAttention(3, 4, 2),
            L.GroupQueryAttention(3, 4, 1, use_bias=False),
        )
        for call in ({}, {"use_causal_mask": True}, {"return_attention_scores": True})
    ),
    Row(L.MultiHeadAttention(2, 3, use_gate=True), (_STEPS, _STEPS), separate=True),
    Row(L.MultiHeadAttention(2, 3, attention_axes=(2,)), ((4, 5, 6), (4, 5, 6)), separate=True),
    Row(L.MultiHeadAttention(2, 3), (_STEPS, _KNOWN_STEPS, _KNOWN_STEPS), separate=True),
    Row(L.MultiHeadAttention(2, 3), (_STEPS, _STEPS), separate=True, before=_MASKED),
    Row(L.Attention(), (_STEPS, _STEPS)),
    Row(L.Attention(use_scale=True), (_STEPS, _KNOWN_STEPS, _KNOWN_STEPS), call={"use_causal_mask": True}),
    Row(L.Attention(score_mode="concat", dropout=0.2), (_STEPS, _STEPS)),
    Row(L.Attention(), (_STEPS, _STEPS), before=_MASKED),
    Row(L.AdditiveAttention(), (_STEPS, _STEPS)),
    Row(L.AdditiveAttention(use_scale=False), (_STEPS, _KNOWN_STEPS, _KNOWN_STEPS)),
]

_ACTIVATIONS = [
    *_on(
        _VECTOR,
        L.ReLU(),
        L.ReLU(6.0, negative_slope=0.1, threshold=0.2),
        L.LeakyReLU(),
        L.LeakyReLU(0.1),
        L.ELU(0.5),
        L.PReLU(),
        L.Softmax(),
        *(
            L.Activation(name)
            for name in (
                *("celu", "elu", "exponential", "gelu", "glu", "hard_shrink", "hard_sigmoid", "hard_silu", "hard_tanh"),
                *("leaky_relu", "linear", "log_sigmoid", "log_softmax", "mish", "relu", "relu6", "selu", "sigmoid"),
                *("silu", "soft_shrink", "softplus", "softsign", "sparse_plus", "sparse_sigmoid", "sparsemax"),
                *("squareplus", "tanh", "tanh_shrink"),
            )
        ),
    ),
    *_on(_IMAGE, L.PReLU(), L.PReLU(shared_axes=[1, 2]), L.Softmax(axis=1), L.Softmax(axis=(1, 2))),
]

_SHAPES = [
    *_on(
        _IMAGE,
        L.Flatten(),
        L.Reshape((9, 7, 4)),
        L.Reshape((4, -1)),
        L.Permute((3, 1, 2)),
    ),
    *_on(_FIRST, L.Flatten(data_format="channels_first")),
    *_on(_VECTOR, L.RepeatVector(3), L.Reshape((2, 3)), L.Flatten()),
    *_on(_STEPS, L.Permute((2, 1)), L.Masking(0.5)),
]

_MERGES = [
    *(
        Row(layer, (_IMAGE, _IMAGE))
        for layer in (L.Add(), L.Subtract(), L.Multiply(), L.Average(), L.Maximum(), L.Minimum(), L.Concatenate())
    ),
    Row(L.Add(), (_IMAGE, (1, 1, 4), (7, 9, 1))),
    Row(L.Multiply(), (_IMAGE, (1, 1, 4))),
    Row(L.Add(), (_STEPS, (6,))),
    Row(L.Concatenate(axis=1), ((4, 3), (5, 3), (2, 3))),
    Row(L.Concatenate(), (_KNOWN_STEPS, _KNOWN_STEPS), before=_MASKED),
    Row(L.Dot(axes=2, normalize=True), (_STEPS, _STEPS)),
    Row(L.Dot(axes=(1, 2)), ((4, 3), (5, 4))),
    Row(L.Dot(axes=1), (_VECTOR, _VECTOR)),
]

_CATEGORIES = [
    *(
        Row(layer, ((None,),), integers=20)
        for layer in (
            L.Embedding(20, 6),
            _WORDS,
            L.ReversibleEmbedding(20, 6),
            L.CategoryEncoding(20, "multi_hot"),
            L.CategoryEncoding(20, "count"),
            L.IntegerLookup(vocabulary=[3, 5, 7, 11]),
            L.IntegerLookup(vocabulary=[3, 5, 7, 11], output_mode="multi_hot"),
            L.IntegerLookup(vocabulary=[3, 5, 7, 11], mask_token=0, num_oov_indices=2),
        )
    ),
    Row(L.CategoryEncoding(20, "one_hot"), ((1,),), integers=20),
    Row(L.GlobalAveragePooling1D(), ((None,),), integers=20, before=_WORDS),
    Row(L.Dense(4), ((None,),), integers=20, before=_WORDS),
    *_on(
        _VECTOR,
        L.Discretization([-0.5, 0.0, 0.7]),
        L.Discretization([-0.5, 0.0, 0.7], output_mode="one_hot"),
        L.Discretization([-0.5, 0.0, 0.7], output_mode="count"),
    ),
]

_COLOURS = (8, 10, 3)
_PREPROCESSING = [
    *_on(
        _COLOURS,
        L.Resizing(9, 7),
        L.Resizing(5, 12, interpolation="nearest"),
        L.Resizing(5, 12, interpolation="bicubic"),
        L.Resizing(4, 5, antialias=True),
        L.Resizing(5, 5, crop_to_aspect_ratio=True),
        L.Resizing(5, 5, pad_to_aspect_ratio=True),
        L.CenterCrop(5, 5),
        L.CenterCrop(12, 6),
        L.AutoContrast(),
        L.ContrastLimitedAdaptiveHistogramEqualization(),
        L.Solarization(threshold_factor=0.5),
    ),
    *_on((None, None, 3), L.Resizing(9, 7), L.CenterCrop(5, 5)),
    *_on((1200,), L.MelSpectrogram(fft_length=256, num_mel_bins=20)),
    *_on((1200, 1), L.STFTSpectrogram(frame_length=64, frame_step=32), L.STFTSpectrogram("real", 50, 25, 64)),
]

_RANDOM = [
    *_on(
        _IMAGE,
        L.Dropout(0.5),
        L.Dropout(0.5, noise_shape=(None, 1, 1, None)),
        L.AlphaDropout(0.2),
        L.GaussianDropout(0.3),
        L.GaussianNoise(0.3),
        L.SpatialDropout2D(0.5),
    ),
    *_on(_STEPS, L.SpatialDropout1D(0.5)),
    *_on(_VOLUME, L.SpatialDropout3D(0.5)),
    *_on(
        _COLOURS,
        L.AugMix(),
        L.CutMix(),
        L.MixUp(),
        L.RandAugment(),
        L.RandomBrightness(0.2),
        L.RandomColorDegeneration(0.5),
        L.RandomColorJitter(brightness_factor=0.2, contrast_factor=0.2),
        L.RandomContrast(0.2),
        L.RandomCrop(5, 6),
        L.RandomElasticTransform(),
        L.RandomErasing(),
        L.RandomFlip(),
        L.RandomFlip("horizontal"),
        L.RandomGaussianBlur(),
        L.RandomGrayscale(),
        L.RandomHue(0.2),
        L.RandomInvert(),
        L.RandomPerspective(),
        L.RandomPosterization(4),
        L.RandomRotation(0.1),
        L.RandomRotation(0.1, fill_mode="constant", interpolation="nearest"),
        L.RandomSaturation(0.2),
        L.RandomSharpness(0.2),
        L.RandomTranslation(0.1, 0.2),
        L.RandomZoom(0.2),
    ),
]

ROWS = [
    *(*_DENSE, *_CONVOLUTIONS, *_POOLS, *_NORMALISATIONS, *_RECURRENT, *_ATTENTION, *_ACTIVATIONS, *_SHAPES),
    *(*_MERGES, *_CATEGORIES, *_PREPROCESSING, *_RANDOM),
]
# Layers of `keras.layers` that are in no row.
LEFT_OUT = {
    **dict.fromkeys(("FlaxLayer", "JaxLayer", "TorchModuleWrapper"), "code of another library"),
    **dict.fromkeys(("HashedCrossing", "Hashing", "StringLookup", "TextVectorization"), "PyTorch has no strings"),
    "Equalization": "Keras 3.15 fails to put it into a model",
    **dict.fromkeys(("InputLayer", "InputSpec", "Layer", "Wrapper"), "computes nothing"),
    "Lambda": "code in the file",
    "MaxNumBoundingBoxes": "takes dictionaries of boxes",
    "RandomShear": "Keras 3.15 fails to load it",
    "TFSMLayer": "a SavedModel, which has its own entries",
}


def _keras_file(row: Row, folder: Path) -> Path:
    path = folder / "model.keras"
    row.build().save(path)
    return path


def _saved_model(row: Row, folder: Path) -> Path:
    row.build().export(folder / "model", verbose=False)
    return folder / "model"


# How many share a process.
_TOGETHER = 40
# One in so many goes by the graph, too.
_APART = 5


def _names() -> list[str]:
    """Return a name for each row: what it reads like, with the shape of its input where another reads the same."""
    texts = [str(row).replace("/", " ") for row in ROWS]
    return [
        f"{text} on {row.shapes[0]}" if texts.count(text) > 1 else text for text, row in zip(texts, ROWS, strict=True)
    ]


LAYERS, SAVED_LAYERS = {}, {}
for _number, (_name, _row) in enumerate(zip(_names(), ROWS, strict=True)):
    _group = f"layers {_number // _TOGETHER}"
    LAYERS[f"layer/{_name}"] = Entry(
        "Keras layers",
        partial(_keras_file, _row),
        route="layers",
        trains=True,
        integers=max(2, _row.integers),
        group=_group,
    )
    if _number % _APART == 0:
        SAVED_LAYERS[f"saved_layer/{_name}"] = Entry(
            "Keras layers, SavedModel", partial(_saved_model, _row), group="saved layers"
        )
