"""Operations of neural networks that are layers as well: convolutions, pools, normalisations, attention, losses."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F

from translate.converters.keras_to_torch.layout import channels_first, identity
from translate.converters.keras_to_torch.ops.dtypes import alike, axes_of, truth
from translate.converters.keras_to_torch.table import lower
from translate.converters.onnx_to_torch.windows import Window
from translate.errors import UnsupportedError

_CONV: dict[int, Callable[..., Any]] = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}
_TRANSPOSED: dict[int, Callable[..., Any]] = {1: F.conv_transpose1d, 2: F.conv_transpose2d, 3: F.conv_transpose3d}
_MAX: dict[int, Callable[..., Any]] = {1: F.max_pool1d, 2: F.max_pool2d, 3: F.max_pool3d}
_AVERAGE: dict[int, Callable[..., Any]] = {1: F.avg_pool1d, 2: F.avg_pool2d, 3: F.avg_pool3d}
_ADAPTIVE_MAX: dict[int, Callable[..., Any]] = {
    1: F.adaptive_max_pool1d,
    2: F.adaptive_max_pool2d,
    3: F.adaptive_max_pool3d,
}
_ADAPTIVE_AVERAGE: dict[int, Callable[..., Any]] = {
    1: F.adaptive_avg_pool1d,
    2: F.adaptive_avg_pool2d,
    3: F.adaptive_avg_pool3d,
}


def _numbers(value: Any, spatial: int) -> tuple[int, ...]:
    """Return one number for each spatial axis."""
    return (value,) * spatial if isinstance(value, int) else tuple(value)


def _auto_pad(op: Any) -> str:
    return "SAME_UPPER" if op.padding == "same" else "VALID"


def _kernel(op: Any, weight: torch.Tensor, axes: Sequence[int]) -> torch.Tensor:
    """Return a kernel, which comes in the order of the images, with the axes that Keras calls `axes`."""
    held = channels_first(op, weight.ndim) or identity(weight.ndim)
    return weight.permute(*(held.index(axis) for axis in axes))


def _plain(weight: torch.Tensor, op: Any) -> torch.Tensor:
    """Return a kernel that Keras has as [*window, in, out] as [out, in, *window]."""
    spatial = weight.ndim - 2
    return _kernel(op, weight, (spatial + 1, spatial, *range(spatial)))


def _convolve(op: Any, x: torch.Tensor, weight: torch.Tensor, groups: int) -> torch.Tensor:
    """Convolve x [N, C, *spatial] with a kernel [out, in, *window]."""
    spatial = x.ndim - 2
    strides, dilations = _numbers(op.strides, spatial), _numbers(op.dilation_rate, spatial)
    size = tuple(int(one) for one in weight.shape[2:])
    window = Window.over(x, size, strides, dilations, None, _auto_pad(op))
    padding = window.symmetric
    if padding is None:
        x, padding = window.pad(x), (0,) * spatial
    y: torch.Tensor = _CONV[spatial](x, weight, None, strides, padding, dilations, groups)
    return y


def _depthwise(op: Any, x: torch.Tensor, kernel: torch.Tensor) -> torch.Tensor:
    """Convolve each channel for itself with a kernel [*window, channels, multiplier]."""
    spatial = x.ndim - 2
    weight = _kernel(op, kernel, (spatial, spatial + 1, *range(spatial))).flatten(0, 1).unsqueeze(1)
    return _convolve(op, x, weight, int(x.shape[1]))


@lower("Conv", part="ops", layout=channels_first)
def conv(op: Any, x: torch.Tensor, *, kernel: torch.Tensor) -> torch.Tensor:
    """Convolve with a kernel that is a tensor."""
    weight = _plain(kernel, op)
    return _convolve(op, x, weight, int(x.shape[1]) // int(weight.shape[1]))


@lower("DepthwiseConv", part="ops", layout=channels_first)
def depthwise_conv(op: Any, x: torch.Tensor, *, kernel: torch.Tensor) -> torch.Tensor:
    """Convolve each channel for itself with a kernel that is a tensor."""
    return _depthwise(op, x, kernel)


@lower("SeparableConv", part="ops", layout=channels_first)
def separable_conv(
    op: Any, x: torch.Tensor, *, depthwise_kernel: torch.Tensor, pointwise_kernel: torch.Tensor
) -> torch.Tensor:
    """Convolve each channel for itself, and then mix the channels."""
    y = _depthwise(op, x, depthwise_kernel)
    mixed: torch.Tensor = _CONV[x.ndim - 2](y, _plain(pointwise_kernel, op))
    return mixed


@lower("ConvTranspose", part="ops", layout=channels_first)
def conv_transpose(op: Any, x: torch.Tensor, *, kernel: torch.Tensor) -> torch.Tensor:
    """Convolve transposed with a kernel [*window, out, in] that is a tensor.

    Limits: without `output_padding`.
    """
    if op.output_padding is not None:
        raise UnsupportedError("output padding")
    spatial = x.ndim - 2
    strides, dilations = _numbers(op.strides, spatial), _numbers(op.dilation_rate, spatial)
    weight = _kernel(op, kernel, (spatial + 1, spatial, *range(spatial)))
    y: torch.Tensor = _TRANSPOSED[spatial](x, weight, None, strides, 0, 0, 1, dilations)
    cuts = []
    for size, stride, dilation in zip(weight.shape[2:], strides, dilations, strict=True):
        # How much longer the whole result, (n - 1) * stride + extent, is than what Keras returns.
        over = (int(size) - 1) * dilation + 1 - stride
        if op.padding == "valid" or over < 0:
            cuts.append((0, min(over, 0)))
        else:
            cuts.append((over // 2, over - over // 2))
    if any(end < 0 for _, end in cuts):
        y = F.pad(y, [amount for _, end in reversed(cuts) for amount in (0, max(-end, 0))])
    kept = (slice(begin or None, -end if end > 0 else None) for begin, end in cuts)
    return y[(slice(None), slice(None), *kept)] if any(end > 0 or begin for begin, end in cuts) else y


def _pool_window(op: Any, x: torch.Tensor) -> Window:
    spatial = x.ndim - 2
    size = _numbers(op.pool_size, spatial)
    strides = size if op.strides is None else _numbers(op.strides, spatial)
    return Window.over(x, size, strides, None, None, _auto_pad(op))


@lower("MaxPool", part="ops", layout=channels_first)
def max_pool(op: Any, x: torch.Tensor) -> torch.Tensor:
    """Take the largest element of each window."""
    window = _pool_window(op, x)
    y: torch.Tensor = _MAX[x.ndim - 2](window.pad(x, float("-inf")), window.kernel, window.strides)
    return y


@lower("AveragePool", part="ops", layout=channels_first)
def average_pool(op: Any, x: torch.Tensor) -> torch.Tensor:
    """Average the elements of each window; padding does not count."""
    window, average = _pool_window(op, x), _AVERAGE[x.ndim - 2]
    y: torch.Tensor = average(window.pad(x), window.kernel, window.strides)
    if op.padding != "same":
        return y
    counted: torch.Tensor = average(window.pad(torch.ones_like(x[:1, :1])), window.kernel, window.strides)
    return y / counted


@lower("AdaptiveMaxPool", part="ops", layout=channels_first)
def adaptive_max_pool(op: Any, x: torch.Tensor) -> torch.Tensor:
    """Take the largest element of each part, of which there is a given number."""
    y: torch.Tensor = _ADAPTIVE_MAX[x.ndim - 2](x, _numbers(op.output_size, x.ndim - 2))
    return y


@lower("AdaptiveAveragePool", part="ops", layout=channels_first)
def adaptive_average_pool(op: Any, x: torch.Tensor) -> torch.Tensor:
    """Average the elements of each part, of which there is a given number."""
    y: torch.Tensor = _ADAPTIVE_AVERAGE[x.ndim - 2](x, _numbers(op.output_size, x.ndim - 2))
    return y


@lower("BatchNorm", part="ops")
def batch_norm(
    op: Any,
    x: torch.Tensor,
    *,
    mean: torch.Tensor,
    variance: torch.Tensor,
    offset: torch.Tensor | None = None,
    scale: torch.Tensor | None = None,
) -> torch.Tensor:
    """Normalise each channel by statistics that are tensors."""
    axis = op.axis % x.ndim
    shape = [-1 if other == axis else 1 for other in range(x.ndim)]

    def along(vector: torch.Tensor) -> torch.Tensor:
        return vector if axis == x.ndim - 1 else vector.reshape(shape)

    factor = torch.rsqrt(along(variance) + op.epsilon)
    factor = factor if scale is None else factor * along(scale)
    y = (x - along(mean)) * factor
    return y if offset is None else y + along(offset)


def _along(vector: torch.Tensor | None, x: torch.Tensor, axes: Sequence[int]) -> Any:
    """Return weights for `axes` so that they are broadcast to x."""
    if vector is None or vector.ndim == x.ndim or list(axes) == [x.ndim - 1]:
        return vector
    return vector.reshape([x.size(axis) if axis in axes else 1 for axis in range(x.ndim)])


@lower("LayerNorm", part="ops")
def layer_norm(
    op: Any, x: torch.Tensor, *, gamma: torch.Tensor | None = None, beta: torch.Tensor | None = None
) -> torch.Tensor:
    """Normalise over axes."""
    axes = axes_of(op.axis, x.ndim)
    epsilon = 1e-7 if op.epsilon is None else op.epsilon
    gamma, beta = _along(gamma, x, axes), _along(beta, x, axes)
    variance = torch.var(x, axes, correction=0, keepdim=True)
    if op.rms_scaling:
        y, beta = x * torch.rsqrt(variance + epsilon), None
    else:
        y = (x - torch.mean(x, axes, keepdim=True)) * torch.rsqrt(variance + epsilon)
    y = y if gamma is None else y * gamma
    return y if beta is None else y + beta


@lower("RMSNorm", part="ops")
def rms_norm(op: Any, x: torch.Tensor, *, scale: torch.Tensor | None = None) -> torch.Tensor:
    """Divide by the root of the mean square over axes."""
    epsilon = 1e-7 if op.epsilon is None else op.epsilon
    y = x * torch.rsqrt(torch.mean(torch.square(x), axes_of(op.axis, x.ndim), keepdim=True) + epsilon)
    return y if scale is None else y * scale


@lower("DotProductAttention", part="ops")
def dot_product_attention(
    op: Any,
    query: torch.Tensor,
    *,
    key: torch.Tensor,
    value: torch.Tensor,
    bias: torch.Tensor | None = None,
    mask: torch.Tensor | None = None,
    scale: float | None = None,
) -> torch.Tensor:
    """Let each step of the query [N, T, heads, C] look at those of key and value [N, S, heads, C]."""
    if op.attn_logits_soft_cap is not None:
        raise UnsupportedError("a cap on the logits")
    groups = int(query.shape[2]) // int(key.shape[2])
    if groups > 1:
        key, value = (torch.repeat_interleave(one, groups, 2) for one in (key, value))
    q, k, v = (one.transpose(1, 2) for one in alike(query, key, value))
    if bias is None and mask is None and not op.is_causal:
        return F.scaled_dot_product_attention(q, k, v, scale=scale).transpose(1, 2)
    scores = torch.matmul(q, k.transpose(-1, -2)) * (int(q.shape[-1]) ** -0.5 if scale is None else scale)
    scores = scores if bias is None else scores + bias
    least = torch.finfo(scores.dtype).min * 0.7
    if mask is not None:
        scores = torch.where(truth(mask), scores, least)
    if op.is_causal:
        scores = torch.where(torch.tril(torch.ones_like(scores, dtype=torch.bool)), scores, least)
    return torch.matmul(F.softmax(scores, -1), v).transpose(1, 2)


@lower("BinaryCrossentropy", part="ops")
def binary_crossentropy(op: Any, target: torch.Tensor, *, output: torch.Tensor) -> torch.Tensor:
    """Return the surprise at each target, by probabilities or logits."""
    target, output = alike(target, output)
    if op.from_logits:
        return F.binary_cross_entropy_with_logits(output, target, reduction="none")
    p = torch.clamp(output, 1e-7, 1 - 1e-7)
    return -(target * torch.log(p) + (1 - target) * torch.log(1 - p))


def _log_probabilities(op: Any, output: torch.Tensor, axis: int, normalised: bool) -> torch.Tensor:
    if op.from_logits:
        return F.log_softmax(output, dim=axis)
    output = output / torch.sum(output, axis, keepdim=True) if normalised else output
    return torch.log(torch.clamp(output, 1e-7, 1 - 1e-7))


@lower("CategoricalCrossentropy", part="ops")
def categorical_crossentropy(op: Any, target: torch.Tensor, *, output: torch.Tensor) -> torch.Tensor:
    """Return the surprise at targets that are distributions."""
    return -torch.sum(target * _log_probabilities(op, output, op.axis, normalised=True), op.axis)


@lower("SparseCategoricalCrossentropy", part="ops")
def sparse_categorical_crossentropy(op: Any, target: torch.Tensor, *, output: torch.Tensor) -> torch.Tensor:
    """Return the surprise at targets that are numbers of classes."""
    log_p = _log_probabilities(op, output, -1, normalised=False)
    # Logits of probabilities are normalised, as those of a softmax.
    log_p = log_p if op.from_logits else F.log_softmax(log_p, dim=-1)
    places = target.to(torch.int64)
    places = places if places.ndim == output.ndim and places.shape[-1] == 1 else places.unsqueeze(-1)
    return -torch.gather(log_p, -1, places).squeeze(-1)


@lower("Unfold", part="ops")
def unfold(op: Any, x: torch.Tensor) -> torch.Tensor:
    """Return the windows over x [N, C, H, W] as columns."""
    return F.unfold(x, op.kernel_size, op.dilation, op.padding, op.stride)


@lower("Fold", part="ops")
def fold(op: Any, x: torch.Tensor) -> torch.Tensor:
    """Add windows that are columns up where they are in an image."""
    return F.fold(x, op.output_size, op.kernel_size, op.dilation, op.padding, op.stride)


@lower("DepthToSpace", part="ops", layout=channels_first)
def depth_to_space(op: Any, x: torch.Tensor) -> torch.Tensor:
    """Make blocks of pixels of the channels, the channels of a pixel being next to each other."""
    size, channels = op.block_size, int(x.shape[1])
    height, width = x.shape[2], x.shape[3]
    y = x.reshape([-1, size, size, channels // size**2, height, width]).permute(0, 3, 4, 1, 5, 2)
    return y.reshape([-1, channels // size**2, height * size, width * size])


@lower("SpaceToDepth", part="ops", layout=channels_first)
def space_to_depth(op: Any, x: torch.Tensor) -> torch.Tensor:
    """Make channels of blocks of pixels, the channels of a pixel being next to each other."""
    size, channels = op.block_size, int(x.shape[1])
    height, width = x.shape[2] // size, x.shape[3] // size
    y = x.reshape([-1, channels, height, size, width, size]).permute(0, 3, 5, 1, 2, 4)
    return y.reshape([-1, channels * size**2, height, width])
