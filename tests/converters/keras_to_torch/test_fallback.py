"""What somebody wrote, and what PyTorch's own programs would fix: layers that are called in uncommon ways."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
import torch
from keras import layers as L

from tests.converters.keras_to_torch.cases import feed, outputs, randomise, sequential
from translate.converters.keras_to_torch import convert, interface
from translate.converters.keras_to_torch.lowerings import TABLE
from translate.converters.onnx_to_torch import export
from translate.errors import CannotTranslateError


class Squashed(L.Layer):
    """A custom layer of a layer and an operation, which hands `training` on to what does not take it."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.dense = L.Dense(4, name="dense")

    def build(self, shape: Any) -> None:
        self.dense.build(shape)

    def call(self, x: Any, training: bool = False) -> Any:
        return keras.ops.tanh(self.dense(x, training=training))


def test_a_layer_that_takes_no_training_is_called_without():
    model = sequential((5,), Squashed(name="squashed"))
    randomise(model)
    x = feed((3, 5))
    module = convert(model)
    np.testing.assert_allclose(outputs(module, [x])[0], np.asarray(model(x)), rtol=1e-5, atol=1e-6)
    assert set(dict(module.named_parameters())) == {"squashed.dense.weight", "squashed.dense.bias"}


def test_a_custom_layer_with_an_operation_that_has_no_row_goes_by_its_graph(monkeypatch):
    monkeypatch.delitem(TABLE._rows, ("ops", "Tanh"))
    model = sequential((5,), L.Dense(5, name="before"), Squashed(name="first"), Squashed(name="second"))
    randomise(model)
    with pytest.raises(CannotTranslateError, match="Tanh"):
        convert(model)
    x = feed((3, 5))
    module = convert(model, by_graph=True)
    np.testing.assert_allclose(outputs(module, [x])[0], np.asarray(model(x)), rtol=1e-5, atol=1e-6)
    assert set(module.meta["by_graph"]) == {"first", "second"}
    assert isinstance(module.before, torch.nn.Linear)


@pytest.mark.parametrize("padding", ["valid", "same"])
def test_a_max_pool_keeps_its_length_open_in_an_exported_program(padding):
    model = sequential((None, 3), L.MaxPooling1D(3, strides=2, padding=padding))
    module = convert(model)
    program = export.exported(module, interface(module)).module()
    for steps in (7, 8, 12):
        x = feed((2, steps, 3))
        np.testing.assert_allclose(program(torch.from_numpy(x)).numpy(), np.asarray(model(x)), rtol=1e-6)
