"""Whole models: structure, names, masks, training, and the formats that the module is written in."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
import torch
from keras import layers as L
from torch import nn

from tests.converters.keras_to_torch.cases import assert_same, feed, outputs, randomise, sequential
from translate.converters.keras_to_torch import convert, interface, missing, update_weights
from translate.converters.onnx_to_torch import export
from translate.converters.onnx_to_torch.python import save_python
from translate.errors import CannotTranslateError, UnsupportedError


def small_cnn() -> Any:
    x = image = keras.Input((9, 11, 3), name="image")
    x = L.Conv2D(4, 3, strides=2, padding="same", use_bias=False, name="conv")(x)
    x = L.BatchNormalization(name="bn")(x)
    x = L.ReLU(name="relu")(x)
    y = L.DepthwiseConv2D(3, padding="same", name="depthwise")(x)
    x = L.Add(name="add")([x, y])
    x = L.Flatten(name="flatten")(x)
    x = L.Dropout(0.5, name="drop")(x)
    return keras.Model(image, L.Dense(5, name="head")(x))


def text_model(steps: int | None = None, mask_zero: bool = True) -> Any:
    x = ids = keras.Input((steps,), dtype="int32", name="ids")
    x = L.Embedding(20, 6, mask_zero=mask_zero, name="words")(x)
    x = L.Bidirectional(L.LSTM(5, return_sequences=True), name="context")(x)
    x = L.Bidirectional(L.GRU(4), name="summary")(x)
    return keras.Model(ids, L.Dense(3, activation="softmax", name="head")(x))


# Right padded, left padded, holes, and nothing at all.
IDS = np.array([[3, 5, 2, 0, 0, 0], [0, 0, 7, 1, 4, 4], [1, 0, 2, 0, 3, 0], [0] * 6], "int32")


def test_layers_and_parameters_have_keras_names():
    module = assert_same(small_cnn(), feed((2, 9, 11, 3)))
    kinds = {name: type(layer) for name, layer in module.named_children()}
    assert kinds == {
        "conv": nn.Conv2d,
        "bn": nn.BatchNorm2d,
        "depthwise": nn.Conv2d,
        "drop": nn.Dropout,
        "head": nn.Linear,
    }
    assert set(dict(module.named_parameters())) == {
        *("conv.weight", "bn.weight", "bn.bias", "depthwise.weight", "depthwise.bias", "head.weight", "head.bias"),
    }
    assert module.meta["parameters"]["conv.kernel"] == "conv.weight"
    assert module.meta["parameters"]["bn.moving_variance"] == "bn.running_var"
    # One permute at the edge, and one for Keras's order of elements in Flatten.
    assert module.code.count(".permute(") == 2


def test_requires_grad_follows_trainable():
    model = small_cnn()
    model.get_layer("conv").trainable = False
    frozen = [name for name, parameter in convert(model).named_parameters() if not parameter.requires_grad]
    assert frozen == ["conv.weight"]


def test_a_batch_norm_that_is_not_trainable_keeps_its_statistics_in_training():
    model = small_cnn()
    randomise(model)
    model.get_layer("bn").trainable = False
    model.get_layer("drop").rate = 0.0
    x = feed((4, 9, 11, 3))
    module = convert(model).train()
    before = {name: buffer.clone() for name, buffer in module.named_buffers()}
    y = module(torch.from_numpy(x)).detach().numpy()
    np.testing.assert_allclose(y, np.asarray(model(x, training=True)), rtol=1e-4, atol=1e-5)
    assert all(torch.equal(buffer, before[name]) for name, buffer in module.named_buffers())


def test_a_training_step_is_that_of_keras():
    model = small_cnn()
    randomise(model)
    model.get_layer("drop").rate = 0.0
    module = convert(model).train()
    x, wanted = feed((8, 9, 11, 3)), feed((8, 5), 1)
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean((model(x, training=True) - wanted) ** 2)
    gradients = tape.gradient(loss, model.trainable_variables)
    ours = ((module(torch.from_numpy(x)) - torch.from_numpy(wanted)) ** 2).mean()
    ours.backward()
    assert float(ours) == pytest.approx(float(loss), rel=1e-5)
    parameters = dict(module.named_parameters())
    stored = module.meta["stored"]
    by_path = {
        module.meta["parameters"][v.path.replace("/", ".")]: g
        for v, g in zip(model.trainable_variables, gradients, strict=True)
    }
    for name, gradient in by_path.items():
        theirs = stored[name].get(np.asarray(gradient))
        np.testing.assert_allclose(parameters[name].grad.numpy(), theirs, rtol=2e-3, atol=2e-5)
    norm = model.get_layer("bn")
    np.testing.assert_allclose(module.bn.running_mean.numpy(), np.asarray(norm.moving_mean), rtol=1e-5, atol=1e-6)
    # PyTorch's running variance takes n / (n - 1) of the batch's.
    count = 8 * 5 * 6
    start = np.asarray(convert(model).bn.running_var)  # after Keras's own step
    assert norm.momentum == 0.99
    moved = module.bn.running_var.numpy()
    assert np.all(moved > start)
    np.testing.assert_allclose(moved, start, rtol=0.011 / (count - 1) * 10)


def test_dropout_drops_in_training_only():
    model = sequential((50,), L.Dropout(0.5), L.GaussianNoise(1.0))
    module = convert(model)
    x = torch.ones(2, 50)
    assert torch.equal(module(x), x)
    module.train()
    assert not torch.equal(module(x), module(x))


def test_dropout_with_a_noise_shape_drops_whole_samples():
    module = convert(sequential((4, 4, 3), L.Conv2D(3, 1), L.Dropout(0.5, noise_shape=(None, 1, 1, 1)))).train()
    torch.manual_seed(0)
    y = module(torch.randn(64, 4, 4, 3))
    dropped = (y == 0).flatten(1).all(1)
    kept = (y != 0).flatten(1).all(1)
    assert 10 < int(dropped.sum()) < 54
    assert bool((dropped | kept).all())


def test_a_shared_layer_is_one_module():
    x, y = keras.Input((4,)), keras.Input((4,))
    shared = L.Dense(4, name="shared")
    module = assert_same(keras.Model([x, y], L.Add()([shared(x), shared(shared(y))])), feed((2, 4)), feed((2, 4), 1))
    assert list(dict(module.named_parameters())) == ["shared.weight", "shared.bias"]


def test_a_table_is_tied_to_the_logits():
    x = ids = keras.Input((6,), dtype="int32")
    table = L.ReversibleEmbedding(20, 4, name="words")
    x = table(L.Activation("tanh")(table(x)), reverse=True)
    model = keras.Model(ids, x)
    module = convert(model)
    np.testing.assert_allclose(outputs(module, [IDS])[0], np.asarray(model(IDS)), rtol=1e-5, atol=1e-6)
    assert list(dict(module.named_parameters())) == ["words.embedding.weight"]


def test_nested_models_are_nested_modules():
    stem = keras.Sequential(
        [keras.Input((8, 8, 3)), L.Conv2D(4, 3, strides=2, padding="same", name="conv")], name="stem"
    )
    inner = keras.Model((a := keras.Input((4, 4, 4))), [L.ReLU()(a), L.GlobalAveragePooling2D()(a)], name="two")
    x = keras.Input((8, 8, 3))
    image, flat = inner(stem(x))
    again = stem(x)
    model = keras.Model(x, {"image": L.Add()([image, again]), "flat": flat})
    module = assert_same(model, feed((2, 8, 8, 3)))
    assert list(dict(module.named_parameters())) == ["stem.conv.weight", "stem.conv.bias"]
    assert module.meta["outputs"] == ["flat", "image"]
    assert set(module(torch.zeros(1, 8, 8, 3))) == {"flat", "image"}
    # Between the models the tensor stays as it is held.
    assert ".permute(" not in module.two.code


def test_a_model_that_is_called_on_two_sizes_is_padded_for_each():
    conv = keras.Sequential([keras.Input((None, None, 2)), L.Conv2D(3, 3, strides=2, padding="same")], name="conv")
    x, y = keras.Input((8, 8, 2)), keras.Input((10, 4, 2))
    model = keras.Model([x, y], [conv(x), conv(y)])
    module = assert_same(model, feed((2, 8, 8, 2)), feed((2, 10, 4, 2), 1))
    assert len({id(parameter) for parameter in module.parameters()}) == 2


@pytest.mark.parametrize("steps", [6, None], ids=["known", "open"])
def test_masks_go_through_recurrent_layers(steps):
    model = text_model(steps)
    randomise(model)
    module = convert(model)
    np.testing.assert_allclose(outputs(module, [IDS])[0], np.asarray(model(IDS)), rtol=1e-5, atol=1e-6)
    # The padding makes a difference, or the test would not notice masks.
    unmasked = text_model(steps, mask_zero=False)
    unmasked.set_weights(model.get_weights())
    assert np.abs(outputs(convert(unmasked), [IDS])[0] - np.asarray(model(IDS))).max() > 1e-3


MASKED = [
    L.LSTM(4),
    L.LSTM(4, return_sequences=True, return_state=True),
    L.GRU(4, return_sequences=True, go_backwards=True),
    L.GRU(4, reset_after=False, return_sequences=True),
    L.SimpleRNN(4, return_sequences=True),
    L.RNN([L.LSTMCell(3), L.GRUCell(4)], return_sequences=True),
    L.Bidirectional(L.LSTM(4, return_sequences=True)),
    L.Bidirectional(L.GRU(4, activation="relu"), merge_mode="sum"),
    L.TimeDistributed(L.Dense(3)),
]


@pytest.mark.parametrize("layer", MASKED, ids=lambda layer: f"{type(layer).__name__}{layer.name}")
def test_a_masked_step_does_not_count(layer):
    x = keras.Input((6, 3))
    y = L.Masking(0.0)(x)
    z = layer(y)
    z = z if isinstance(z, list | tuple) else [z]
    pooled = [L.GlobalAveragePooling1D()(L.Dense(2)(z[0]))] if z[0].ndim == 3 else []
    values = feed((4, 6, 3))
    values[IDS == 0] = 0
    # A sample without a step that counts has an average of nothing.
    assert_same(keras.Model(x, [*z, *pooled]), values[:3])


def test_masks_go_through_attention_and_merging_layers():
    ids = keras.Input((6,), dtype="int32")
    x = L.Embedding(20, 6, mask_zero=True)(ids)
    other = L.Embedding(20, 6, mask_zero=True)(ids)
    attended = L.MultiHeadAttention(2, 3)(x, other)
    single = L.Attention()([x, other])
    joined = L.Concatenate()([L.Add()([x, attended]), single])
    model = keras.Model(ids, [L.GlobalAveragePooling1D()(joined), L.LSTM(3)(joined)])
    randomise(model)
    module = convert(model)
    for ours, theirs in zip(outputs(module, [IDS[:3]]), model(IDS[:3]), strict=True):
        np.testing.assert_allclose(ours, np.asarray(theirs), rtol=1e-5, atol=1e-6)


class Gated(L.Layer):
    """A custom layer of Keras's own operations, with a weight and a layer of its own."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.dense = L.Dense(4, name="dense")

    def build(self, shape: Any) -> None:
        self.gate = self.add_weight(shape=(shape[-1],), name="gate")
        self.dense.build(shape)

    def call(self, x: Any, training: bool = False) -> Any:
        return self.dense(keras.ops.sigmoid(self.gate) * x) + keras.ops.mean(x, axis=-1, keepdims=True)


