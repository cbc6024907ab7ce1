"""Normalisations: of batches, layers, groups and neighbouring channels."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import nn

from translate.converters.onnx_to_torch.dtypes import torch_dtype
from translate.converters.onnx_to_torch.layers import layer
from translate.converters.onnx_to_torch.shapes import axis_from_start
from translate.converters.onnx_to_torch.table import lower

_BATCH_NORMS = {2: nn.BatchNorm1d, 3: nn.BatchNorm1d, 4: nn.BatchNorm2d, 5: nn.BatchNorm3d}


@lower("BatchNormalization", since=15)
def batch_normalization(
    x: torch.Tensor,
    scale: torch.Tensor,
    b: torch.Tensor,
    mean: torch.Tensor,
    variance: torch.Tensor,
    *,
    epsilon: float = 1e-5,
    momentum: float = 0.9,
    training_mode: int = 0,
) -> torch.Tensor | tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Normalise each channel of x [N, C, *spatial] by running statistics, or in training by those of the batch.

    scale, b, mean and variance are [C]. Training also returns the running statistics, moved towards the batch's.
    """
    if training_mode:
        axes = [0, *range(2, x.ndim)]
        wide = x.to(mean.dtype)
        batch_mean = torch.mean(wide, axes)
        batch_variance = torch.var(wide, axes, correction=0)
        y = F.batch_norm(x, batch_mean, batch_variance, scale, b, eps=epsilon)
        return (
            y,
            mean * momentum + batch_mean * (1 - momentum),
            variance * momentum + batch_variance * (1 - momentum),
        )
    kind = _BATCH_NORMS.get(x.ndim)
    if kind is not None and x.dtype == mean.dtype:
        y = layer(
            # ONNX's momentum is the share of the old statistics, PyTorch's that of the new ones.
            lambda: kind(scale.shape[0], epsilon, round(1 - momentum, 6), dtype=scale.dtype),
            x,
            weight=scale,
            bias=b,
            running_mean=mean,
            running_var=variance,
        )
        if y is not None:
            return y
    return F.batch_norm(x, mean, variance, scale, b, eps=epsilon)


@lower("InstanceNormalization")
def instance_normalization(
    input: torch.Tensor, scale: torch.Tensor, B: torch.Tensor, *, epsilon: float = 1e-5
) -> torch.Tensor:
    """Normalise each channel of each element of input [N, C, *spatial] over its spatial axes; scale and B are [C]."""
    return torch.instance_norm(input, scale, B, None, None, True, 0.0, epsilon, False)


@lower("GroupNormalization", since=18)
def group_normalization_18(
    x: torch.Tensor, scale: torch.Tensor, bias: torch.Tensor, *, epsilon: float = 1e-5, num_groups: int
) -> torch.Tensor:
    """Normalise each group of neighbouring channels of x [N, C, *spatial]; scale and bias are [groups]."""
    y = F.group_norm(x, num_groups, eps=epsilon)
    repeats = x.size(1) // num_groups
    trailing = [1] * (x.ndim - 2)
    factor, shift = (torch.repeat_interleave(t, repeats).reshape([-1, *trailing]) for t in (scale, bias))
    return y * factor + shift


@lower("GroupNormalization", since=21)
def group_normalization(
    x: torch.Tensor,
    scale: torch.Tensor,
    bias: torch.Tensor,
    *,
    epsilon: float = 1e-5,
    num_groups: int,
    stash_type: int = 1,
) -> torch.Tensor:
    """Normalise each group of neighbouring channels of x [N, C, *spatial]; scale and bias are [C]."""
    y = layer(lambda: nn.GroupNorm(num_groups, scale.shape[0], epsilon, dtype=scale.dtype), x, weight=scale, bias=bias)
    return F.group_norm(x, num_groups, scale, bias, epsilon) if y is None else y


