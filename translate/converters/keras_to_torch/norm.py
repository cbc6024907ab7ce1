"""Normalisations."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from translate.converters.keras_to_torch.core import dtype_of
from translate.converters.keras_to_torch.here import axis_here, constant, made_before, parameter, submodule
from translate.converters.keras_to_torch.layout import any_order, axis_second
from translate.converters.keras_to_torch.modules import MaskedBatchNorm
from translate.converters.keras_to_torch.stored import Stored
from translate.converters.keras_to_torch.table import lower
from translate.errors import UnsupportedError


def _as_stored(
    layer: Any, variable: Any, x: torch.Tensor, call: Callable[[torch.Tensor], torch.Tensor]
) -> torch.Tensor:
    """Normalise in the dtype that the layer's weights are in, as Keras does: in half precision it would overflow."""
    held = x if variable is None or dtype_of(variable) is x.dtype else x.to(dtype_of(variable))
    y = call(held)
    dtype = getattr(torch, layer.compute_dtype)
    return y if held.dtype is dtype else y.to(dtype)


_BATCH_NORMS: dict[int, Any] = {2: nn.BatchNorm1d, 3: nn.BatchNorm1d, 4: nn.BatchNorm2d, 5: nn.BatchNorm3d}


@lower("BatchNormalization", layout=axis_second)
def batch_norm(layer: Any, x: torch.Tensor, *, mask: torch.Tensor | None = None) -> torch.Tensor:
    """Normalise each channel; a layer that is not trainable does so by its statistics in training, too.

    The statistics of masked steps do not count.

    In training, PyTorch's running variance is that of n / (n - 1) times the variance of the batch, Keras's is not
    corrected for.

    Limits: up to three spatial axes, no renormalisation.
    """
    if layer.renorm or x.ndim not in _BATCH_NORMS:
        raise UnsupportedError("renormalisation, or more than three spatial axes")
    tensors = {
        "weight": layer.gamma,
        "bias": layer.beta,
        "running_mean": layer.moving_mean,
        "running_var": layer.moving_variance,
    }
    if not layer.trainable:
        held = {
            name: parameter(name, variable, buffer=name.startswith("running"), as_stored=True)
            if variable is not None
            else None
            for name, variable in tensors.items()
        }
        mean, variance = held.pop("running_mean"), held.pop("running_var")
        return _as_stored(
            layer,
            layer.moving_mean,
            x,
            lambda x: F.batch_norm(x, mean, variance, held["weight"], held["bias"], eps=layer.epsilon),
        )
    affine = layer.gamma is not None or layer.beta is not None
    kind = _BATCH_NORMS[x.ndim] if mask is None else MaskedBatchNorm
    masks = [] if mask is None else [mask]
    if masks and (x.ndim != 3 or layer.axis % 3 != 2):
        raise UnsupportedError("a mask of something else than steps")
    made = made_before()
    if made is not None and type(made) is not kind:
        raise UnsupportedError("it is called with a mask and without")

    def make() -> nn.Module:
        norm: nn.Module = kind(
            layer.moving_mean.shape[0],
            eps=layer.epsilon,
            momentum=round(1 - layer.momentum, 12),
            affine=affine,
            dtype=dtype_of(layer.moving_mean),
        )
        return _without(norm, layer.gamma, layer.beta)

    return _as_stored(layer, layer.moving_mean, x, lambda x: submodule(make, tensors, x, *masks))


def _without(norm: nn.Module, gamma: Any, beta: Any) -> nn.Module:
    """Freeze the weight or bias that the Keras layer does not have, where PyTorch has both or neither."""
    for name, variable in (("weight", gamma), ("bias", beta)):
        if variable is None and isinstance(norm._parameters.get(name), nn.Parameter):
            norm.get_parameter(name).requires_grad_(False)
    return norm


def _last_axes(axes: Any, rank: int) -> list[int]:
    listed: list[int] = list(axes) if isinstance(axes, list | tuple) else [axes]
    return sorted(axis % rank for axis in listed)


@lower("LayerNormalization")
def layer_norm(layer: Any, x: torch.Tensor) -> torch.Tensor:
    """Normalise over axes that are the last ones, or any.

    With `rms_scaling` Keras divides by the variance's root, too, but does not take the mean off.
    """
    variable = layer.gamma if layer.gamma is not None else layer.beta
    return _as_stored(layer, variable, x, lambda x: _layer_norm(layer, x, variable))


