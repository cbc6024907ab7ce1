"""Layers that move elements: reshapes, padding, cropping, upsampling."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F

from translate.converters.keras_to_torch.here import submodule
from translate.converters.keras_to_torch.layout import Flow, channels_first, channels_second
from translate.converters.keras_to_torch.table import lower
from translate.converters.onnx_to_torch.shapes import product
from translate.converters.onnx_to_torch.values import static_size
from translate.errors import UnsupportedError


def reshaped(x: torch.Tensor, sizes: list[int]) -> torch.Tensor:
    """Reshape all axes but the first; one size may be -1."""
    known = static_size(x, 0)
    if -1 not in sizes:
        return x.reshape(-1, *sizes)
    return x.reshape(x.size(0) if known is None else known, *sizes)


@lower("Flatten")
def flatten(layer: Any, x: torch.Tensor) -> torch.Tensor:
    """Make one axis of all but the first, in Keras's order."""
    if layer.data_format == "channels_first" and x.ndim > 1:
        x = x.permute(0, *range(2, x.ndim), 1)
    return x.unsqueeze(1) if x.ndim == 1 else x.flatten(1)


@lower("Reshape")
def reshape(layer: Any, x: torch.Tensor) -> torch.Tensor | Flow:
    """Reshape all axes but the first, in Keras's order."""
    sizes = list(layer.target_shape)
    if x.ndim == 2 and len(sizes) > 1 and all(size == 1 for size in sizes[:-1]):
        # Channels for a convolution, as those of a squeeze and excitation.
        ones = (None,) * (len(sizes) - 1)
        known = static_size(x, 1) == sizes[-1]
        y = x[(slice(None), slice(None), *ones)] if known else x.reshape(-1, sizes[-1], *sizes[:-1])
        return Flow(y, channels_second(len(sizes) + 1))
    rest = product(x.shape[1:])
    if sizes.count(-1) == 1 and isinstance(rest, int):
        others = -product(sizes)
        sizes[sizes.index(-1)] = rest // others if others else 0
    return reshaped(x, sizes)


@lower("Permute")
def permute(layer: Any, x: torch.Tensor) -> torch.Tensor:
    """Exchange axes."""
    return x.permute(0, *layer.dims)


@lower("RepeatVector")
def repeat_vector(layer: Any, x: torch.Tensor) -> torch.Tensor:
    """Repeat x [N, C] n times: [N, n, C]."""
    return x.unsqueeze(1).repeat(1, layer.n, 1)


@lower("ZeroPadding1D", "ZeroPadding2D", "ZeroPadding3D", layout=channels_first)
def zero_padding(layer: Any, x: torch.Tensor) -> torch.Tensor:
    """Put zeros around x [N, C, *spatial]."""
    return F.pad(x, [amount for pair in reversed(_pairs(layer.padding, x)) for amount in pair])


@lower("Cropping1D", "Cropping2D", "Cropping3D", layout=channels_first)
def cropping(layer: Any, x: torch.Tensor) -> torch.Tensor:
    """Cut the margins of x [N, C, *spatial] off."""
    kept = (slice(begin or None, -end if end else None) for begin, end in _pairs(layer.cropping, x))
    return x[(slice(None), slice(None), *kept)]


def _pairs(amounts: Any, x: torch.Tensor) -> list[tuple[int, int]]:
    """Return (before, after) of each spatial axis; the one axis of a sequence has its pair unwrapped."""
    pairs = [amounts] if x.ndim == 3 and isinstance(amounts[0], int) else amounts
    return [(int(before), int(after)) for before, after in pairs]


@lower("UpSampling1D")
def upsampling_1d(layer: Any, x: torch.Tensor) -> torch.Tensor:
    """Repeat each step of x [N, T, C]."""
    return torch.repeat_interleave(x, layer.size, 1)


@lower("UpSampling2D", "UpSampling3D", layout=channels_first)
def upsampling(layer: Any, x: torch.Tensor) -> torch.Tensor:
    """Repeat the elements of x [N, C, *spatial], or go linearly from one to the next.

    Limits: nearest and bilinear interpolation.
    """
    interpolation = getattr(layer, "interpolation", "nearest")
    if interpolation not in ("nearest", "bilinear"):
        raise UnsupportedError(f"{interpolation} interpolation, which PyTorch computes otherwise")
    factors = tuple(float(factor) for factor in layer.size)
    scale = factors[0] if len(set(factors)) == 1 else factors
    return submodule(lambda: torch.nn.Upsample(scale_factor=scale, mode=interpolation), {}, x)
