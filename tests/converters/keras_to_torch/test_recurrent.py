"""Recurrent layers that torch.nn has not, and their odd options: against Keras, exported, and in training."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
import torch
from keras import layers as L

from tests.converters.keras_to_torch.cases import assert_same, feed, outputs, randomise, sequential
from tests.converters.keras_to_torch.test_models import load
from translate import routes
from translate.converters.keras_to_torch import convert, interface
from translate.converters.onnx_to_torch import export
from translate.converters.onnx_to_torch.python import save_python
from translate.errors import CannotTranslateError


def again(layer: Any) -> Any:
    """Return a new layer like this one, since a test may ask for it twice."""
    return type(layer).from_config(layer.get_config())


def name(value: Any) -> str:
    options = value.get_config() if isinstance(value, L.Layer) else {}
    shown = [str(v) for v in options.values() if isinstance(v, bool | int | str | tuple | list)]
    return f"{type(value).__name__}-{'-'.join(shown)}"[:60]


CONV_LSTMS = [
    (L.ConvLSTM1D(3, 3), (5, 9, 2)),
    (L.ConvLSTM1D(3, 2, strides=2, padding="same", return_sequences=True), (5, 9, 2)),
    (L.ConvLSTM2D(3, 3, return_sequences=True, return_state=True), (5, 7, 6, 2)),
    (L.ConvLSTM2D(3, (2, 3), strides=(2, 1), padding="same", go_backwards=True, return_sequences=True), (5, 7, 6, 2)),
    (L.ConvLSTM2D(3, 3, dilation_rate=2, activation="relu", recurrent_activation="hard_sigmoid"), (5, 7, 6, 2)),
    (L.ConvLSTM2D(3, 2, use_bias=False, padding="same", dropout=0.3, recurrent_dropout=0.2), (5, 7, 6, 2)),
    (L.ConvLSTM3D(2, 2, padding="same", return_sequences=True), (3, 4, 5, 3, 2)),
    (L.Bidirectional(L.ConvLSTM2D(3, 3, padding="same", return_sequences=True)), (5, 7, 6, 2)),
    (L.Bidirectional(L.ConvLSTM2D(3, 3)), (5, 7, 6, 2)),
    (L.Bidirectional(L.ConvLSTM1D(3, 3, return_state=True), merge_mode="ave"), (5, 9, 2)),
]


@pytest.mark.parametrize("steps", ["known", "open"])
@pytest.mark.parametrize(("layer", "shape"), CONV_LSTMS, ids=name)
def test_convolutional_lstms_are_the_same(layer, shape, steps):
    open_shape = shape if steps == "known" else (None, *shape[1:])
    assert_same(sequential(open_shape, again(layer)), feed((2, *shape)))


def mask_at(*lengths: int, steps: int = 5) -> np.ndarray:
    return np.arange(steps) < np.array(lengths)[:, None]


@pytest.mark.parametrize(
    "layer",
    [
        L.ConvLSTM1D(3, 3, return_sequences=True, return_state=True),
        L.ConvLSTM1D(3, 3, go_backwards=True),
        L.Bidirectional(L.ConvLSTM1D(3, 3, return_sequences=True)),
        L.Bidirectional(L.ConvLSTM1D(3, 3, return_state=True), merge_mode=None),
    ],
    ids=name,
)
def test_a_masked_image_does_not_count(layer):
    x, mask, states = keras.Input((5, 9, 2)), keras.Input((5,), dtype="bool"), [keras.Input((7, 3)) for _ in range(4)]
    given = states if isinstance(layer, L.Bidirectional) else states[:2]
    model = keras.Model([x, mask, *given], again(layer)(x, mask=mask, initial_state=given))
    values = [feed((3, 5, 9, 2)), mask_at(5, 2, 0), *(feed((3, 7, 3), seed) for seed in range(len(given)))]
    assert_same(model, *values)


def test_convolutional_lstms_with_channels_first():
    # TensorFlow has no such convolution on the CPU, but the same layer with channels last.
    for options in ({"return_sequences": True}, {"return_state": True}):
        last = sequential((4, 7, 6, 2), L.ConvLSTM2D(3, 3, name="memory", **options))
        randomise(last)
        first = keras.Input((4, 2, 7, 6))
        layer = L.ConvLSTM2D(3, 3, data_format="channels_first", name="memory", **options)
        model = keras.Model(first, layer(first))
        model.set_weights(last.get_weights())
        x = feed((2, 4, 7, 6, 2))
        found = outputs(convert(model), [x.transpose(0, 1, 4, 2, 3).copy()])
        for ours, theirs in zip(found, keras.tree.flatten(last(x)), strict=True):
            np.testing.assert_allclose(np.moveaxis(ours, -3, -1), np.asarray(theirs), rtol=1e-5, atol=1e-6)


CELLS = [
    L.RNN(L.LSTMCell(4, recurrent_dropout=0.2, dropout=0.1), return_sequences=True),
    L.RNN([L.LSTMCell(3), L.GRUCell(4, dropout=0.2), L.SimpleRNNCell(2)], return_sequences=True, return_state=True),
    L.RNN(L.StackedRNNCells([L.GRUCell(4, reset_after=False), L.LSTMCell(2)]), go_backwards=True),
    L.GRU(4, reset_after=False, recurrent_dropout=0.3, return_state=True),
    L.GRU(4, recurrent_dropout=0.3, dropout=0.2, use_bias=False),
    L.LSTM(4, recurrent_dropout=0.3, activation="gelu", recurrent_activation="hard_sigmoid"),
    L.LSTM(4, unroll=True, return_sequences=True, return_state=True),
    L.SimpleRNN(4, recurrent_dropout=0.2, dropout=0.2, use_bias=False),
    L.RNN(L.SimpleRNNCell(4), unroll=True, zero_output_for_mask=True, return_sequences=True),
    L.LSTM(4, zero_output_for_mask=True, return_sequences=True),
    L.Bidirectional(
        L.LSTM(4, return_sequences=True), backward_layer=L.GRU(4, go_backwards=True, return_sequences=True)
    ),
    L.Bidirectional(L.RNN(L.LSTMCell(3), return_state=True), merge_mode="sum"),
    L.Bidirectional(L.LSTM(3, return_sequences=True, recurrent_dropout=0.1), merge_mode="mul"),
]


@pytest.mark.parametrize("masked", [False, True], ids=["whole", "masked"])
@pytest.mark.parametrize("layer", CELLS, ids=name)
def test_cells_and_their_options(layer, masked):
    x, mask = keras.Input((5, 3)), keras.Input((5,), dtype="bool")
    model = keras.Model([x, mask], again(layer)(x, mask=mask) if masked else again(layer)(x))
    if masked:
        assert_same(model, feed((3, 5, 3)), mask_at(5, 2, 0))
    else:
        model = keras.Model(model.inputs[0], model.outputs)
        assert_same(model, feed((3, 5, 3)))


EXPORTED = [
    (L.ConvLSTM2D(3, 3, padding="same", return_sequences=True), (6, 5, 2)),
    (L.Bidirectional(L.ConvLSTM1D(3, 2)), (9, 2)),
    (L.GRU(4, reset_after=False, recurrent_dropout=0.3, return_sequences=True), (3,)),
    (L.RNN([L.LSTMCell(3), L.SimpleRNNCell(2)]), (3,)),
]


@pytest.mark.parametrize(("layer", "shape"), EXPORTED, ids=name)
def test_an_exported_loop_has_an_open_batch_and_length_and_live_parameters(layer, shape):
    model = sequential((None, *shape), again(layer))
    randomise(model)
    module = convert(model)
    program = export.exported(module, interface(module))
    for count, steps in [(1, 7), (3, 2), (4, 9)]:
        x = feed((count, steps, *shape))
        found = program.module()(torch.from_numpy(x)).detach().numpy()
        np.testing.assert_allclose(found, np.asarray(model(x)), rtol=1e-4, atol=1e-5)
    with torch.no_grad():
        for parameter in program.parameters():
            parameter.zero_()
    assert np.abs(program.module()(torch.from_numpy(x)).detach().numpy() - found).max() > 1e-2


def test_a_python_package_has_the_step_of_each_layer(tmp_path):
    model = sequential(
        (None, 8, 6, 2), L.ConvLSTM2D(3, 3, activation="relu", return_sequences=True), L.ConvLSTM2D(2, (1, 3))
    )
    module = assert_same(model, feed((2, 5, 8, 6, 2)))
    save_python(module, interface(module), tmp_path / "package", "Written by a test.")
    loaded = load(tmp_path / "package" / "model.py").load()
    x = torch.from_numpy(feed((3, 4, 8, 6, 2)))
    assert torch.equal(loaded(x), module(x))
    source = (tmp_path / "package" / "model.py").read_text()
    classes = [line for line in source.splitlines() if line.startswith("class ")]
    assert len(classes) == len(set(classes))


def test_a_training_step_of_convolutional_lstms_is_that_of_keras():
    model = sequential(
        (4, 6, 5, 2), L.Bidirectional(L.ConvLSTM2D(2, 3, return_sequences=True)), L.ConvLSTM2D(3, 2, padding="same")
    )
    randomise(model)
    module = convert(model).train()
    x = feed((2, 4, 6, 5, 2))
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(model(x, training=True) ** 2)
    gradients = tape.gradient(loss, [variable.value for variable in model.trainable_variables])
    ours = module(torch.from_numpy(x)).square().mean()
    ours.backward()
    assert float(ours) == pytest.approx(float(loss), rel=1e-5)
    tensors, stored = dict(module.named_parameters()), module.meta["stored"]
    names = {id(one.variable): key for key, one in stored.items()}
    assert len(names) == len(model.trainable_variables)
    for variable, gradient in zip(model.trainable_variables, gradients, strict=True):
        key = names[id(variable)]
        expected = stored[key].get(np.asarray(gradient))
        np.testing.assert_allclose(tensors[key].grad.numpy(), expected, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("kind", [L.LSTM, L.GRU, L.SimpleRNN])
def test_recurrent_dropout_drops_the_same_at_all_steps_in_training(kind):
    options = {"activation": "linear", "recurrent_activation": "linear"} if kind is not L.SimpleRNN else {}
    layer = kind(6, recurrent_dropout=0.5, dropout=0.5, return_sequences=True, **options)
    model = sequential((8, 3), layer)
    randomise(model)
    module = convert(model)
    x = torch.from_numpy(feed((2, 8, 3)))
    still = module(x)
    assert torch.equal(still, module(x))
    torch.manual_seed(0)
    first, second = module.train()(x), module(x)
    assert not torch.allclose(first, second)
    # Without a recurrent kernel there is nothing to drop of the state, and without rates nothing at all.
    for dropout in [one for one in module.modules() if isinstance(one, torch.nn.Dropout)]:
        dropout.p = 0.0
    torch.testing.assert_close(module(x), still)


def test_a_dropped_feature_of_the_input_has_no_effect_at_any_step():
    model = sequential((5, 4), L.RNN(L.SimpleRNNCell(4, dropout=0.5, activation="linear"), return_sequences=True))
    model.set_weights([np.eye(4), np.zeros((4, 4)), np.zeros(4)])
    module = convert(model).train()
    torch.manual_seed(0)
    y = module(torch.ones(50, 5, 4))
    assert bool(((y == 0) | (y == 2)).all())
    assert bool((y == y[:, :1]).all())
    assert 60 < int((y[:, 0] == 0).sum()) < 140


@keras.saving.register_keras_serializable("test_recurrent")
class Minimal(L.Layer):
    """A custom cell with weights, a layer and an activation of its own, and two states."""

    def __init__(self, units: int, **options: Any) -> None:
        super().__init__(**options)
        self.units, self.state_size, self.output_size = units, [units, 2], units
        self.mix = L.Dense(units, name="mix")
        self.norm = L.LayerNormalization(name="norm")

    def build(self, shape: Any) -> None:
        self.kernel = self.add_weight(shape=(shape[-1], self.units), name="kernel")
        self.mix.build((None, self.units + 2))
        self.norm.build((None, self.units))

    def call(self, x: Any, states: Any) -> Any:
        hidden, other = states
        mixed = self.mix(keras.ops.concatenate([hidden, other], -1))
        hidden = self.norm(keras.ops.tanh(keras.ops.matmul(x, self.kernel) + mixed))
        return hidden * 2, [hidden, other + keras.ops.mean(x, axis=-1, keepdims=True)]

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"units": self.units}


@pytest.mark.parametrize("masked", [False, True], ids=["whole", "masked"])
@pytest.mark.parametrize("wrapped", ["alone", "stacked", "both ways"])
def test_a_custom_cell_is_the_step_of_a_loop(wrapped, masked):
    options: dict[str, Any] = {"return_sequences": True, "name": "memory"}
    layer = {
        "alone": lambda: L.RNN(Minimal(4), return_state=True, **options),
        "stacked": lambda: L.RNN([L.GRUCell(3), Minimal(4)], **options),
        "both ways": lambda: L.Bidirectional(L.RNN(Minimal(4), return_sequences=True)),
    }[wrapped]()
    x, mask = keras.Input((5, 3)), keras.Input((5,), dtype="bool")
    y = layer(x, mask=mask) if masked else layer(x)
    model = keras.Model([x, mask] if masked else x, y)
    values = [feed((3, 5, 3)), *([mask_at(5, 2, 0)] if masked else [])]
    module = assert_same(model, *values)
    if wrapped == "alone":
        names = {key.removeprefix("memory.") for key, _ in module.named_parameters()}
        assert {"rnn.kernel", "rnn.mix.weight", "rnn.norm.bias"} <= names


class Started(Minimal):
    """A custom cell whose states do not start at zero."""

    def get_initial_state(self, batch_size: Any = None) -> Any:
        return [keras.ops.ones((batch_size, self.units)), keras.ops.zeros((batch_size, 2))]


class Dropping(Minimal):
    """A custom cell with a layer that cannot be in a loop."""

    def __init__(self, units: int, **options: Any) -> None:
        super().__init__(units, **options)
        self.drop = L.Dropout(0.5)

    def call(self, x: Any, states: Any) -> Any:
        return super().call(self.drop(x), states)


@pytest.mark.parametrize(("cell", "reason"), [(Started, "do not start at zero"), (Dropping, "Dropout in the step")])
def test_what_a_custom_cell_cannot_have_is_said(cell, reason):
    model = sequential((5, 3), L.RNN(cell(4), name="memory"))
    with pytest.raises(CannotTranslateError, match=f"memory.*{reason}"):
        convert(model)
    randomise(model)
    x = feed((2, 5, 3))
    module = convert(model, by_graph=True)
    np.testing.assert_allclose(outputs(module, [x])[0], np.asarray(model(x)), rtol=1e-5, atol=1e-6)
    assert set(module.meta["by_graph"]) == {"memory"}


STATEFUL = [
    L.LSTM(4, stateful=True, return_sequences=True),
    L.GRU(4, stateful=True, return_state=True),
    L.GRU(4, stateful=True, reset_after=False),
    L.SimpleRNN(4, stateful=True, go_backwards=True),
    L.ConvLSTM1D(2, 1, stateful=True),
    L.RNN([L.LSTMCell(3), L.GRUCell(4)], stateful=True, return_sequences=True),
    L.Bidirectional(L.LSTM(4, stateful=True, return_sequences=True)),
]


@pytest.mark.parametrize("masked", [False, True], ids=["whole", "masked"])
@pytest.mark.parametrize("layer", STATEFUL, ids=name)
def test_a_stateful_layer_begins_where_its_last_call_ended(layer, masked):
    shape = (5, 6, 3) if isinstance(layer, L.ConvLSTM1D) else (5, 3)
    x, mask = keras.Input(batch_shape=(3, *shape)), keras.Input(batch_shape=(3, 5), dtype="bool")
    layer = again(layer)
    model = keras.Model([x, mask], layer(x, mask=mask)) if masked else keras.Model(x, layer(x))
    randomise(model)
    module = convert(model)
    # A program shares the buffers of what it was exported from.
    program = export.exported(other := convert(model), interface(other)).module()
    for seed in range(3):
        feeds = [feed((3, *shape), seed), *([mask_at(5, 2, 0)] if masked else [])]
        expected = keras.tree.flatten(model(feeds if masked else feeds[0]))
        for called in (module, program):
            for ours, theirs in zip(outputs(called, feeds), expected, strict=True):
                np.testing.assert_allclose(ours, np.asarray(theirs), rtol=1e-4, atol=1e-5)
    # Zeros put the states back.
    states = [buffer for key, buffer in module.named_buffers() if "state_" in key]
    assert states and any(bool(state.any()) for state in states)
    for state in states:
        state.zero_()
    for one in (layer.forward_layer, layer.backward_layer) if isinstance(layer, L.Bidirectional) else (layer,):
        for state in keras.tree.flatten(one.states):
            state.assign(np.zeros(state.shape))
    expected = keras.tree.flatten(model(feeds if masked else feeds[0]))
    for ours, theirs in zip(outputs(module, feeds), expected, strict=True):
        np.testing.assert_allclose(ours, np.asarray(theirs), rtol=1e-4, atol=1e-5)


def test_a_python_package_keeps_states(tmp_path):
    model = keras.Sequential([keras.Input(batch_shape=(2, 5, 3)), L.LSTM(4, stateful=True), L.Dense(1)])
    module = convert(model)
    save_python(module, interface(module), tmp_path / "package", "Written by a test.")
    loaded = load(tmp_path / "package" / "model.py").load()
    for seed in range(2):
        x = feed((2, 5, 3), seed)
        np.testing.assert_allclose(outputs(loaded, [x])[0], np.asarray(model(x)), rtol=1e-5, atol=1e-6)


def test_the_graph_of_a_stateful_layer_is_refused(tmp_path):
    model = keras.Sequential([keras.Input(batch_shape=(2, 5, 3)), L.LSTM(4, stateful=True, name="memory"), L.Dense(1)])
    with pytest.raises(CannotTranslateError, match=r"memory.*keeps its states"):
        routes.tf2torch(model, tmp_path / "model.onnx", format="onnx")
    assert routes.tf2torch(model, tmp_path / "model.pt2").route == "layers"


def test_a_stateful_layer_is_trained_within_a_call():
    model = keras.Sequential([keras.Input(batch_shape=(2, 5, 3)), L.LSTM(4, stateful=True), L.Dense(1)])
    module = convert(model).train()
    for seed in range(2):
        module.zero_grad()
        module(torch.from_numpy(feed((2, 5, 3), seed))).sum().backward()
        assert all(bool(one.grad.any()) for one in module.parameters() if one.requires_grad)


def test_a_loop_in_double_precision():
    model = sequential(
        (4, 6, 5, 2), L.ConvLSTM2D(3, 2, recurrent_dropout=0.2, return_sequences=True), L.Flatten(), L.Reshape((4, -1))
    )
    model.add(L.GRU(3, reset_after=False, recurrent_dropout=0.2))
    module = assert_same(model, feed((2, 4, 6, 5, 2)))
    x = torch.from_numpy(feed((2, 4, 6, 5, 2)))
    single = module(x)
    double = module.double()(x.double())
    assert double.dtype is torch.float64
    torch.testing.assert_close(double.float(), single, rtol=1e-4, atol=1e-5)


def test_a_cell_is_called_step_by_step():
    x, h, c = keras.Input((2, 3)), keras.Input((4,)), keras.Input((4,))
    first, second = L.LSTMCell(4, name="first"), L.StackedRNNCells([L.GRUCell(3), L.SimpleRNNCell(2)], name="second")
    states = [h, c]
    inner = [h[:, :3], c[:, :2]]
    for step in range(2):
        y, states = first(x[:, step], states)
        y, inner = second(y, inner)
    model = keras.Model([x, h, c], [y, *states, *inner])
    module = assert_same(model, feed((3, 2, 3)), feed((3, 4), 1), feed((3, 4), 2))
    assert len([key for key, _ in module.named_parameters() if key.startswith("first.")]) == 3