def _layer_norm(layer: Any, x: torch.Tensor, variable: Any) -> torch.Tensor:
    axes = _last_axes(layer.axis, x.ndim)
    if layer.rms_scaling:
        # The variance that Keras divides by has the mean taken off; what it divides has not.
        y = x * torch.rsqrt(x.var(axes, correction=0, keepdim=True) + layer.epsilon)
        return y * _weight("weight", layer.gamma, axes, x)
    if axes != list(range(x.ndim - len(axes), x.ndim)):
        y = x - x.mean(axes, keepdim=True)
        y = y * torch.rsqrt(x.var(axes, correction=0, keepdim=True) + layer.epsilon)
        y = y if layer.gamma is None else y * _weight("weight", layer.gamma, axes, x)
        return y if layer.beta is None else y + _weight("bias", layer.beta, axes, x)
    sizes = [x.shape[axis] for axis in axes]
    return submodule(
        lambda: _without(
            nn.LayerNorm(
                sizes,
                eps=layer.epsilon,
                elementwise_affine=variable is not None,
                bias=layer.beta is not None,
                dtype=x.dtype,
            ),
            layer.gamma,
            layer.beta,
        ),
        {"weight": _of_sizes(layer.gamma, sizes), "bias": _of_sizes(layer.beta, sizes)},
        x,
    )


def _of_sizes(variable: Any, sizes: Sequence[int]) -> Stored | None:
    """Store a tensor of these sizes as Keras lays it out, which sorts axes without bringing -1 behind 1."""
    if variable is None:
        return None
    shape = tuple(variable.shape)
    return Stored(variable, lambda array: array.reshape(sizes), lambda old, tensor: tensor.reshape(shape))


def _along(weight: torch.Tensor, axes: Sequence[int], x: torch.Tensor) -> torch.Tensor:
    """Bring a weight that belongs to `axes` of x to the number of axes that x has."""
    if list(axes) == list(range(x.ndim - len(axes), x.ndim)):
        return weight
    return weight.reshape([weight.shape[axes.index(axis)] if axis in axes else 1 for axis in range(x.ndim)])


def _weight(name: str, variable: Any, axes: Sequence[int], x: torch.Tensor) -> torch.Tensor:
    """Return what a variable that belongs to `axes` of x holds, with as many axes as x."""
    stored = _of_sizes(variable, [x.shape[axis] for axis in axes])
    return _along(parameter(name, stored, as_stored=True), axes, x)


@lower("RMSNormalization")
def rms_norm(layer: Any, x: torch.Tensor) -> torch.Tensor:
    """Divide by the root of the mean square over axes that are the last ones, or any."""
    return _as_stored(layer, layer.scale, x, lambda x: _rms_norm(layer, x))


def _rms_norm(layer: Any, x: torch.Tensor) -> torch.Tensor:
    axes = _last_axes(layer.axis, x.ndim)
    if axes != list(range(x.ndim - len(axes), x.ndim)):
        y = x * torch.rsqrt((x * x).mean(axes, keepdim=True) + layer.epsilon)
        # Keras brings the scale to the last axes, whichever it normalises.
        scale: torch.Tensor = parameter("weight", layer.scale, as_stored=True)
        return y * scale
    sizes = [x.shape[axis] for axis in axes]
    return submodule(
        lambda: nn.RMSNorm(sizes, eps=layer.epsilon, dtype=dtype_of(layer.scale)), {"weight": layer.scale}, x
    )


@lower("GroupNormalization", layout=axis_second)
def group_norm(layer: Any, x: torch.Tensor) -> torch.Tensor:
    """Normalise groups of channels."""
    channels = x.shape[1]
    groups = channels if layer.groups == -1 else layer.groups
    variable = layer.gamma if layer.gamma is not None else layer.beta
    return _as_stored(
        layer,
        variable,
        x,
        lambda x: submodule(
            lambda: _without(
                nn.GroupNorm(groups, channels, eps=layer.epsilon, affine=variable is not None, dtype=x.dtype),
                layer.gamma,
                layer.beta,
            ),
            {"weight": layer.gamma, "bias": layer.beta},
            x,
        ),
    )


@lower("UnitNormalization", layout=any_order)
def unit_norm(layer: Any, x: torch.Tensor) -> torch.Tensor:
    """Divide by the 2-norm."""
    axes = layer.axis if isinstance(layer.axis, list | tuple) else [layer.axis]
    norm = (x * x).sum([axis_here(axis, x.ndim) for axis in axes], keepdim=True)
    return x * torch.rsqrt(torch.clamp(norm, min=1e-12**2))


@lower("Normalization")
def normalization(layer: Any, x: torch.Tensor) -> Any:
    """Take the mean off and divide by the deviation, both of which the layer has learnt from data or was given."""
    x = x if x.dtype is dtype_of(layer.mean) else x.to(dtype_of(layer.mean))
    mean, variance = (torch.as_tensor(_array(value)) for value in (layer.mean, layer.variance))
    deviation = torch.clamp(torch.sqrt(variance), min=1e-7)
    held = constant("mean", mean.numpy()), constant("deviation", deviation.numpy())
    return held[0] + x * held[1] if layer.invert else (x - held[0]) / held[1]


def _array(value: Any) -> Any:
    import keras

    return keras.ops.convert_to_numpy(value)
