"""update_weights: what was trained in PyTorch is what Keras computes with afterwards, or nothing has changed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
import torch
from keras import layers as L
from safetensors.torch import save_file

import translate
from tests.converters.keras_to_torch.cases import randomise
from translate import routes
from translate.errors import OpenError, UnsupportedError
from translate.models.open import open_model
from translate.routes.ways import Route


class Raw(L.Layer):
    """A layer of TensorFlow's own operations, so that it goes by its graph, with a square weight."""

    def build(self, shape: Any) -> None:
        self.kernel = self.add_weight(shape=(shape[-1], shape[-1]), name="kernel")
        self.offset = self.add_weight(shape=(shape[-1],), name="offset")

    def call(self, x: Any) -> Any:
        return tf.linalg.matmul(tf.nn.softsign(x), self.kernel, transpose_b=True) + self.offset


def images() -> Any:
    x = keras.Input((8, 6, 3), name="image")
    h = L.BatchNormalization(name="norm")(L.Conv2D(4, 3, strides=2, padding="same", name="conv")(x))
    h = L.DepthwiseConv2D(2, depth_multiplier=2, name="depth")(L.ReLU()(h))
    return keras.Model(x, L.Dense(4, name="head")(Raw(name="raw")(L.Flatten()(h))))


def steps() -> Any:
    x = keras.Input((7, 4), name="x")
    h = L.Bidirectional(L.LSTM(3, return_sequences=True), name="both")(x)
    h = L.MultiHeadAttention(2, 3, name="attention")(h, h)
    return keras.Model(x, L.Dense(2, name="head")(L.GRU(3, name="memory")(h)))


def trained(module: Any, x: torch.Tensor) -> Any:
    """Take some steps, of the statistics too where there is a mode of training."""
    optimizer = torch.optim.SGD([one for one in module.parameters() if one.requires_grad], lr=1e-2)
    if not hasattr(module, "graph_signature") and not isinstance(module, torch.fx.GraphModule | torch.jit.ScriptModule):
        module.train()
    for _ in range(2):
        optimizer.zero_grad()
        module(x).square().mean().backward()
        optimizer.step()
    return module


def again(model: Any, form: str, route: Route, folder: Path) -> Any:
    """Translate a model and return the module in which it is to be trained."""
    if form in ("live", "state_dict"):
        return routes.to_torch(model, route=route)
    if form == "python":
        routes.tf2torch(model, folder / "package", format="python", route=route, verify=False)
        return open_model(f"{folder / 'package' / 'model.py'}:load").module
    routes.tf2torch(model, folder / "model.pt2", route=route, verify=False)
    return torch.export.load(folder / "model.pt2").module()


FORMS = [(images, "layers", form) for form in ("live", "pt2", "python", "state_dict")]
FORMS += [(steps, "layers", "live"), (steps, "layers", "pt2"), (images, "graph", "state_dict")]


@pytest.mark.parametrize(("make", "route", "form"), FORMS)
def test_keras_computes_what_pytorch_has_learnt(make: Any, route: Route, form: str, tmp_path: Path) -> None:
    model = make()
    randomise(model)
    x = np.random.default_rng(0).normal(size=(3, *model.input_shape[1:])).astype("float32")
    module = trained(again(model, form, route, tmp_path), torch.from_numpy(x))
    if form == "python":
        module.eval()
    wanted = module(torch.from_numpy(x)).detach().numpy()
    before = np.asarray(model(x))
    assert np.abs(wanted - before).max() > 1e-2 * np.abs(before).max()
    source: Any = module
    if form == "state_dict":
        source = tmp_path / "trained.safetensors"
        save_file({name: tensor.contiguous() for name, tensor in module.state_dict().items()}, source)
    translate.update_weights(model, source)
    np.testing.assert_allclose(np.asarray(model(x)), wanted, rtol=1e-4, atol=1e-5 * np.abs(wanted).max())


def test_another_model_of_the_same_kind_can_be_updated() -> None:
    first, second = steps(), steps()
    randomise(first)
    x = np.random.default_rng(0).normal(size=(3, 7, 4)).astype("float32")
    translate.update_weights(second, routes.to_torch(first).state_dict())
    np.testing.assert_allclose(np.asarray(second(x)), np.asarray(first(x)), rtol=1e-5, atol=1e-6)


def test_statistics_of_a_batch_norm_come_back() -> None:
    model = images()
    randomise(model)
    module = routes.to_torch(model).train()
    module(torch.randn(6, 8, 6, 3))
    translate.update_weights(model, module)
    norm = model.get_layer("norm")
    np.testing.assert_array_equal(np.asarray(norm.moving_mean), module.norm.running_mean.numpy())
    np.testing.assert_array_equal(np.asarray(norm.moving_variance), module.norm.running_var.numpy())


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda state: state.pop("conv.weight"), "1 missing: conv.weight"),
        (lambda state: state.update({"conv.extra": torch.ones(1)}), "1 unexpected: conv.extra"),
        (lambda state: state.update({"head.bias": torch.ones(5)}), r"head.bias is \[5\], not \[4\]"),
    ],
)
def test_what_does_not_fit_changes_nothing(change: Any, said: str) -> None:
    model = images()
    randomise(model)
    state = {name: tensor + 1 for name, tensor in routes.to_torch(model).state_dict().items()}
    change(state)
    before = model.get_weights()
    with pytest.raises(OpenError, match=said):
        translate.update_weights(model, state)
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_a_bias_that_has_become_two_is_refused_by_the_graph() -> None:
    """PyTorch's LSTM has two, and trains both."""
    model = steps()
    randomise(model)
    module = routes.to_torch(model, route="graph")
    before = model.get_weights()
    with pytest.raises(UnsupportedError, match="bias_hh_l0 is no rearrangement of weights of the Keras model"):
        translate.update_weights(model, module)
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
