"""Pools: symbolic sizes, ceil_mode, padding that counts or does not, dilations, positions, integers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from tests.converters.nodes import normal
from tests.converters.onnx_to_tf.cases import check, gradients, onnxruntime, reference, run

POOLS = [
    ("1d", (2, 3, 11), {"kernel_shape": [3], "strides": [2], "pads": [1, 1]}),
    ("plain", (2, 3, 8, 9), {"kernel_shape": [2, 2], "strides": [2, 2]}),
    ("resnet", (2, 3, 8, 9), {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]}),
    ("ceil", (2, 3, 8, 9), {"kernel_shape": [3, 3], "strides": [2, 2], "ceil_mode": 1}),
    ("ceil and pads", (2, 3, 8, 9), {"kernel_shape": [3, 2], "strides": [2, 2], "pads": [0, 1, 1, 0], "ceil_mode": 1}),
    ("same", (2, 3, 8, 9), {"kernel_shape": [3, 2], "strides": [2, 2], "auto_pad": "SAME_UPPER"}),
    ("same lower", (2, 3, 8, 9), {"kernel_shape": [3, 2], "strides": [2, 2], "auto_pad": "SAME_LOWER"}),
    ("dilated", (2, 3, 8, 9), {"kernel_shape": [3, 2], "strides": [1, 2], "dilations": [2, 3], "pads": [1, 0, 1, 1]}),
    ("3d", (1, 2, 5, 6, 7), {"kernel_shape": [2, 3, 2], "strides": [1, 2, 2], "pads": [0, 1, 1, 1, 1, 0]}),
]


@pytest.mark.parametrize(("shape", "attributes"), [case[1:] for case in POOLS], ids=[case[0] for case in POOLS])
@pytest.mark.parametrize("op", ["MaxPool", "AveragePool", "AveragePool with padding", "LpPool"])
def test_pool(op: str, shape: tuple[int, ...], attributes: dict[str, Any]) -> None:
    more = {"count_include_pad": 1} if op.endswith("padding") else {}
    # ONNX's reference implementation is wrong for the largest of auto_pad and for LpPool with ceil_mode, and
    # onnxruntime for averages that count padding.
    op, source = op.split()[0], reference if op.startswith("AveragePool") else onnxruntime
    expected = source(op, [normal(*shape)], attributes | more, opset=22)
    check(op, [normal(*shape)], attributes | more, opset=22, expected=expected, rtol=1e-4, atol=1e-5)


def test_the_last_window_of_ceil_mode_does_not_start_in_the_padding() -> None:
    x = normal(1, 1, 5, 5)
    options: dict[str, Any] = {"kernel_size": 2, "stride": 3, "padding": 1, "ceil_mode": True}
    attributes = {"kernel_shape": [2, 2], "strides": [3, 3], "pads": [1, 1, 1, 1], "ceil_mode": 1}
    expected = torch.nn.functional.max_pool2d(torch.tensor(x), **options).numpy()
    check("MaxPool", [x], attributes, opset=22, expected=[expected])
    expected = torch.nn.functional.avg_pool2d(torch.tensor(x), **options).numpy()
    check("AveragePool", [x], attributes | {"count_include_pad": 1}, opset=22, expected=[expected])


@pytest.mark.parametrize("dtype", ["uint8", "int8", "float16", "float64"])
def test_padding_never_wins(dtype: str) -> None:
    x = np.full((1, 1, 3, 3), np.iinfo(dtype).min if dtype.endswith("int8") else -60000, dtype)
    expected = np.full((1, 1, 2, 2), x[0, 0, 0, 0], dtype)
    attributes = {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]}
    check("MaxPool", [x], attributes, expected=[expected])


@pytest.mark.parametrize("ceil_mode", [0, 1])
def test_positions_count_in_the_whole_tensor(ceil_mode: int) -> None:
    x = normal(2, 3, 7, 8)
    options: dict[str, Any] = {"kernel_size": (3, 2), "stride": 2, "padding": (1, 0), "ceil_mode": bool(ceil_mode)}
    y, where = torch.nn.functional.max_pool2d(torch.tensor(x), return_indices=True, **options)
    # Torch counts in each plane, ONNX in the whole tensor.
    planes = np.arange(6).reshape(2, 3, 1, 1) * 56
    attributes = {"kernel_shape": [3, 2], "strides": [2, 2], "pads": [1, 0, 1, 0], "ceil_mode": ceil_mode}
    check("MaxPool", [x], attributes, opset=22, outputs=2, expected=[y.numpy(), where.numpy() + planes])


def test_max_unpool_is_the_way_back() -> None:
    pooled, indices = run("MaxPool", [normal(2, 3, 6, 8)], {"kernel_shape": [2, 2], "strides": [2, 2]}, outputs=2)
    expected = np.zeros((2, 3, 6, 8), np.float32)
    expected.reshape(-1)[indices] = pooled
    check("MaxUnpool", [pooled, indices], {"kernel_shape": [2, 2], "strides": [2, 2]}, expected=[expected])


@pytest.mark.parametrize("op", ["MaxPool", "AveragePool"])
def test_gradients_are_those_of_torch(op: str) -> None:
    x = normal(2, 3, 7, 8)
    tensor = torch.tensor(x, requires_grad=True)
    if op == "MaxPool":
        y = torch.nn.functional.max_pool2d(tensor, 3, 2, 1)
    else:
        y = torch.nn.functional.avg_pool2d(tensor, 3, 2, 1, count_include_pad=False)
    y.sum().backward()
    attributes = {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]}
    (actual,) = gradients(op, [x], attributes)
    assert tensor.grad is not None
    np.testing.assert_allclose(actual, tensor.grad.numpy(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("op", ["GlobalAveragePool", "GlobalMaxPool", "GlobalLpPool"])
@pytest.mark.parametrize("shape", [(2, 3, 5), (2, 3, 4, 5), (2, 3, 4, 5, 2)])
def test_global_pools_of_any_rank(op: str, shape: tuple[int, ...]) -> None:
    x = normal(*shape)
    axes = tuple(range(2, len(shape)))
    functions = {"GlobalAveragePool": np.mean, "GlobalMaxPool": np.max, "GlobalLpPool": _norm}
    check(op, [x], expected=[functions[op](x, axis=axes, keepdims=True)])


def _norm(x: np.ndarray, axis: tuple[int, ...], keepdims: bool) -> np.ndarray:
    return np.sqrt(np.sum(x * x, axis=axis, keepdims=keepdims))


@pytest.mark.parametrize("shape", [(1, 1, 4, 4), (1, 1, 2, 4, 4)], ids=["2d", "3d"])
def test_only_the_largest_element_of_a_window_has_a_gradient(shape: tuple[int, ...]) -> None:
    # TensorFlow's own pool in three dimensions takes what differs by less than 1e-5 for equal.
    x = 0.5 + 1e-6 * np.random.default_rng(0).permutation(int(np.prod(shape))).astype(np.float32).reshape(shape)
    kernel = [2] * (len(shape) - 2)
    source = torch.tensor(x, requires_grad=True)
    pool = torch.nn.functional.max_pool2d if len(shape) == 4 else torch.nn.functional.max_pool3d
    pool(source, 2).sum().backward()
    assert source.grad is not None
    (gradient,) = gradients("MaxPool", [x], {"kernel_shape": kernel, "strides": kernel}, opset=22)
    np.testing.assert_array_equal(gradient, source.grad.numpy())
