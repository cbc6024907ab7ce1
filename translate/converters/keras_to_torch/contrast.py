"""Layers that spread the values of images [N, C, H, W]."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from translate.converters.keras_to_torch.here import constant
from translate.converters.keras_to_torch.layout import channels_first
from translate.converters.keras_to_torch.ops.dtypes import torch_dtype
from translate.converters.keras_to_torch.table import lower
from translate.converters.onnx_to_torch.values import record
from translate.errors import UnsupportedError

_LEVELS = 256


def _to_levels(x: torch.Tensor, value_range: Any) -> torch.Tensor:
    low, high = value_range
    return x if (low, high) == (0, 255) else (x - low) / (high - low) * 255


def _from_levels(x: torch.Tensor, value_range: Any) -> torch.Tensor:
    low, high = value_range
    return x if (low, high) == (0, 255) else x / 255 * (high - low) + low


@lower("AutoContrast")
def auto_contrast(layer: Any, x: torch.Tensor) -> torch.Tensor:
    """Stretch each channel of an image so that it has the darkest and the brightest value."""
    levels = _to_levels(x.to(torch_dtype(layer.compute_dtype)), layer.value_range)
    # Keras's axes, whatever the data_format.
    low, high = torch.amin(levels, (1, 2), keepdim=True), torch.amax(levels, (1, 2), keepdim=True)
    scale = 255 / (high - low)
    y = _from_levels(torch.clamp(levels * scale - low * scale, 0, 255), layer.value_range)
    # An image of one value has no contrast.
    return torch.where(torch.isnan(y), x.to(y.dtype), y)


@lower("ContrastLimitedAdaptiveHistogramEqualization", layout=channels_first)
def clahe(layer: Any, x: torch.Tensor) -> torch.Tensor:
    """Spread the values of each tile evenly, with a limit, and go linearly from the middle of one tile to the next.

    Limits: batches of images whose size is known.
    """
    height, width = x.shape[2:] if x.ndim == 4 else (None, None)
    if not isinstance(height, int) or not isinstance(width, int):
        raise UnsupportedError("images of open size, or no batch")
    rows, columns = layer.tile_grid_size
    tile = -(-height // rows), -(-width // columns)
    levels = _to_levels(x.to(torch.float32), layer.value_range)
    for axis, lacking in ((2, tile[0] * rows - height), (3, tile[1] * columns - width)):
        if lacking:
            end = levels.narrow(axis, int(levels.shape[axis]) - lacking, lacking)
            levels = torch.cat([levels, torch.flip(end, [axis])], axis)
    pixels = torch.clamp(levels, 0, _LEVELS - 1).to(torch.int64)
    tiles = pixels.reshape(-1, x.shape[1], rows, tile[0], columns, tile[1]).permute(0, 1, 2, 4, 3, 5).flatten(4)
    counts = record(torch.zeros, [x.size(0), x.size(1), rows, columns, _LEVELS])
    counts = counts.scatter_add(4, tiles, torch.ones_like(tiles, dtype=torch.float32))
    if layer.clip_limit > 0:
        clipped = torch.clamp(counts, max=layer.clip_limit * tile[0] * tile[1] / _LEVELS)
        counts = clipped + torch.sum(counts - clipped, 4, True) / _LEVELS
    below = torch.cumsum(counts, 4)
    least = torch.amin(below, 4, True)
    whole = tile[0] * tile[1] - least
    spread = torch.clamp((below - least) * 255 / torch.where(whole == 0, 1.0, whole), 0, 255)
    # A margin of tiles that repeats the outermost ones.
    for axis, count in ((2, rows), (3, columns)):
        spread = torch.cat([spread.narrow(axis, 0, 1), spread, spread.narrow(axis, count - 1, 1)], axis)
    (top, down), (left, across) = _neighbours("rows", rows, tile[0]), _neighbours("columns", columns, tile[1])
    flat = spread.flatten(2)

    def value(row: Any, column: Any) -> torch.Tensor:
        cells = row.unsqueeze(1) * (columns + 2) + column
        return torch.gather(flat, 2, (cells * _LEVELS + pixels).flatten(2)).reshape(pixels.shape)

    upper = value(top, left) * (1 - across) + value(top, left + 1) * across
    lower_ = value(top + 1, left) * (1 - across) + value(top + 1, left + 1) * across
    down = down.unsqueeze(1)
    y = (upper * (1 - down) + lower_ * down)[..., :height, :width]
    return _from_levels(y, layer.value_range).to(x.dtype)


def _neighbours(name: str, tiles: int, size: int) -> tuple[Any, Any]:
    """Return for each pixel of an axis the tile before it, counted with the margin, and the share of the next one."""
    at = (np.arange(tiles * size, dtype=np.float32) - size / 2) / size + 1
    before = np.floor(at)
    return constant(f"tile_{name}", before.astype(np.int64)), constant(f"share_{name}", at - before)
