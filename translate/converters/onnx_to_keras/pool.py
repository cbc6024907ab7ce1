"""Pools, on tensors [N, *spatial, C]."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from keras import layers, ops

from translate.converters.lowering import Context
from translate.converters.onnx_to_keras.reduce import mean
from translate.converters.onnx_to_keras.table import CHANNELS_LAST, Tensor, lower
from translate.converters.onnx_to_keras.windows import Window
from translate.errors import UnsupportedError

_MAX = {1: layers.MaxPooling1D, 2: layers.MaxPooling2D, 3: layers.MaxPooling3D}
_AVERAGE = {1: layers.AveragePooling1D, 2: layers.AveragePooling2D, 3: layers.AveragePooling3D}


@lower("MaxPool", domain=CHANNELS_LAST)
def max_pool(
    x: Tensor,
    *,
    auto_pad: str = "NOTSET",
    ceil_mode: int = 0,
    dilations: Sequence[int] | None = None,
    kernel_shape: Sequence[int],
    pads: Sequence[int] | None = None,
    storage_order: int = 0,
    strides: Sequence[int] | None = None,
    context: Context,
) -> Tensor:
    """Take the largest element of each window over x [N, *spatial, C]: [N, *counts, C].

    Limits: up to three spatial axes, without dilations, and without the positions of the elements.
    """
    if len(context.node.outputs) > 1 and context.node.outputs[1].uses():
        raise UnsupportedError("Keras does not tell where the largest elements are")
    spatial = len(x.shape) - 2
    window = Window.over(context, kernel_shape, strides, dilations, pads, auto_pad, ceil_mode)
    if spatial not in _MAX or max(window.dilations) > 1:
        raise UnsupportedError("Keras has no such pool")
    padding = "same" if window.is_same else "valid"
    if padding == "valid":
        x = window.pad(x, -np.inf)
    return _MAX[spatial](window.kernel, window.strides, padding)(x)


@lower("AveragePool", domain=CHANNELS_LAST)
def average_pool(
    x: Tensor,
    *,
    auto_pad: str = "NOTSET",
    ceil_mode: int = 0,
    count_include_pad: int = 0,
    dilations: Sequence[int] | None = None,
    kernel_shape: Sequence[int],
    pads: Sequence[int] | None = None,
    strides: Sequence[int] | None = None,
    context: Context,
) -> Tensor:
    """Take the mean of each window over x [N, *spatial, C], padding included or not: [N, *counts, C].

    Limits: up to three spatial axes, without dilations.
    """
    spatial = len(x.shape) - 2
    window = Window.over(context, kernel_shape, strides, dilations, pads, auto_pad, ceil_mode)
    if spatial not in _AVERAGE or max(window.dilations) > 1:
        raise UnsupportedError("Keras has no such pool")
    pool = _AVERAGE[spatial]
    if window.is_same and not count_include_pad:
        return pool(window.kernel, window.strides, "same")(x)
    y = pool(window.kernel, window.strides, "valid")(window.pad(x))
    if window.is_valid or (count_include_pad and not any(window.overhang)):
        return y
    # What part of each window counts.
    counted = ops.ones_like(x)
    if count_include_pad:
        counted = ops.pad(counted, [(0, 0), *window.padding, (0, 0)], constant_values=1.0)
        counted = ops.pad(counted, [(0, 0), *((0, more) for more in window.overhang), (0, 0)])
    else:
        counted = window.pad(counted)
    return ops.divide(y, pool(window.kernel, window.strides, "valid")(counted))


@lower("GlobalAveragePool", domain=CHANNELS_LAST)
def global_average_pool(x: Tensor) -> Tensor:
    """Take the mean of x [N, *spatial, C] over its spatial axes: [N, 1..., C]."""
    return mean(x, tuple(range(1, len(x.shape) - 1)), True)


@lower("GlobalMaxPool", domain=CHANNELS_LAST)
def global_max_pool(x: Tensor) -> Tensor:
    """Take the largest element of x [N, *spatial, C] over its spatial axes: [N, 1..., C]."""
    return ops.max(x, axis=tuple(range(1, len(x.shape) - 1)), keepdims=True)
