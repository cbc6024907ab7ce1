"""Activations against PyTorch's definitions, their gradients, and softmax along any axis."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest
import torch
import torch.nn.functional as F

from tests.converters.onnx_to_tf.cases import check, gradients, run

X = np.concatenate([np.linspace(-8, 8, 65), [-100.0, 100.0]]).astype(np.float32)

# Operator, attributes, opset, the same in PyTorch.
AS_IN_PYTORCH: list[tuple[str, dict[str, Any], int, Any]] = [
    ("Celu", {"alpha": 2.0}, 18, lambda x: F.celu(x, 2.0)),
    ("Elu", {"alpha": 1.5}, 18, lambda x: F.elu(x, 1.5)),
    ("Gelu", {}, 20, F.gelu),
    ("Gelu", {"approximate": "tanh"}, 20, lambda x: F.gelu(x, approximate="tanh")),
    ("HardSigmoid", {"alpha": 1 / 6}, 18, F.hardsigmoid),
    ("HardSwish", {}, 18, F.hardswish),
    ("LeakyRelu", {"alpha": 0.2}, 18, lambda x: F.leaky_relu(x, 0.2)),
    ("Mish", {}, 18, F.mish),
    ("Relu", {}, 18, F.relu),
    ("Selu", {}, 18, F.selu),
    ("Shrink", {"lambd": 1.0}, 18, lambda x: F.hardshrink(x, 1.0)),
    ("Shrink", {"lambd": 1.0, "bias": 1.0}, 18, lambda x: F.softshrink(x, 1.0)),
    ("Sigmoid", {}, 18, F.sigmoid),
    ("Softplus", {}, 18, F.softplus),
    ("Softsign", {}, 18, F.softsign),
    ("Swish", {}, 24, F.silu),
    ("Tanh", {}, 18, F.tanh),
    ("ThresholdedRelu", {"alpha": 1.0}, 18, lambda x: F.threshold(x, 1.0, 0.0)),
]


@pytest.mark.parametrize(("op", "attributes", "opset", "function"), AS_IN_PYTORCH)
def test_values_and_gradients_are_pytorchs(op: str, attributes: dict[str, Any], opset: int, function: Any) -> None:
    # PyTorch's own corners (|x| = 3, 1, 0) have one-sided gradients: kept out of the comparison.
    x = torch.tensor(X, requires_grad=True)
    y = function(x)
    y.sum().backward()
    check(op, [X], attributes, opset, expected=[y.detach().numpy()], rtol=2e-6, atol=1e-6)
    (gradient,) = gradients(op, [X], attributes, opset)
    smooth = ~np.isin(np.abs(X), [0, 1, 3])
    np.testing.assert_allclose(gradient[smooth], x.grad.numpy()[smooth], rtol=1e-5, atol=2e-6)


def test_prelu_with_one_slope_for_each_channel() -> None:
    x, slope = X[:60].reshape(2, 3, 10), np.array([0.1, 0.5, 2.0], np.float32)
    expected = F.prelu(torch.tensor(x), torch.tensor(slope)).numpy()
    check("PRelu", [x, slope[:, None]], expected=[expected])
    assert gradients("PRelu", [x, slope[:, None]])[1].shape == (3, 1)


@pytest.mark.parametrize("axis", [0, 1, -1])
@pytest.mark.parametrize("dtype", ["float16", ml_dtypes.bfloat16, "float32", "float64"])
@pytest.mark.parametrize("op", ["Softmax", "LogSoftmax"])
def test_softmax_along_any_axis(op: str, dtype: Any, axis: int) -> None:
    x = np.random.default_rng(0).standard_normal((6, 1500, 2)).astype(dtype)
    function = torch.softmax if op == "Softmax" else torch.log_softmax
    expected = function(torch.tensor(x.astype(np.float64)), axis).numpy().astype(dtype)
    rtol = {"float64": 1e-12, "float32": 1e-5, "float16": 2e-3}.get(np.dtype(dtype).name, 1e-2)
    check(op, [x], {"axis": axis}, expected=[expected], rtol=rtol, atol=0 if op == "Softmax" else rtol)


@pytest.mark.parametrize("axis", [0, 1])
def test_softmax_of_large_numbers(axis: int) -> None:
    x = np.array([[1e4, 0, -1e4], [1e4, 1e4, 1e4]], np.float32)
    expected = torch.log_softmax(torch.tensor(x), axis).numpy()
    check("LogSoftmax", [x], {"axis": axis}, expected=[expected])
    check("Softmax", [x], {"axis": axis}, expected=[np.exp(expected)])


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("op", ["Softmax", "LogSoftmax"])
def test_gradient_of_softmax(op: str, axis: int) -> None:
    x = np.random.default_rng(0).standard_normal((3, 4)).astype(np.float32)
    source = torch.tensor(x, requires_grad=True)
    (torch.softmax if op == "Softmax" else torch.log_softmax)(source, axis).sum().backward()
    np.testing.assert_allclose(gradients(op, [x], {"axis": axis})[0], source.grad.numpy(), atol=2e-6)


def test_hardmax_takes_the_first_of_equals() -> None:
    x = np.array([[1, 3, 3], [2, 2, 2]], np.float32)
    np.testing.assert_array_equal(run("Hardmax", [x], {"axis": 1})[0], [[0, 1, 0], [1, 0, 0]])
