"""Live functions of TensorFlow as models."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from translate.errors import OpenError, UsageError
from translate.models.base import Spec
from translate.models.open import open_model
from translate.models.traced import FunctionModel


class Module(tf.Module):
    def __init__(self) -> None:
        self.w = tf.Variable(np.arange(6, dtype=np.float32).reshape(2, 3), name="w")

    @tf.function(input_signature=[tf.TensorSpec([None, 2], name="x"), tf.TensorSpec([3], name="bias")], autograph=False)
    def run(self, x: tf.Tensor, bias: tf.Tensor) -> Any:
        return {"z": x @ self.w + bias, "a": x}

    @tf.function(autograph=False)
    def helper(self, x: tf.Tensor) -> tf.Tensor:
        return x


X, BIAS = np.ones((4, 2), np.float32), np.asarray([0, 1, 2], np.float32)


@pytest.mark.parametrize("form", ["module", "function", "concrete"])
def test_every_form(form: str) -> None:
    module = Module()
    source = {"module": module, "function": module.run, "concrete": module.run.get_concrete_function()}[form]
    model = open_model(source)
    assert isinstance(model, FunctionModel)
    assert model.inputs == (Spec("x", "float32", ("batch", 2)), Spec("bias", "float32", (3,)))
    assert [spec.name for spec in model.outputs] == ["a", "z"]
    results = model.run({"bias": BIAS, "x": X})
    np.testing.assert_array_equal(results["a"], X)
    np.testing.assert_array_equal(results["z"], X @ module.w.numpy() + BIAS)


def test_declared_inputs() -> None:
    function = tf.function(lambda x, y: (x + y, x), autograph=False)
    # By name, in whatever order.
    model = open_model(function, inputs=["y:1", "x:rows,3"])
    assert [spec.name for spec in model.inputs] == ["x", "y"] and model.inputs[0].shape == ("rows", 3)
    results = model.run({"x": np.ones((2, 3), np.float32), "y": np.ones(1, np.float32)})
    assert results["output_0"].tolist() == [[2] * 3] * 2 and results["output_1"].tolist() == [[1] * 3] * 2
    named = open_model(Module(), inputs=["x:rows,2"])
    assert named.inputs[0].shape == ("rows", 2)


def test_what_is_no_model() -> None:
    with pytest.raises(OpenError, match="give its inputs"):
        open_model(tf.function(lambda x: x, autograph=False))
    with pytest.raises(OpenError, match="it has none at all"):
        open_model(tf.Module())
    with pytest.raises(OpenError, match=r"tracing the tf\.function failed"):
        open_model(tf.function(lambda x: x @ tf.ones([5, 5]), autograph=False), inputs=["x:batch,3"])
    ragged = tf.function(lambda x: x.to_tensor(), [tf.RaggedTensorSpec([None, None])], autograph=False)
    with pytest.raises(OpenError, match="takes other things than tensors"):
        open_model(ragged)
    with pytest.raises(UsageError, match="where it is made"):
        open_model(f"{__name__}:module", weights="w.pt")


def module() -> tf.Module:
    return Module()


def test_a_factory() -> None:
    assert isinstance(open_model(f"{__name__}:module"), FunctionModel)
