"""Pools, on tensors [N, C, *spatial]."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from translate.converters.keras_to_torch.here import axis_here, made_before, submodule
from translate.converters.keras_to_torch.layout import any_order, channels_first
from translate.converters.keras_to_torch.masks import stopped
from translate.converters.keras_to_torch.table import lower
from translate.converters.onnx_to_torch.windows import Window

_MAX: dict[int, Any] = {1: nn.MaxPool1d, 2: nn.MaxPool2d, 3: nn.MaxPool3d}
_AVERAGE: dict[int, Any] = {1: nn.AvgPool1d, 2: nn.AvgPool2d, 3: nn.AvgPool3d}
_MAX_FUNCTIONS: dict[int, Any] = {1: F.max_pool1d, 2: F.max_pool2d, 3: F.max_pool3d}
_AVERAGE_FUNCTIONS: dict[int, Any] = {1: F.avg_pool1d, 2: F.avg_pool2d, 3: F.avg_pool3d}
_ADAPTIVE_MAX: dict[int, Any] = {1: nn.AdaptiveMaxPool1d, 2: nn.AdaptiveMaxPool2d, 3: nn.AdaptiveMaxPool3d}
_ADAPTIVE_AVERAGE: dict[int, Any] = {1: nn.AdaptiveAvgPool1d, 2: nn.AdaptiveAvgPool2d, 3: nn.AdaptiveAvgPool3d}


def _window(layer: Any, x: torch.Tensor) -> Window:
    spatial = x.ndim - 2

    def numbers(value: Any) -> tuple[int, ...]:
        return (value,) * spatial if isinstance(value, int) else tuple(value)

    size = numbers(layer.pool_size)
    strides = size if layer.strides is None else numbers(layer.strides)
    return Window.over(x, size, strides, None, None, "SAME_UPPER" if layer.padding == "same" else "VALID")


def _plain(numbers: tuple[Any, ...]) -> Any:
    """Return one number for what is the same along all axes."""
    return numbers[0] if len(set(numbers)) == 1 else numbers


def _native(window: Window) -> tuple[int, ...] | None:
    """Return the padding that PyTorch's pools can do by themselves: both sides alike, at most half a window."""
    padding = window.symmetric
    if padding is None or any(2 * p > k for p, k in zip(padding, window.kernel, strict=True)):
        return None
    return padding


@lower("MaxPooling1D", "MaxPooling2D", "MaxPooling3D", layout=channels_first)
def max_pool(layer: Any, x: torch.Tensor) -> Any:
    """Take the largest element of each window."""
    window = _window(layer, x)
    padding = _native(window)
    spatial = len(window.kernel)
    if padding is None:
        x, padding = window.pad(x, float("-inf")), (0,) * spatial
    if spatial == 1 and not isinstance(x.size(2), int):
        # torch.export would fix the length in a pool of one dimension.
        flat = F.max_pool2d(x.unsqueeze(-1), (*window.kernel, 1), (*window.strides, 1), (*padding, 0))
        return flat.squeeze(-1)
    made: Any = made_before()
    if made is not None and made.padding != _plain(padding):
        # It is called on tensors of several sizes.
        y: torch.Tensor = _MAX_FUNCTIONS[spatial](x, window.kernel, window.strides, padding)
        return y
    arguments = [_plain(window.kernel), _plain(window.strides), _plain(padding)]
    return submodule(lambda: _MAX[spatial](*arguments), {}, x)


@lower("AveragePooling1D", "AveragePooling2D", "AveragePooling3D", layout=channels_first)
def average_pool(layer: Any, x: torch.Tensor) -> Any:
    """Average the elements of each window; padding does not count."""
    window = _window(layer, x)
    padding = _native(window)
    spatial = len(window.kernel)
    average = _AVERAGE_FUNCTIONS[spatial]
    made: Any = made_before()
    if padding is not None and made is not None and made.padding != _plain(padding):
        # It is called on tensors of several sizes.
        y: torch.Tensor = average(x, window.kernel, window.strides, padding, count_include_pad=False)
        return y
    if padding is not None:
        arguments = [_plain(window.kernel), _plain(window.strides), _plain(padding)]
        options = {"count_include_pad": False} if any(padding) else {}
        return submodule(lambda: _AVERAGE[spatial](*arguments, **options), {}, x)
    inside = window.pad(torch.ones_like(x[:1, :1]))
    counted: torch.Tensor = average(inside, window.kernel, window.strides)
    return average(window.pad(x), window.kernel, window.strides) / counted


@lower("AdaptiveMaxPooling1D", "AdaptiveMaxPooling2D", "AdaptiveMaxPooling3D", layout=channels_first)
def adaptive_max_pool(layer: Any, x: torch.Tensor) -> torch.Tensor:
    """Take the largest element of each part, of which there is a given number."""
    size = tuple(layer.output_size)
    return submodule(lambda: _ADAPTIVE_MAX[len(size)](_plain(size)), {}, x)


@lower("AdaptiveAveragePooling1D", "AdaptiveAveragePooling2D", "AdaptiveAveragePooling3D", layout=channels_first)
def adaptive_average_pool(layer: Any, x: torch.Tensor) -> torch.Tensor:
    """Average the elements of each part, of which there is a given number."""
    size = tuple(layer.output_size)
    return submodule(lambda: _ADAPTIVE_AVERAGE[len(size)](_plain(size)), {}, x)


@lower("GlobalMaxPooling1D", "GlobalMaxPooling2D", "GlobalMaxPooling3D", layout=channels_first)
def global_max_pool(layer: Any, x: torch.Tensor) -> torch.Tensor:
    """Take the largest element of each channel."""
    return torch.amax(x, tuple(range(2, x.ndim)), bool(layer.keepdims))


@lower("GlobalAveragePooling2D", "GlobalAveragePooling3D", layout=channels_first)
def global_average_pool(layer: Any, x: torch.Tensor) -> torch.Tensor:
    """Average the elements of each channel."""
    return torch.mean(x, tuple(range(2, x.ndim)), bool(layer.keepdims))


@lower("GlobalAveragePooling1D", layout=any_order, mask=stopped)
def global_average_pool_1d(layer: Any, x: torch.Tensor, *, mask: torch.Tensor | None = None) -> torch.Tensor:
    """Average the steps of each channel; steps that are masked do not count."""
    steps, channels = (2, 1) if layer.data_format == "channels_first" else (1, 2)
    steps, channels = axis_here(steps, 3), axis_here(channels, 3)
    if mask is None:
        return torch.mean(x, steps, bool(layer.keepdims))
    counted = mask.unsqueeze(channels)
    total = torch.where(counted, x, 0.0).sum(steps, bool(layer.keepdims))
    return total / counted.sum(steps, bool(layer.keepdims))
