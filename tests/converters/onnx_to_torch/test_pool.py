"""Where maxima were, with padding that differs from side to side, and putting them back."""

from __future__ import annotations

import numpy as np
import pytest

from tests.converters.nodes import normal, onnxruntime
from tests.converters.onnx_to_torch.cases import check, run


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
