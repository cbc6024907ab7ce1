"""Normalisations: of batches, layers and groups."""

from __future__ import annotations

from typing import Any

import numpy as np
from keras import layers, ops

from translate.converters.onnx_to_keras import reduce
from translate.converters.onnx_to_keras.build import builder
from translate.converters.onnx_to_keras.dtypes import dtype_of
from translate.converters.onnx_to_keras.table import CHANNELS_LAST, Array, Tensor, lower


@lower("BatchNormalization", domain=CHANNELS_LAST)
def batch_normalization(
    x: Tensor,
    scale: Tensor | Array,
    b: Tensor | Array,
    mean: Tensor | Array,
    variance: Tensor | Array,
    *,
    epsilon: float = 1e-5,
    momentum: float = 0.9,
    training_mode: int = 0,
) -> Tensor:
    """Normalise each channel of x [N, *spatial, C] by running statistics [C]; scale and b are [C].

    Limits: not in training mode.
    """
    learned = [None if _is_all(scale, 1) else scale, None if _is_all(b, 0) else b]
    layer = None
    if not training_mode:
        layer = builder().normalization(
            layers.BatchNormalization,
            learned,
            [mean, variance],
            axis=-1,
            momentum=round(momentum, 7),
            epsilon=epsilon,
            scale=learned[0] is not None,
            center=learned[1] is not None,
        )
    if layer is not None:
        return layer(x)
    scale, b, mean, variance = (builder().tensor(value) for value in (scale, b, mean, variance))
    factor = ops.multiply(scale, ops.rsqrt(ops.add(variance, epsilon)))
    return ops.add(ops.multiply(ops.subtract(x, mean), factor), b)


def _is_all(value: Any, number: float) -> bool:
    return isinstance(value, np.ndarray) and bool(np.all(value == number))


@lower("InstanceNormalization", domain=CHANNELS_LAST)
def instance_normalization(x: Tensor, scale: Tensor | Array, b: Tensor | Array, *, epsilon: float = 1e-5) -> Tensor:
    """Normalise each channel of each element of x [N, *spatial, C] over its spatial axes; scale and b are [C]."""
    return _grouped(x, scale, b, -1, epsilon)


@lower("GroupNormalization", since=21, domain=CHANNELS_LAST)
def group_normalization(
    x: Tensor,
    scale: Tensor | Array,
    bias: Tensor | Array,
    *,
    epsilon: float = 1e-5,
    num_groups: int,
    stash_type: int = 1,
) -> Tensor:
    """Normalise each group of neighbouring channels of x [N, *spatial, C]; scale and bias are [C]."""
    return _grouped(x, scale, bias, num_groups, epsilon)


def _grouped(x: Tensor, scale: Any, bias: Any, groups: int, epsilon: float) -> Tensor:
    learned = [None if _is_all(scale, 1) else scale, None if _is_all(bias, 0) else bias]
    config = {"groups": groups, "axis": -1, "epsilon": epsilon}
    layer = builder().layer(
        layers.GroupNormalization,
        learned,
        _present,
        **config,
        scale=learned[0] is not None,
        center=learned[1] is not None,
    )
    if layer is not None:
        return layer(x)
    y = layers.GroupNormalization(**config, scale=False, center=False, dtype=dtype_of(x))(x)
    return ops.add(ops.multiply(y, builder().tensor(scale)), builder().tensor(bias))


def _present(*arrays: Array) -> list[Array]:
    return list(arrays)


@lower("LayerNormalization")
def layer_normalization(
    x: Tensor,
    scale: Tensor | Array,
    b: Tensor | Array | None = None,
    *,
    axis: int = -1,
    epsilon: float = 1e-5,
    stash_type: int = 1,
) -> Tensor:
    """Normalise x [*outer, *normalised] over its axes from `axis` on, then scale and shift."""
    rank = len(x.shape)
    axes = list(range(axis % rank, rank))
    shift = None if _is_all(b, 0) else b
    learned = [None if _is_all(scale, 1) else scale, shift]
    if all(len(value.shape) == len(axes) for value in learned if value is not None):
        layer = builder().layer(
            layers.LayerNormalization,
            learned,
            _present,
            axis=axes[0] if len(axes) == 1 else axes,
            epsilon=epsilon,
            scale=learned[0] is not None,
            center=shift is not None,
        )
        if layer is not None:
            return layer(x)
    centred = ops.subtract(x, reduce.mean(x, tuple(axes), True))
    variance = reduce.mean(ops.square(centred), tuple(axes), True)
    y = ops.multiply(centred, ops.rsqrt(ops.add(variance, epsilon)))
    y = ops.multiply(y, builder().tensor(scale))
    return y if b is None else ops.add(y, builder().tensor(b))


@lower("RMSNormalization", since=23)
def rms_normalization(
    x: Tensor, scale: Tensor | Array, *, axis: int = -1, epsilon: float = 1e-5, stash_type: int = 1
) -> Tensor:
    """Divide x [*outer, *normalised] by its root mean square over its axes from `axis` on, then scale."""
    rank = len(x.shape)
    axes = tuple(range(axis % rank, rank))
    square = reduce.mean(ops.square(x), axes, True)
    return ops.multiply(ops.multiply(x, ops.rsqrt(ops.add(square, epsilon))), builder().tensor(scale))


@lower("LpNormalization")
def lp_normalization(x: Tensor, *, axis: int = -1, p: int = 2) -> Tensor:
    """Divide x by its p-norm along `axis`; zeros where that norm is zero."""
    norm = ops.norm(x, ord=p, axis=axis, keepdims=True)
    return ops.divide_no_nan(x, norm)