@lower("LayerNormalization")
def layer_normalization(
    x: torch.Tensor,
    scale: torch.Tensor,
    b: torch.Tensor | None = None,
    *,
    axis: int = -1,
    epsilon: float = 1e-5,
    stash_type: int = 1,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Normalise x [*outer, *normalised] over its axes from `axis` on, then scale and shift.

    scale and b broadcast to x. The mean and the inverse of the standard deviation [*outer, 1...] are returned, too.
    """
    axes = list(range(axis_from_start(axis, x), x.ndim))
    wide = x.to(_stash_dtype(x, stash_type)) if x.dtype != _stash_dtype(x, stash_type) else x
    mean = torch.mean(wide, axes, True)
    inverse = torch.rsqrt(torch.var(wide, axes, correction=0, keepdim=True) + epsilon)
    shape = x.shape[axes[0] :]
    if all(isinstance(size, int) for size in shape) and tuple(scale.shape) == tuple(shape):
        y = layer(lambda: nn.LayerNorm(shape, epsilon, bias=b is not None, dtype=scale.dtype), x, weight=scale, bias=b)
        y = F.layer_norm(x, shape, scale, b, epsilon) if y is None else y
        return y, mean, inverse
    y = ((wide - mean) * inverse).to(x.dtype) * scale
    return y if b is None else y + b, mean, inverse


def _stash_dtype(x: torch.Tensor, stash_type: int) -> torch.dtype:
    # float64 would lose digits in the default, float32.
    return torch.float64 if x.dtype == torch.float64 else torch_dtype(stash_type)


@lower("RMSNormalization", since=23)
def rms_normalization(
    x: torch.Tensor, scale: torch.Tensor, *, axis: int = -1, epsilon: float = 1e-5, stash_type: int = 1
) -> torch.Tensor:
    """Divide x [*outer, *normalised] by its root mean square over its axes from `axis` on, then scale."""
    axes = list(range(axis_from_start(axis, x), x.ndim))
    shape = x.shape[axes[0] :]
    if all(isinstance(size, int) for size in shape) and tuple(scale.shape) == tuple(shape):
        y = layer(lambda: nn.RMSNorm(shape, epsilon, dtype=scale.dtype), x, weight=scale)
        if y is not None:
            return y
    wide = x.to(_stash_dtype(x, stash_type))
    y = wide * torch.rsqrt(torch.mean(torch.square(wide), axes, True) + epsilon)
    return y.to(x.dtype) * scale


@lower("LpNormalization")
def lp_normalization(input: torch.Tensor, *, axis: int = -1, p: int = 2) -> torch.Tensor:
    """Divide `input` by its p-norm along `axis`; zeros where that norm is zero."""
    norm = torch.linalg.vector_norm(input, p, axis, True)
    return input / torch.where(norm == 0, 1.0, norm)


@lower("MeanVarianceNormalization")
def mean_variance_normalization(x: torch.Tensor, *, axes: Sequence[int] = (0, 2, 3)) -> torch.Tensor:
    """Subtract the mean of x over `axes` and divide by the standard deviation, plus the specification's 1e-9."""
    mean = torch.mean(x, list(axes), True)
    deviation = torch.sqrt(torch.mean(torch.square(x), list(axes), True) - torch.square(mean))
    return (x - mean) / (deviation + 1e-9)


@lower("LRN")
def lrn(x: torch.Tensor, *, alpha: float = 1e-4, beta: float = 0.75, bias: float = 1.0, size: int) -> torch.Tensor:
    """Divide x [N, C, *spatial] by a power of the sum of squares of `size` neighbouring channels.

    y = x / (bias + alpha / size · Σ x²) ** beta, after Krizhevsky et al., "ImageNet Classification with Deep
    Convolutional Neural Networks", 2012.
    """
    before = (size - 1) // 2
    squares = F.pad(torch.square(x), [0, 0] * (x.ndim - 2) + [before, size - 1 - before])
    total = squares.unfold(1, size, 1).sum(-1)
    return x / (bias + alpha / size * total) ** beta
