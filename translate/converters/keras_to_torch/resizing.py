"""Resizing images [N, C, H, W] as Keras does with TensorFlow."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F

from translate.converters.onnx_to_torch.builder import Builder
from translate.converters.onnx_to_torch.values import Value, builder, record
from translate.errors import UnsupportedError


def _triangle(x: torch.Tensor) -> torch.Tensor:
    return torch.clamp(1 - x, min=0.0)


def _cubic(x: torch.Tensor) -> torch.Tensor:
    """Return the weight at a distance, by R. Keys, Cubic Convolution Interpolation for Digital Image Processing."""
    near = ((1.5 * x - 2.5) * x) * x + 1
    far = ((-0.5 * x + 2.5) * x - 4) * x + 2
    return torch.where(x < 1, near, torch.where(x < 2, far, 0.0))


def _lanczos(radius: int) -> Callable[[torch.Tensor], torch.Tensor]:
    return lambda x: torch.where(x < radius, torch.sinc(x) * torch.sinc(x / radius), 0.0)


# The weight of a pixel at a distance of so many pixels.
KERNELS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "bicubic": _cubic,
    "bilinear": _triangle,
    "lanczos3": _lanczos(3),
    "lanczos5": _lanczos(5),
}
# TensorFlow looks the weights of bicubic interpolation up in a table of so many places between two pixels.
_CUBIC_PLACES = 1024


def resized(x: torch.Tensor, size: Sequence[int], interpolation: str, antialias: bool) -> torch.Tensor:
    """Resize x [N, C, H, W] to a height and width; the result is float32, but for nearest neighbours."""
    wanted = (int(size[0]), int(size[1]))
    if interpolation == "nearest":
        return F.interpolate(x if x.dtype.is_floating_point else x.to(torch.float32), wanted, mode="nearest-exact").to(
            x.dtype
        )
    x = x if x.dtype in (torch.float32, torch.float64) else x.to(torch.float32)
    if interpolation == "bilinear":
        options: dict[str, Any] = {"antialias": True} if antialias else {}
        return F.interpolate(x, wanted, mode="bilinear", align_corners=False, **options)
    if interpolation not in KERNELS and interpolation != "area":
        raise UnsupportedError(f"{interpolation} interpolation")
    y = torch.matmul(x, _weights(x.size(3), wanted[1], interpolation, antialias, x.dtype).t())
    return torch.matmul(_weights(x.size(2), wanted[0], interpolation, antialias, x.dtype), y)


def rounded(y: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """Return resized images in the dtype that they had: ints are rounded, and what they cannot hold is cut off."""
    if dtype is y.dtype:
        return y
    if dtype.is_floating_point:
        return y.to(dtype)
    limits = torch.iinfo(dtype)
    return torch.clamp(torch.round(y), limits.min, limits.max).to(dtype)


def _weights(size: Any, wanted: int, interpolation: str, antialias: bool, dtype: torch.dtype) -> Any:
    """Return what each new pixel takes of each old one: [wanted, size]."""
    # What is known becomes a constant.
    known = not isinstance(size, Value)
    with Builder.pausing() if known else contextlib.nullcontext():
        places, pixels = record(torch.arange, wanted), record(torch.arange, size)
        scale = size / wanted
        if interpolation == "area":
            begin = (places * scale).unsqueeze(1)
            overlap = torch.minimum(begin + scale, pixels + 1) - torch.maximum(begin, pixels)
            weights = torch.clamp(overlap, min=0.0) / scale
        else:
            at = (places + 0.5) * scale - 0.5
            if interpolation == "bicubic" and not antialias:
                at = torch.round(at * _CUBIC_PLACES) / _CUBIC_PLACES
            widest = (max(scale, 1.0) if known else record(torch.sym_max, scale, 1.0)) if antialias else 1.0
            weights = KERNELS[interpolation](torch.abs(at.unsqueeze(1) - pixels) / widest)
            weights = weights / torch.sum(weights, 1, True)
        weights = weights.to(dtype)
    return builder().constant(weights) if known else weights


def fitted(x: torch.Tensor, size: Sequence[int], crop: bool, pad: bool, fill_value: float = 0.0) -> torch.Tensor:
    """Cut margins of x [N, C, H, W] off, or put a constant around, so that it has the proportions of `size`."""
    if not crop and not pad:
        return x
    height, width = x.size(2), x.size(3)
    own_height, own_width = width * size[0] // size[1], height * size[1] // size[0]
    if crop:
        kept = [_at_least(_at_most(one, own), 1) for one, own in ((height, own_height), (width, own_width))]
        top, left = (height - kept[0]) // 2, (width - kept[1]) // 2
        return x[..., top : top + kept[0], left : left + kept[1]]
    top, left = (_at_least(own_height, height) - height) // 2, (_at_least(own_width, width) - width) // 2
    return F.pad(x, [left, left, top, top], value=fill_value)


def _at_least(one: Any, other: Any) -> Any:
    known = not isinstance(one, Value) and not isinstance(other, Value)
    return max(one, other) if known else record(torch.sym_max, one, other)


def _at_most(one: Any, other: Any) -> Any:
    known = not isinstance(one, Value) and not isinstance(other, Value)
    return min(one, other) if known else record(torch.sym_min, one, other)
