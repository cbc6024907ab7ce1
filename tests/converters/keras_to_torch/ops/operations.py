"""How the tests of Keras's operations compare: a functional model of one call against Keras's own result."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import torch

from translate.converters.keras_to_torch import convert


def normal(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype("float32")


def uniform(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(0.1, 0.9, shape).astype("float32")


def ints(*shape: int, low: int = 0, high: int = 6, seed: int = 0, dtype: str = "int32") -> np.ndarray:
    return np.random.default_rng(seed).integers(low, high, shape).astype(dtype)


def bools(*shape: int, seed: int = 0) -> np.ndarray:
    return ints(*shape, high=2, seed=seed).astype(bool)


def with_nan(*shape: int) -> np.ndarray:
    x = normal(*shape)
    x.flat[::5] = np.nan
    return x


def positive_definite(*shape: int, size: int = 3) -> np.ndarray:
    x = normal(*shape, size, size)
    return (x @ np.swapaxes(x, -1, -2) + 2 * np.eye(size)).astype("float32")


def assert_operation(
    call: Callable[..., Any], *arrays: np.ndarray, rtol: float = 2e-5, atol: float = 3e-6, batch: bool = False
) -> None:
    """Compare values, shapes and dtypes; with `batch` the first axis of all inputs is open in the model."""
    inputs = [
        keras.Input(x.shape[1:], dtype=str(x.dtype)) if batch else keras.Input(batch_shape=x.shape, dtype=str(x.dtype))
        for x in arrays
    ]
    module = convert(keras.Model(inputs, call(*inputs)))
    expected = [np.asarray(y) for y in keras.tree.flatten(call(*map(keras.ops.convert_to_tensor, arrays)))]
    with torch.no_grad():
        found = [y.numpy() for y in keras.tree.flatten(module(*(torch.from_numpy(x) for x in arrays)))]
    assert len(found) == len(expected)
    for ours, theirs in zip(found, expected, strict=True):
        assert ours.shape == theirs.shape
        assert ours.dtype == theirs.dtype
        if theirs.dtype == np.float16:
            rtol, atol = max(rtol, 3e-3), max(atol, 1e-3)
        np.testing.assert_allclose(ours, theirs, rtol=rtol, atol=atol)
