"""Convolutions, on tensors [N, C, *spatial]."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from translate.converters.keras_to_torch.activation import activation
from translate.converters.keras_to_torch.core import dtype_of
from translate.converters.keras_to_torch.here import made_before, submodule
from translate.converters.keras_to_torch.layout import channels_first
from translate.converters.keras_to_torch.stored import Stored, depthwise, kernel
from translate.converters.keras_to_torch.table import lower
from translate.converters.onnx_to_torch.windows import Window
from translate.errors import UnsupportedError

_LAYERS: dict[int, Any] = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}
_TRANSPOSED: dict[int, Any] = {1: nn.ConvTranspose1d, 2: nn.ConvTranspose2d, 3: nn.ConvTranspose3d}


@lower("Conv1D", "Conv2D", "Conv3D", layout=channels_first)
def conv(layer: Any, x: torch.Tensor) -> Any:
    """Convolve x [N, C, *spatial]; padding that is not the same on both sides is done before.

    Limits: no LoRA that is not merged.
    """
    channels = layer._kernel.shape[-2] * layer.groups
    if getattr(layer, "lora_enabled", False):
        raise UnsupportedError("LoRA that is not merged into the kernel")
    y = convolved(layer, x, kernel(layer._kernel), (channels, layer.filters, layer.groups), layer.bias)
    return activation(layer.activation, y)


@lower("DepthwiseConv1D", "DepthwiseConv2D", layout=channels_first)
def depthwise_conv(layer: Any, x: torch.Tensor) -> Any:
    """Convolve each channel of x [N, C, *spatial] for itself."""
    channels = layer.kernel.shape[-2]
    sizes = (channels, channels * layer.depth_multiplier, channels)
    y = convolved(layer, x, depthwise(layer.kernel), sizes, layer.bias)
    return activation(layer.activation, y)


@lower("SeparableConv1D", "SeparableConv2D", layout=channels_first)
def separable_conv(layer: Any, x: torch.Tensor) -> Any:
    """Convolve each channel of x [N, C, *spatial] for itself, and then mix the channels."""
    channels = layer.depthwise_kernel.shape[-2]
    features = channels * layer.depth_multiplier
    sizes = (channels, features, channels)
    x = convolved(layer, x, depthwise(layer.depthwise_kernel), sizes, None, part="depthwise")
    y = submodule(
        lambda: _LAYERS[layer.rank](
            features, layer.filters, 1, bias=layer.bias is not None, dtype=dtype_of(layer.pointwise_kernel)
        ),
        {"weight": kernel(layer.pointwise_kernel), "bias": layer.bias},
        x,
        part="pointwise",
    )
    return activation(layer.activation, y)


@lower("Conv1DTranspose", "Conv2DTranspose", "Conv3DTranspose", layout=channels_first)
def conv_transpose(layer: Any, x: torch.Tensor) -> Any:
    """Convolve x [N, C, *spatial] transposed; what Keras cuts off more at the end is cut off afterwards."""
    size, strides, dilations = _windows(layer)
    begins, ends = [], []
    for axis, (k, s, d) in enumerate(zip(size, strides, dilations, strict=True)):
        extent = (k - 1) * d + 1
        more = None if layer.output_padding is None else layer.output_padding[axis]
        # How much longer the whole result, (n - 1) * s + extent, is than what Keras returns.
        if layer.padding == "valid":
            begins.append(0)
            ends.append(-max(s - extent, 0) if more is None else -more)
            continue
        total = extent - s if more is None else 2 * (extent // 2) - more
        begins.append(max(total, 0) // 2)
        ends.append(total - begins[-1])
    # PyTorch adds at the end, and cuts the same off both sides.
    extra = [max(begin - end, 0) for begin, end in zip(begins, ends, strict=True)]
    if any(e >= max(s, d) for e, s, d in zip(extra, strides, dilations, strict=True) if e):
        raise UnsupportedError("output padding that is as large as the stride")
    y = submodule(
        lambda: _TRANSPOSED[len(size)](
            layer.kernel.shape[-1],
            layer.filters,
            size,
            strides,
            tuple(begins),
            tuple(extra),
            1,
            layer.bias is not None,
            dilations,
            dtype=dtype_of(layer.kernel),
        ),
        {"weight": kernel(layer.kernel), "bias": layer.bias},
        x,
    )
    rest = [max(end - begin, 0) for begin, end in zip(begins, ends, strict=True)]
    if any(rest):
        y = y[(slice(None), slice(None), *(slice(None, -cut if cut else None) for cut in rest))]
    return activation(layer.activation, y)


def convolved(
    layer: Any, x: torch.Tensor, weight: Stored, channels: tuple[int, int, int], bias: Any, part: str = ""
) -> Any:
    """Convolve x; `channels` are those of x, those of the result, and in how many groups they are."""
    inputs, outputs, groups = channels
    size, strides, dilations = _windows(layer)
    window = Window.over(x, size, strides, dilations, None, "VALID" if layer.padding != "same" else "SAME_UPPER")
    padding = window.symmetric
    if layer.padding == "causal":
        x = F.pad(x, [dilations[0] * (size[0] - 1), 0])
    made: Any = made_before(part)
    if made is not None and padding != made.padding:
        if any(made.padding):
            raise UnsupportedError("it is called on tensors that need different padding")
        padding = None
    if padding is None:
        x, padding = window.pad(x), (0,) * len(size)
    return submodule(
        lambda: _LAYERS[len(size)](
            inputs,
            outputs,
            size,
            strides,
            padding,
            dilations,
            groups,
            bias is not None,
            dtype=dtype_of(weight.variable),
        ),
        {"weight": weight, "bias": bias},
        x,
        part=part,
    )


def _windows(layer: Any) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
    """Return the size, the strides and the dilations of a layer's kernel, one number for each spatial axis."""

    def numbers(value: Any) -> tuple[int, ...]:
        return (value,) * layer.rank if isinstance(value, int) else tuple(value)

    return numbers(layer.kernel_size), numbers(layer.strides), numbers(layer.dilation_rate)
