"""Layers of torch.nn that compute in another dtype than that of their weights, or in the step of a loop.

A loop's step cannot hold layers: there they are functions of their tensors.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch.nn.functional as F
from torch import nn

from translate.converters.keras_to_torch.modules import MixedConv1d, MixedConv2d, MixedConv3d, MixedLinear
from translate.errors import UnsupportedError

# From the layer and its tensors, by their names, as they are to be used.
Function = Callable[..., Any]
Tensors = Mapping[str, Any]


def _convolution(function: Callable[..., Any]) -> Function:
    def call(layer: Any, tensors: Tensors, x: Any) -> Any:
        options = layer.stride, layer.padding, layer.dilation, layer.groups
        return function(x, tensors["weight"], tensors.get("bias"), *options)

    return call


def _transposed(function: Callable[..., Any]) -> Function:
    def call(layer: Any, tensors: Tensors, x: Any) -> Any:
        options = layer.stride, layer.padding, layer.output_padding, layer.groups, layer.dilation
        return function(x, tensors["weight"], tensors.get("bias"), *options)

    return call


# Layers that compute in the dtype of what they are given, for those that want it to be that of their weights.
_MIXED: dict[type[nn.Module], type[nn.Module]] = {
    nn.Linear: MixedLinear,
    nn.Conv1d: MixedConv1d,
    nn.Conv2d: MixedConv2d,
    nn.Conv3d: MixedConv3d,
}

# Layers that multiply by their weights.
PRODUCTS: dict[type[nn.Module], Function] = {
    nn.Linear: lambda layer, tensors, x: F.linear(x, tensors["weight"], tensors.get("bias")),
    nn.Conv1d: _convolution(F.conv1d),
    nn.Conv2d: _convolution(F.conv2d),
    nn.Conv3d: _convolution(F.conv3d),
    nn.ConvTranspose1d: _transposed(F.conv_transpose1d),
    nn.ConvTranspose2d: _transposed(F.conv_transpose2d),
    nn.ConvTranspose3d: _transposed(F.conv_transpose3d),
}

_OTHERS: dict[type[nn.Module], Function] = {
    nn.Embedding: lambda layer, tensors, x: F.embedding(x, tensors["weight"]),
    nn.LayerNorm: lambda layer, tensors, x: F.layer_norm(
        x, layer.normalized_shape, tensors.get("weight"), tensors.get("bias"), layer.eps
    ),
    nn.RMSNorm: lambda layer, tensors, x: F.rms_norm(x, layer.normalized_shape, tensors.get("weight"), layer.eps),
}


def mixed(layer: nn.Module) -> nn.Module:
    """Return the layer as one that computes in the dtype of what it is given, if there is such a class."""
    kind = _MIXED.get(type(layer))
    if kind is not None:
        # All that its constructor made is the same.
        layer.__class__ = kind
    return layer


def as_function(layer: nn.Module, tensors: Tensors, *args: Any) -> Any:
    """Call a layer as a function; raises `UnsupportedError` for one that is more than a function of its tensors."""
    kind = next((kind for kind, other in _MIXED.items() if type(layer) is other), type(layer))
    function = (PRODUCTS | _OTHERS).get(kind)
    if function is None:
        raise UnsupportedError(f"{type(layer).__name__} in the step of a loop")
    return function(layer, tensors, *args)
