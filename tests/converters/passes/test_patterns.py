"""Arithmetic that stands for a layer becomes that layer, with its weights, and the same numbers."""

from __future__ import annotations

from collections import Counter
from typing import Any

import keras
import numpy as np
import onnx_ir as ir
import pytest
import tensorflow as tf

from tests.converters.tf_to_onnx.cases import operators, run
from translate.converters.passes import _simplify
from translate.converters.passes.layout import fewest_transposes
from translate.converters.passes.patterns import find_patterns
from translate.converters.tf_to_onnx.models import from_keras
from translate.graphs import to_onnx
from translate.models.open import open_model

L = keras.layers


def found(layers: list[Any], shape: tuple[int | None, ...]) -> tuple[ir.Model, Counter[str]]:
    """Export `layers`, find the patterns, and check that the numbers stay."""
    net = keras.Sequential([keras.Input(shape), *layers])
    generator = np.random.default_rng(0)
    for weight in net.weights:
        weight.assign(generator.uniform(0.5, 1.5, weight.shape))
    model = from_keras(open_model(net))
    x = generator.normal(size=(2, *(size or 5 for size in shape))).astype(np.float32)
    feeds = {str(model.graph.inputs[0].name): x}
    before = run(model, feeds)
    _simplify(model)
    find_patterns(model)
    fewest_transposes(model)
    np.testing.assert_allclose(run(model, feeds)[0], before[0], rtol=1e-5, atol=1e-5)
    return model, Counter(operators(model))


@pytest.mark.parametrize("gamma", [True, False])
@pytest.mark.parametrize("beta", [True, False])
@pytest.mark.parametrize("axis", [-1, 3])
def test_batch_normalization(gamma: bool, beta: bool, axis: int) -> None:
    layer = L.BatchNormalization(axis=axis, scale=gamma, center=beta, epsilon=0.02, name="bn")
    model, count = found([layer], (4, 6, 3))
    (node,) = (node for node in model.graph if node.op_type == "BatchNormalization")
    assert count["Mul"] == count["Sqrt"] == 0
    assert [str(value.name) for value in node.inputs[3:] if value] == ["bn.moving_mean", "bn.moving_variance"]
    if gamma:
        assert node.inputs[1] is not None and node.inputs[1].name == "bn.gamma"
    assert node.attributes["epsilon"].as_float() == pytest.approx(0.02)


def test_batch_normalization_of_rows() -> None:
    assert found([L.BatchNormalization()], (7,))[1] == {"BatchNormalization": 1}


@pytest.mark.parametrize("gamma", [True, False])
@pytest.mark.parametrize("beta", [True, False])
def test_layer_normalization(gamma: bool, beta: bool) -> None:
    layer = L.LayerNormalization(scale=gamma, center=beta, name="ln")
    model, count = found([layer], (None, 6))
    assert count["LayerNormalization"] == 1 and count["ReduceMean"] == 0
    if gamma and beta:
        assert [str(value.name) for value in model.graph[0].inputs[1:] if value] == ["ln.gamma", "ln.beta"]


def test_a_normalization_of_other_axes_stays() -> None:
    assert found([L.LayerNormalization(axis=1)], (4, 6))[1]["LayerNormalization"] == 0


@pytest.mark.parametrize("approximate", [True, False])
def test_gelu(approximate: bool) -> None:
    layer = L.Activation(lambda x: keras.activations.gelu(x, approximate=approximate))
    assert found([layer], (None, 6))[1]["Gelu"] == 1


@pytest.mark.parametrize("shape", [(None, 6), (4, 6), (None, 3, 6)])
def test_products_of_more_than_two_axes(shape: tuple[int | None, ...]) -> None:
    assert found([L.Dense(5)], shape)[1] == {"MatMul": 1, "Add": 1}


@pytest.mark.parametrize("layer", [L.Conv2D, L.DepthwiseConv2D, L.Conv2DTranspose])
@pytest.mark.parametrize("strides", [1, 2])
def test_biases_of_convolutions(layer: Any, strides: int) -> None:
    first = {} if layer is L.DepthwiseConv2D else {"filters": 5}
    model, count = found([layer(kernel_size=3, strides=strides, padding="same", **first)], (8, 6, 3))
    (node,) = (node for node in model.graph if node.op_type.startswith("Conv"))
    assert count["Add"] == 0 and len(node.inputs) == 3
    assert count["Transpose"] == 2


def test_transposes_are_left_at_the_edges() -> None:
    block = [L.Conv2D(4, 3, padding="same"), L.BatchNormalization(), L.ReLU(), L.MaxPool2D(2)]
    _, count = found([*block, *[L.Conv2D(4, 3, padding="same"), L.BatchNormalization(), L.ReLU()]], (8, 8, 3))
    assert count["Transpose"] == 2
    assert count["Unsqueeze"] == count["Mul"] == 0


@pytest.mark.parametrize("axes", [2, 3])
def test_broadcasting_to_both_shapes_is_what_expand_does(axes: int) -> None:
    def both(x: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
        return tf.broadcast_to(x, tf.broadcast_dynamic_shape(tf.shape(x), tf.shape(y)))

    specs = [tf.TensorSpec([None, None, 4][-axes:], tf.float32), tf.TensorSpec([None, None, None], tf.float32)]
    model = to_onnx(open_model(tf.function(both, input_signature=specs)), [])
    _simplify(model)
    find_patterns(model)
    assert set(operators(model)) <= {"Shape", "Cast", "Expand"}
    for shape in ((1, 3, 4), (2, 1, 4)):
        x = np.random.default_rng(0).normal(size=shape[-axes:]).astype(np.float32)
        y = np.zeros((2, 3, 1), np.float32)
        feeds = dict(zip((str(value.name) for value in model.graph.inputs), (x, y), strict=True))
        np.testing.assert_array_equal(run(model, feeds)[0], np.broadcast_to(x, (2, 3, 4)))


@pytest.mark.parametrize(
    ("half", "root", "count"), [(0.5, np.sqrt(2), 1), (0.500003, np.sqrt(2), 0), (0.5, 1.41421, 0)]
)
def test_a_gelu_with_other_numbers_stays_as_it_is_written(half: float, root: float, count: int) -> None:
    layer = L.Lambda(lambda x: half * x * (1.0 + tf.math.erf(x / root)))
    assert found([layer], (None, 6))[1]["Gelu"] == count
