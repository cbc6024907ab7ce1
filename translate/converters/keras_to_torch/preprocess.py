"""Preprocessing of numbers and images, and augmentation, which does nothing when the model is used."""

from __future__ import annotations

from typing import Any

import keras
import torch
import torch.nn.functional as F

from translate.converters.keras_to_torch.here import apply, constant
from translate.converters.keras_to_torch.layout import channels_first
from translate.converters.keras_to_torch.table import lower
from translate.converters.onnx_to_torch.builder import record, static_size
from translate.errors import UnsupportedError


def _compute_dtype(layer: Any) -> torch.dtype:
    dtype = getattr(torch, layer.compute_dtype)
    assert isinstance(dtype, torch.dtype)
    return dtype


@lower("Rescaling")
def rescaling(layer: Any, x: torch.Tensor) -> torch.Tensor:
    """Multiply by a scale and add an offset."""
    if x.dtype is not _compute_dtype(layer):
        x = x.to(_compute_dtype(layer))
    scale, offset = (_number(name, getattr(layer, name), x) for name in ("scale", "offset"))
    y = x if isinstance(scale, float) and scale == 1 else x * scale
    return y if isinstance(offset, float) and offset == 0 else y + offset


def _number(name: str, value: Any, x: torch.Tensor) -> Any:
    array = keras.ops.convert_to_numpy(value)
    if array.ndim == 0:
        return float(array)
    return constant(name, array.astype(str(x.dtype).removeprefix("torch.")))


@lower("Pipeline")
def pipeline(layer: Any, x: torch.Tensor) -> Any:
    """Apply layers one after the other."""
    for one in layer.layers:
        x = apply(one, x)
    return x


@lower("Resizing", layout=channels_first)
def resizing(layer: Any, x: torch.Tensor) -> torch.Tensor:
    """Resize images to a height and width.

    Limits: bilinear and nearest interpolation, without antialiasing, cropping or padding.
    """
    extra = layer.antialias or layer.crop_to_aspect_ratio or layer.pad_to_aspect_ratio
    if layer.interpolation not in ("bilinear", "nearest") or extra or x.ndim != 4:
        raise UnsupportedError(f"{layer.interpolation} interpolation, antialiasing, cropping or padding")
    if layer.interpolation == "nearest":
        return F.interpolate(x, (layer.height, layer.width), mode="nearest-exact")
    return F.interpolate(x.to(_compute_dtype(layer)), (layer.height, layer.width), mode="bilinear", align_corners=False)


@lower("CenterCrop", layout=channels_first)
def center_crop(layer: Any, x: torch.Tensor) -> torch.Tensor:
    """Cut the middle out.

    Limits: images whose size is known and at least that of the crop.
    """
    sizes = [static_size(x, axis) for axis in (x.ndim - 2, x.ndim - 1)]
    wanted = (layer.height, layer.width)
    if any(size is None or size < want for size, want in zip(sizes, wanted, strict=True)):
        raise UnsupportedError("images that are smaller than the crop, or of open size")
    top, left = (int((size or 0) - want) // 2 for size, want in zip(sizes, wanted, strict=True))
    return x[..., top : top + layer.height, left : left + layer.width].to(_compute_dtype(layer))


@lower("Discretization")
def discretization(layer: Any, x: torch.Tensor) -> torch.Tensor:
    """Say between which boundaries a number is.

    Limits: the output mode "int".
    """
    if layer.output_mode != "int":
        raise UnsupportedError(f"the output mode {layer.output_mode}")
    boundaries = constant("boundaries", keras.ops.convert_to_numpy(layer.bin_boundaries).astype("float32"))
    return torch.bucketize(x, boundaries, right=True, out_int32=True)


@lower("CategoryEncoding")
def category_encoding(layer: Any, x: torch.Tensor, *, count_weights: Any = None) -> Any:
    """Write categories as vectors: one for each, or one for all of a sample.

    Limits: no weights.
    """
    if count_weights is not None:
        raise UnsupportedError("weights of the categories")
    places = record(torch.arange, layer.num_tokens)
    dtype = _compute_dtype(layer)
    x = x.to(torch.int64)
    if layer.output_mode == "one_hot":
        x = x.squeeze(-1) if x.ndim > 1 and static_size(x, x.ndim - 1) == 1 else x
        return (x.unsqueeze(-1) == places).to(dtype)
    hot = (x.unsqueeze(-1) == places).to(dtype)
    return torch.amax(hot, -2) if layer.output_mode == "multi_hot" else hot.sum(-2)