class Listed(L.Layer):
    """A custom layer that keeps its weights where they are not seen, and computes with one by itself."""

    def build(self, shape: Any) -> None:
        self.gates = [self.add_weight(shape=(shape[-1],), name="gate")]

    def call(self, x: Any) -> Any:
        return keras.ops.sigmoid(self.gates[0]) * x


def test_a_weight_is_never_taken_for_a_constant():
    (reason,) = missing(sequential((4,), Listed(name="listed")))
    assert reason.startswith("listed (Listed)")


class Raw(L.Layer):
    def call(self, x: Any) -> Any:
        return tf.nn.relu(x) + tf.cast(tf.shape(x)[0], x.dtype)


def test_a_custom_layer_of_keras_operations_is_a_module_of_its_own():
    module = assert_same(sequential((4,), Gated(name="gated")), feed((3, 4)))
    assert set(dict(module.named_parameters())) == {"gated.gate", "gated.dense.weight", "gated.dense.bias"}


class Subclassed(keras.Model):
    def __init__(self, last: Any) -> None:
        super().__init__(name="subclassed")
        self.first = L.Dense(5, activation="relu", name="first")
        self.last = last

    def call(self, x: Any) -> Any:
        return self.last(self.first(x))


def test_a_subclassed_model_of_keras_layers_is_translated():
    from translate.models.base import Spec

    model = Subclassed(L.Dense(2, name="last"))
    x = feed((3, 4))
    model(x)
    specs = [Spec("x", "float32", ("batch", 4))]
    assert missing(model, specs) == []
    module = convert(model, specs, ["y"])
    np.testing.assert_allclose(outputs(module, [x])[0], np.asarray(model(x)), rtol=1e-5, atol=1e-6)
    assert set(dict(module.named_parameters())) == {"first.weight", "first.bias", "last.weight", "last.bias"}


