"""What TensorFlow computes on images of height one is computed on sequences, with the same numbers."""

from __future__ import annotations

from collections import Counter
from typing import Any

import keras
import numpy as np
import onnx_ir as ir
import pytest

from tests.converters.tf_to_onnx.cases import operators, run
from translate.converters.passes import _simplify
from translate.converters.passes.kernels import store_kernels
from translate.converters.passes.layout import fewest_transposes
from translate.converters.passes.patterns import find_patterns
from translate.converters.passes.unit_axes import drop_unit_axes
from translate.converters.tf_to_onnx.models import from_keras
from translate.models.open import open_model

L = keras.layers


def prepared(layers: list[Any], shape: tuple[int | None, ...]) -> tuple[ir.Model, Counter[str]]:
    """Export `layers`, run the passes twice, and check that the numbers stay."""
    net = keras.Sequential([keras.Input(shape), *layers])
    generator = np.random.default_rng(0)
    for weight in net.weights:
        weight.assign(generator.normal(size=weight.shape))
    model = from_keras(open_model(net))
    x = generator.normal(size=(2, *(size or 9 for size in shape))).astype(np.float32)
    feeds = {str(model.graph.inputs[0].name): x}
    before = run(model, feeds)
    _simplify(model)
    drop_unit_axes(model)
    store_kernels(model)
    once = operators(model)
    drop_unit_axes(model)
    store_kernels(model)
    assert operators(model) == once
    find_patterns(model)
    fewest_transposes(model)
    np.testing.assert_allclose(run(model, feeds)[0], before[0], rtol=1e-5, atol=1e-5)
    return model, Counter(operators(model))


@pytest.mark.parametrize("length", [None, 9])
@pytest.mark.parametrize(
    "layers",
    [
        [L.Conv1D(4, 3, padding="same", activation="relu", name="conv"), L.Conv1D(2, 1, strides=2)],
        [L.Conv1D(4, 3), L.MaxPooling1D(2), L.AveragePooling1D(2, strides=1)],
        [L.DepthwiseConv1D(3, name="conv"), L.SeparableConv1D(4, 3, depth_multiplier=2)],
    ],
)
def test_sequences(layers: list[Any], length: int | None) -> None:
    _, count = prepared([type(layer).from_config(layer.get_config()) for layer in layers], (length, 4))
    assert set(count) <= {"Transpose", "Conv", "Relu", "MaxPool", "AveragePool"}
    assert count["Transpose"] == 2


def test_kernels_have_one_axis() -> None:
    model, _ = prepared([L.Conv1D(4, 3, name="conv"), L.DepthwiseConv1D(3, depth_multiplier=2, name="each")], (9, 5))
    kernels = {value.name: list(value.shape or ()) for value in model.graph.initializers.values()}
    assert kernels["conv.kernel"] == [4, 5, 3]
    assert kernels["each.kernel"] == [8, 1, 3]


def test_images_of_height_one_stay_images() -> None:
    model, _ = prepared([L.Conv2D(4, (1, 3), name="conv")], (1, 9, 3))
    (convolution,) = (node for node in model.graph if node.op_type == "Conv")
    assert convolution.inputs[1] is not None and len(convolution.inputs[1].shape or ()) == 4


@pytest.mark.parametrize("multiplier", [1, 3])
def test_a_depthwise_kernel_is_read_as_it_is_stored(multiplier: int) -> None:
    model, count = prepared([L.DepthwiseConv2D(3, depth_multiplier=multiplier, name="each")], (9, 9, 2))
    assert count["Reshape"] == 0
    assert list(model.graph.initializers["each.kernel"].shape or ()) == [2 * multiplier, 1, 3, 3]
