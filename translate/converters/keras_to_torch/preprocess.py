"""Preprocessing of numbers and images."""

from __future__ import annotations

from typing import Any

import keras
import torch

from translate.converters.keras_to_torch.here import apply, constant, order_here
from translate.converters.keras_to_torch.layout import any_order, channels_first
from translate.converters.keras_to_torch.resizing import fitted, resized, rounded
from translate.converters.keras_to_torch.table import lower
from translate.converters.onnx_to_torch.values import static_size
from translate.errors import UnsupportedError


def _compute_dtype(layer: Any) -> torch.dtype:
    dtype = getattr(torch, layer.compute_dtype)
    assert isinstance(dtype, torch.dtype)
    return dtype


@lower("Rescaling", layout=any_order)
def rescaling(layer: Any, x: torch.Tensor) -> torch.Tensor:
    """Multiply by a scale and add an offset."""
    if x.dtype is not _compute_dtype(layer):
        x = x.to(_compute_dtype(layer))
    scale, offset = (_number(name, getattr(layer, name), x) for name in ("scale", "offset"))
    y = x if isinstance(scale, float) and scale == 1 else x * scale
    return y if isinstance(offset, float) and offset == 0 else y + offset


def _number(name: str, value: Any, x: torch.Tensor) -> Any:
    """Return a number, or numbers for each place of the last axes, with their axes in the order of x."""
    array = keras.ops.convert_to_numpy(value)
    if array.ndim == 0:
        return float(array)
    array = array.reshape([1] * (x.ndim - array.ndim) + list(array.shape)).transpose(order_here(x.ndim))
    return constant(name, array.astype(str(x.dtype).removeprefix("torch.")))


@lower("Pipeline", layout=any_order)
def pipeline(layer: Any, x: torch.Tensor) -> Any:
    """Apply layers one after the other."""
    for one in layer.layers:
        x = apply(one, x)
    return x


@lower("Resizing", layout=channels_first)
def resizing(layer: Any, x: torch.Tensor) -> torch.Tensor:
    """Resize images to a height and width; before, they may be cropped or padded to its proportions.

    Limits: batches of images, without labels or boxes.
    """
    _check_batch(x)
    size = (layer.height, layer.width)
    y = fitted(x, size, layer.crop_to_aspect_ratio, layer.pad_to_aspect_ratio, float(layer.fill_value))
    return rounded(resized(y, size, layer.interpolation, layer.antialias), x.dtype)


@lower("CenterCrop", layout=channels_first)
def center_crop(layer: Any, x: torch.Tensor) -> torch.Tensor:
    """Cut the middle out; images that are too small are cropped to its proportions and resized.

    Limits: batches of images whose size is known, without labels or boxes.
    """
    _check_batch(x)
    height, width = static_size(x, 2), static_size(x, 3)
    if height is None or width is None:
        raise UnsupportedError("images of open size")
    x = x.to(_compute_dtype(layer))
    if height < layer.height or width < layer.width:
        size = (layer.height, layer.width)
        return resized(fitted(x, size, crop=True, pad=False), size, "bilinear", antialias=False)
    top, left = (height - layer.height) // 2, (width - layer.width) // 2
    return x[..., top : top + layer.height, left : left + layer.width]


@lower("MaxNumBoundingBoxes", layout=any_order)
def max_num_bounding_boxes(layer: Any, x: torch.Tensor) -> torch.Tensor:
    """Hand images on.

    Limits: no bounding boxes.
    """
    _check_batch(x)
    return x


def _check_batch(x: Any) -> None:
    if isinstance(x, dict) or x.ndim != 4:
        raise UnsupportedError("images that are no batch, or come with labels or boxes")