def test_raw_tensorflow_code_is_named_by_missing():
    from translate.models.base import Spec

    model = Subclassed(Raw(name="raw"))
    model(feed((3, 4)))
    (reason,) = missing(model, [Spec("x", "float32", ("batch", 4))])
    assert reason.startswith("raw (Raw): its call is not made of Keras's layers and operations")
    (unknown,) = missing(model)
    assert "needs its inputs" in unknown
    with pytest.raises(CannotTranslateError):
        convert(model, [Spec("x", "float32", ("batch", 4))])


class RawDense(L.Layer):
    """A custom layer of TensorFlow's own operations, with a weight."""

    def build(self, shape: Any) -> None:
        self.kernel = self.add_weight(shape=(shape[-1], 3), name="kernel")

    def call(self, x: Any) -> Any:
        return tf.nn.relu(tf.linalg.matmul(x, self.kernel)), tf.reduce_max(x, axis=-1)


def test_a_layer_without_a_row_goes_by_its_graph():
    x = keras.Input((6, 5))
    y = L.RandomTranslation(0.1, 0.1, name="augment")(keras.ops.expand_dims(L.Dense(5, name="before")(x), -1))
    y, largest = RawDense(name="raw")(L.Reshape((6, 5))(y))
    model = keras.Model(x, [L.LSTM(4, recurrent_dropout=0.3, name="memory")(y), largest])
    randomise(model)
    values = feed((3, 6, 5))
    module = convert(model, by_graph=True)
    for ours, theirs in zip(outputs(module, [values]), model(values, training=False), strict=True):
        np.testing.assert_allclose(ours, np.asarray(theirs), rtol=1e-5, atol=1e-6)
    assert set(module.meta["by_graph"]) == {"raw"}
    assert isinstance(module.before, nn.Linear)
    assert {name.partition(".")[0] for name, _ in module.named_parameters()} == {"before", "raw", "memory"}
    program = export.exported(module, interface(module))
    np.testing.assert_array_equal(program.module()(torch.from_numpy(values[:1]))[0].shape, (1, 4))
    with pytest.raises(UnsupportedError, match="raw"):
        update_weights(model, module)


