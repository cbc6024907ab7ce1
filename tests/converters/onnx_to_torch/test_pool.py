"""Where maxima were, with padding that differs from side to side, and putting them back."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.converters.nodes import normal, one_node, onnxruntime
from tests.converters.onnx_to_torch.cases import check, exported, run


@pytest.mark.parametrize("storage_order", [0, 1])
@pytest.mark.parametrize("pads", [[0, 0, 1, 1], [1, 0, 0, 1], [1, 1, 1, 1]])
def test_positions_of_maxima(pads: list[int], storage_order: int) -> None:
    attributes = {"kernel_shape": [3, 2], "strides": [2, 1], "pads": pads, "storage_order": storage_order}
    x = normal(2, 3, 6, 7)
    check("MaxPool", [x], attributes, 12, expected=onnxruntime("MaxPool", [x], attributes, 12, outputs=2), outputs=2)


def test_maxima_are_put_back() -> None:
    x = normal(2, 3, 4, 6)
    attributes = {"kernel_shape": [2, 2], "strides": [2, 2]}
    pooled, places = run("MaxPool", [x], attributes, 12, outputs=2)
    (back,) = run("MaxUnpool", [pooled, places], attributes, 11)
    np.testing.assert_array_equal(back, np.where(pooled.repeat(2, 2).repeat(2, 3) == x, x, 0))


@pytest.mark.parametrize("outputs", [1, 2])
def test_the_exported_program_pools_any_length(outputs: int) -> None:
    attributes = {"kernel_shape": [3], "strides": [2], "pads": [1, 1]}
    module = exported(one_node("MaxPool", [normal(2, 3, 8)], attributes, 12, outputs=outputs))
    for length in (5, 11):
        x = normal(2, 3, length)
        results = module(torch.from_numpy(x))
        expected = onnxruntime("MaxPool", [x], attributes, 12, outputs=outputs)
        found = list(results.values()) if isinstance(results, dict) else [results] if outputs == 1 else list(results)
        for ours, theirs in zip(found, expected, strict=True):
            np.testing.assert_array_equal(ours, theirs)
