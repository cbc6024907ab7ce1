"""Normalisations: any rank, symbolic sizes, large means, gradients to scale and bias."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.converters.nodes import normal
from tests.converters.onnx_to_tf.cases import check, gradients, run


def tensors(*arrays: np.ndarray) -> list[torch.Tensor]:
    return [torch.tensor(array) for array in arrays]


SHAPES = [(5, 4), (2, 4, 7), (2, 4, 5, 6), (2, 4, 3, 5, 2)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_batch_normalization(shape: tuple[int, ...], dtype: str) -> None:
    x, scale, bias, mean = (array.astype(dtype) for array in (normal(*shape), normal(4), normal(4) + 1, normal(4) * 2))
    variance = np.abs(mean) + 1e-5
    a, b, m, v = tensors(scale, bias, mean, variance)
    expected = torch.nn.functional.batch_norm(torch.tensor(x), m, v, a, b, eps=1e-5).numpy()
    check("BatchNormalization", [x, scale, bias, mean, variance], {"epsilon": 1e-5}, expected=[expected], rtol=1e-4)


def test_batch_normalization_in_training_moves_the_running_statistics() -> None:
    x, scale, bias, mean = normal(2, 4, 5, 6), normal(4), normal(4), normal(4)
    variance = np.abs(normal(4))
    attributes = {"training_mode": 1, "momentum": 0.7}
    check("BatchNormalization", [x, scale, bias, mean, variance], attributes, outputs=3, rtol=1e-4)


def test_gradients_reach_scale_and_bias() -> None:
    x, scale, bias, mean = normal(2, 4, 5, 6), normal(4), normal(4), normal(4)
    variance = np.abs(mean) + 0.1
    dx, dscale, dbias, *_ = gradients("BatchNormalization", [x, scale, bias, mean, variance])
    normalised = (x - mean[:, None, None]) / np.sqrt(variance + 1e-5)[:, None, None]
    np.testing.assert_allclose(dscale, normalised.sum((0, 2, 3)), rtol=1e-4)
    np.testing.assert_allclose(dbias, np.full(4, 60.0), rtol=1e-6)
    factor = (scale / np.sqrt(variance + 1e-5))[:, None, None]
    np.testing.assert_allclose(dx, np.broadcast_to(factor, x.shape), rtol=1e-4)


@pytest.mark.parametrize("shape", SHAPES[1:])
def test_instance_and_group_normalization(shape: tuple[int, ...]) -> None:
    x, scale, bias = normal(*shape) * 3 + 100, normal(4), normal(4) + 1
    expected = torch.nn.functional.instance_norm(torch.tensor(x), None, None, *tensors(scale, bias)).numpy()
    check("InstanceNormalization", [x, scale, bias], expected=[expected], rtol=1e-3, atol=1e-4)
    expected = torch.nn.functional.group_norm(torch.tensor(x), 2, *tensors(scale, bias)).numpy()
    check("GroupNormalization", [x, scale, bias], {"num_groups": 2}, 21, expected=[expected], rtol=1e-3, atol=1e-4)
    # Up to opset 20 there is one scale for a group, not for a channel.
    expected = torch.nn.functional.group_norm(
        torch.tensor(x), 2, *tensors(scale[[0, 0, 1, 1]], bias[[0, 0, 1, 1]])
    ).numpy()
    inputs = [x, scale[:2], bias[:2]]
    check("GroupNormalization", inputs, {"num_groups": 2}, 18, expected=[expected], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("axis", [-1, 1, -2])
def test_layer_normalization_keeps_its_digits_at_a_large_mean(axis: int) -> None:
    x = normal(2, 3, 16) + 1000
    shape = x.shape[axis:]
    scale, bias = normal(*shape), normal(*shape) + 1
    exact = [tensor.double() for tensor in tensors(x, scale, bias)]
    expected = torch.nn.functional.layer_norm(exact[0], shape, exact[1], exact[2]).float().numpy()
    check("LayerNormalization", [x, scale, bias], {"axis": axis}, expected=[expected], rtol=1e-3, atol=1e-4)


def test_layer_normalization_returns_its_statistics() -> None:
    check("LayerNormalization", [normal(2, 3, 8), normal(8)], outputs=3, rtol=1e-4)


def test_float64_does_not_pass_through_float32() -> None:
    x, scale = normal(2, 16).astype(np.float64), np.ones(16)
    expected = torch.nn.functional.layer_norm(torch.tensor(x), (16,)).numpy()
    (actual,) = run("LayerNormalization", [x, scale])
    np.testing.assert_allclose(actual, expected, rtol=1e-12)


def test_lp_normalization_of_zeros_is_zero() -> None:
    x = np.array([[0.0, 0.0], [3.0, 4.0]], np.float32)
    check("LpNormalization", [x], {"axis": 1}, expected=[np.array([[0, 0], [0.6, 0.8]], np.float32)])


@pytest.mark.parametrize("size", [1, 2, 3, 5])
def test_lrn(size: int) -> None:
    x = normal(2, 5, 3, 4)
    # Of an even number of neighbours the odd one comes after the channel (in torch before it).
    total = [np.sum(x[:, max(0, c - (size - 1) // 2) : c + size // 2 + 1] ** 2, 1) for c in range(5)]
    expected = x / (1 + 0.3 / size * np.stack(total, 1)) ** 0.75
    check("LRN", [x], {"size": size, "alpha": 0.3}, expected=[expected.astype(np.float32)])


def test_float64_groups_keep_their_digits() -> None:
    x = np.random.default_rng(0).standard_normal((2, 4, 5, 3))
    groups = x.reshape(2, 2, -1)
    centred = groups - groups.mean(-1, keepdims=True)
    expected = (centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-5)).reshape(x.shape)
    inputs = [x, np.ones(4), np.zeros(4)]
    check("GroupNormalization", inputs, {"num_groups": 2}, 21, expected=[expected], rtol=1e-12, atol=1e-12)