def test_weights_go_back_into_keras():
    def build() -> Any:
        x = ids = keras.Input((6,), dtype="int32")
        x = L.Embedding(20, 6, mask_zero=True)(x)
        x = L.Bidirectional(L.LSTM(4, return_sequences=True))(x)
        x = L.GRU(4, return_sequences=True)(x)
        x = L.Conv1D(4, 3, padding="same")(x)
        x = L.SeparableConv1D(4, 3)(x)
        x = L.MultiHeadAttention(2, 3)(x, x)
        x = L.BatchNormalization()(L.LayerNormalization()(x))
        return keras.Model(ids, L.Dense(3)(L.Flatten()(x)))

    model = build()
    randomise(model)
    module = convert(model)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for tensor in [*module.parameters(), *(b for n, b in module.named_buffers() if "running" in n)]:
            tensor.add_(torch.rand(tensor.shape, generator=generator))
    expected = outputs(module, [IDS[:3]])[0]
    before = np.asarray(model(IDS[:3]))
    update_weights(model, module)
    np.testing.assert_allclose(np.asarray(model(IDS[:3])), expected, rtol=1e-4, atol=1e-5)
    assert np.abs(before - expected).max() > 1e-2


def test_half_double_and_state_dict():
    model = small_cnn()
    module = assert_same(model, feed((2, 9, 11, 3)))
    again = convert(model)
    for parameter in again.parameters():
        nn.init.zeros_(parameter)
    again.load_state_dict(module.state_dict())
    x = torch.from_numpy(feed((2, 9, 11, 3)))
    assert torch.equal(again(x), module(x))
    assert module.double()(x.double()).dtype is torch.float64
    assert module.bfloat16()(x.bfloat16()).dtype is torch.bfloat16


