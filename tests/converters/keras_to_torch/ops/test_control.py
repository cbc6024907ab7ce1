"""Operations that call functions: in functional models, and in custom layers whose functions enclose weights."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
import torch
from keras import ops

from tests.converters.keras_to_torch.ops.operations import assert_operation, normal
from translate.converters.keras_to_torch import convert
from translate.errors import CannotTranslateError

X = normal(6, 4)


@pytest.mark.parametrize("reverse", [False, True])
def test_scans(reverse):
    assert_operation(lambda x: ops.scan(lambda c, t: (c + t, c * 2 + t), ops.zeros_like(x[0]), x, reverse=reverse), X)
    assert_operation(lambda x: ops.scan(lambda c, t: (c, c + t), x[0], x, reverse=reverse)[1], X)


def test_maps():
    assert_operation(lambda x: ops.map(lambda t: ops.sum(t * t), x), X)
    assert_operation(lambda x: ops.map(lambda t: t, x), X)
    assert_operation(lambda x: ops.vectorized_map(ops.softmax, x), X, batch=True)
    assert_operation(
        lambda x, y: ops.vectorized_map(lambda t: ops.matmul(t[0], t[1]), (x, y)), normal(6, 3, 4), normal(6, 4, 2)
    )


@pytest.mark.parametrize("most", [100.0, -1.0], ids=["some steps", "no step"])
@pytest.mark.parametrize("limit", [None, 3])
def test_loops_while_a_condition_holds(most, limit):
    def call(x: Any) -> Any:
        return ops.while_loop(lambda v: ops.sum(ops.abs(v)) < most, lambda v: (v * 1.5,), (x,), limit)[0]

    assert_operation(call, X)


@pytest.mark.parametrize("steps", [(0, 4), (2, 3), (3, 3)])
def test_loops_over_numbers(steps):
    assert_operation(lambda x: ops.fori_loop(*steps, lambda i, v: v * 2 + ops.cast(i, "float32"), x), X)


@pytest.mark.parametrize("number", [-1, 0, 1, 2, 9])
def test_one_of_several_functions(number):
    branches: list[Callable[[Any], Any]] = [lambda t: t * 2, lambda t: t + 1, lambda t: -t]
    assert_operation(lambda i, x: ops.switch(i[0], branches, x), np.array([number], "int32"), X)


class Enclosing(keras.Layer):
    """Calls functions that enclose its weight and its input."""

    def build(self, shape: Any) -> None:
        self.scale = self.add_weight(shape=(4,), initializer="random_normal", name="scale")
        self.unused = self.add_weight(shape=(1,), name="unused")

    def call(self, x: Any) -> Any:
        y = ops.cond(ops.sum(x) > 0, lambda: x * self.scale, lambda: x - self.scale)
        y = ops.map(lambda t: t * self.scale + x[0], y)
        return ops.fori_loop(0, 5, lambda i, v: v + self.scale, y)


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_functions_enclose_tensors_and_weights(sign):
    model = keras.Sequential([keras.Input((4,)), Enclosing()])
    module = convert(model)
    x = sign * np.abs(X)
    values = torch.from_numpy(x)
    np.testing.assert_allclose(module(values).detach().numpy(), np.asarray(model(x)), rtol=1e-5, atol=1e-6)
    # The weight is live, and the exported program has it and an open batch.
    exported = torch.export.export(module, (values,), dynamic_shapes=[{0: torch.export.Dim("batch")}])
    np.testing.assert_allclose(
        exported.module()(values[:3]).detach().numpy(), np.asarray(model(x[:3])), rtol=1e-5, atol=1e-6
    )
    module(values).sum().backward()
    (scale,) = (parameter for name, parameter in module.named_parameters() if name.endswith("scale"))
    assert scale.grad.abs().sum() > 0


def test_a_function_that_calls_layers_is_refused():
    x = keras.Input((3, 4))
    dense = keras.layers.Dense(2)
    model = keras.Model(x, ops.map(lambda t: dense(t), x))
    with pytest.raises(CannotTranslateError, match="calls layers"):
        convert(model)
