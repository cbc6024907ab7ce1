"""Layers that do something in training only."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from translate.converters.keras_to_torch.here import axis_here, submodule
from translate.converters.keras_to_torch.layout import any_order, channels_second
from translate.converters.keras_to_torch.modules import (
    GaussianDropout,
    GaussianNoise,
    SharedAlphaDropout,
    SharedDropout,
)
from translate.converters.keras_to_torch.table import lower
from translate.errors import UnsupportedError


@lower("Dropout", layout=any_order)
def dropout(layer: Any, x: torch.Tensor) -> torch.Tensor:
    """Set a share of the elements to zero, in training; those that `noise_shape` has one size for go together."""
    if not layer.rate:
        return x
    if layer.noise_shape is None:
        return submodule(lambda: nn.Dropout(layer.rate), {}, x)
    axes = _shared_axes(layer, x)
    return submodule(lambda: SharedDropout(layer.rate, axes), {}, x)


def _shared_axes(layer: Any, x: torch.Tensor) -> tuple[int, ...]:
    """Return the axes, as they are held, along which all elements have one fate."""
    shape = layer.noise_shape
    places = [axis_here(axis, x.ndim) for axis in range(x.ndim)]
    if len(shape) != x.ndim or any(n not in (None, 1, x.shape[axis]) for n, axis in zip(shape, places, strict=True)):
        raise UnsupportedError(f"the noise_shape {shape}")
    return tuple(sorted(axis for n, axis in zip(shape, places, strict=True) if n == 1))


@lower("AlphaDropout", layout=any_order)
def alpha_dropout(layer: Any, x: torch.Tensor) -> torch.Tensor:
    """Set a share of the elements to what keeps mean and variance, in training.

    Those that `noise_shape` has one size for go together.
    """
    if not layer.rate:
        return x
    if layer.noise_shape is None:
        return submodule(lambda: nn.AlphaDropout(layer.rate), {}, x)
    axes = _shared_axes(layer, x)
    return submodule(lambda: SharedAlphaDropout(layer.rate, axes), {}, x)


def _channels(layer: Any, rank: int) -> Any:
    if getattr(layer, "data_format", "channels_last") == "channels_first":
        return tuple(range(rank))
    return channels_second(rank)


@lower("SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D", layout=_channels)
def spatial_dropout(layer: Any, x: torch.Tensor) -> torch.Tensor:
    """Set a share of the channels to zero, in training."""
    kind: Any = {3: nn.Dropout1d, 4: nn.Dropout2d, 5: nn.Dropout3d}[x.ndim]
    return submodule(lambda: kind(layer.rate), {}, x) if layer.rate else x


@lower("GaussianNoise", layout=any_order)
def gaussian_noise(layer: Any, x: torch.Tensor) -> torch.Tensor:
    """Add noise, in training."""
    return submodule(lambda: GaussianNoise(layer.stddev), {}, x)


@lower("GaussianDropout", layout=any_order)
def gaussian_dropout(layer: Any, x: torch.Tensor) -> torch.Tensor:
    """Multiply by noise around one, in training."""
    return submodule(lambda: GaussianDropout(layer.rate), {}, x)