@pytest.mark.parametrize(("build", "x"), [(small_cnn, feed((4, 9, 11, 3))), (text_model, IDS)], ids=["cnn", "text"])
def test_an_exported_program_has_an_open_batch_and_live_parameters(build, x):
    model = build()
    randomise(model)
    module = convert(model)
    program = export.exported(module, interface(module))
    expected = np.asarray(model(x))
    for count in (1, 3, 4):
        found = program.module()(torch.from_numpy(x[:count]))
        np.testing.assert_allclose(found.detach().numpy(), expected[:count], rtol=1e-4, atol=1e-5)
    if build is text_model:
        short = program.module()(torch.from_numpy(x[:, :4]))
        np.testing.assert_allclose(short.detach().numpy(), np.asarray(model(x[:, :4])), rtol=1e-4, atol=1e-5)
    with torch.no_grad():
        for parameter in program.parameters():
            parameter.zero_()
    assert np.abs(program.module()(torch.from_numpy(x)).detach().numpy() - expected).max() > 1e-2


def test_a_python_package_is_written_of_it(tmp_path):
    x = keras.Input((9, 11, 3), name="image")
    block = keras.Sequential(
        [keras.Input((9, 11, 3)), L.Conv2D(4, 3, padding="same", name="conv"), L.ReLU()], name="block"
    )
    y = L.Dropout(0.5, noise_shape=(None, 1, 1, 1))(L.AveragePooling2D(2, padding="same")(block(x)))
    y = L.Reshape((-1, 4))(L.MaxPooling2D(2)(y))
    y = L.MultiHeadAttention(2, 3, name="attention")(y, y)
    model = keras.Model(x, L.GRU(3, name="memory")(y))
    module = assert_same(model, feed((2, 9, 11, 3)))
    save_python(module, interface(module), tmp_path / "package", "Written by a test.")
    loaded = load(tmp_path / "package" / "model.py").load()
    values = torch.from_numpy(feed((3, 9, 11, 3)))
    assert torch.equal(loaded(values), module(values))
    assert loaded.state_dict().keys() == module.state_dict().keys()
    source = (tmp_path / "package" / "model.py").read_text()
    assert "class Block(nn.Module)" in source and "class MultiHeadAttention(nn.Module)" in source
    assert "translate.converters" not in source
    # What only happens in training happens in the package, too.
    assert not torch.equal(loaded.train()(values), module(values))


def load(path: Path) -> Any:
    spec = importlib.util.spec_from_file_location("package_of_a_test", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


APPLICATIONS = {
    "MobileNetV2": keras.applications.MobileNetV2,
    "ResNet50": keras.applications.ResNet50,
    "EfficientNetB0": keras.applications.EfficientNetB0,
}


@pytest.mark.parametrize("name", APPLICATIONS)
def test_applications_are_the_same(name):
    keras.utils.set_random_seed(0)
    model = APPLICATIONS[name](weights=None, input_shape=(65, 64, 3), classes=10, classifier_activation=None)
    x = np.random.default_rng(0).random((4, 65, 64, 3)).astype("float32") * (255 if name == "EfficientNetB0" else 2)
    norms = [layer for layer in model.layers if isinstance(layer, L.BatchNormalization)]
    for layer in norms:
        # The statistics of this batch, so that the signal gets through.
        layer.momentum = 0.0
    model(x, training=True)
    for layer in norms:
        layer.momentum = 0.99
    expected = np.asarray(model(x))
    spread = np.abs(expected - expected[::-1]).max()
    assert spread > 0.1
    module = convert(model)
    found = outputs(module, [x])[0]
    assert np.abs(found - expected).max() < 1e-3 * spread
    # One permute at the edge.
    assert module.code.count(".permute(") == 1
    assert len(list(module.parameters())) == len(model.trainable_weights)
