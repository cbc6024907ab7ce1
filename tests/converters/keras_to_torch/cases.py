"""How the tests of Keras → PyTorch, layer by layer, compare: random weights, random inputs, both frameworks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import torch
from torch import fx

from translate.converters import keras_to_torch


def randomise(model: Any, seed: int = 0) -> None:
    """Give every weight of the model random numbers; variances are positive."""
    generator = np.random.default_rng(seed)
    for variable in model.weights:
        values = generator.standard_normal(variable.shape) * 0.4
        positive = np.abs(values) + 0.5
        variable.assign(positive if "variance" in variable.path else values)


def sequential(shape: Sequence[int | None], *layers: Any, dtype: str = "float32") -> Any:
    return keras.Sequential([keras.Input(tuple(shape), dtype=dtype), *layers])


def feed(shape: Sequence[int], seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype("float32")


def outputs(module: Any, feeds: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Run the module and return its outputs, flat."""
    with torch.no_grad():
        result = module(*(torch.from_numpy(array) for array in feeds))
    return [leaf.numpy() for leaf in keras.tree.flatten(result)]


def assert_same(model: Any, *feeds: np.ndarray, atol: float = 2e-6) -> fx.GraphModule:
    """Translate the model, with random weights, and compare; return the module."""
    randomise(model)
    assert keras_to_torch.missing(model) == []
    module = keras_to_torch.convert(model)
    expected = keras.tree.flatten(model(list(feeds) if len(feeds) > 1 else feeds[0], training=False))
    found = outputs(module, feeds)
    assert len(found) == len(expected)
    for theirs, ours in zip(expected, found, strict=True):
        array = np.asarray(theirs)
        assert ours.shape == array.shape
        assert ours.dtype == array.dtype
        np.testing.assert_allclose(ours, array, rtol=2e-5, atol=atol)
    # An output that does not depend on the input would pass whatever is wrong.
    other = outputs(module, [np.roll(array, 1, axis=-1) if array.ndim else array for array in feeds])
    assert any(not np.array_equal(a, b) for a, b in zip(found, other, strict=True))
    return module
