"""Inputs of Resize: shared by the tests of both tables."""

from __future__ import annotations

import numpy as np

TRANSFORMS = ["half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric", "half_pixel_symmetric"]


def inputs(x: np.ndarray, scales: list[float] | None = None, sizes: list[int] | None = None) -> list[np.ndarray | None]:
    """All inputs of the node for `x` [N, C, *spatial], given the scales or the sizes of the spatial axes."""
    if scales is not None:
        return [x, None, np.array([1, 1, *scales], np.float32)]
    return [x, None, None, np.array([*x.shape[:2], *(sizes or [])], np.int64)]
