"""Convolutions, on tensors [N, *spatial, C]."""

from __future__ import annotations

from collections.abc import Sequence

from keras import layers, ops

from translate.converters.lowering import Context
from translate.converters.onnx_to_keras.build import builder
from translate.converters.onnx_to_keras.table import CHANNELS_LAST, Array, Tensor, lower
from translate.converters.onnx_to_keras.windows import Window
from translate.errors import UnsupportedError

_CONVOLUTIONS = {1: layers.Conv1D, 2: layers.Conv2D, 3: layers.Conv3D}
_DEPTHWISE = {1: layers.DepthwiseConv1D, 2: layers.DepthwiseConv2D}
_TRANSPOSED = {1: layers.Conv1DTranspose, 2: layers.Conv2DTranspose, 3: layers.Conv3DTranspose}
_PADDING = {1: layers.ZeroPadding1D, 2: layers.ZeroPadding2D, 3: layers.ZeroPadding3D}
_CROPPING = {1: layers.Cropping1D, 2: layers.Cropping2D, 3: layers.Cropping3D}


@lower("Conv", domain=CHANNELS_LAST)
def conv(
    x: Tensor,
    w: Tensor | Array,
    b: Tensor | Array | None = None,
    *,
    auto_pad: str = "NOTSET",
    dilations: Sequence[int] | None = None,
    group: int = 1,
    kernel_shape: Sequence[int] | None = None,
    pads: Sequence[int] | None = None,
    strides: Sequence[int] | None = None,
    context: Context,
) -> Tensor:
    """Convolve x [N, *spatial, C] with w [*kernel, C/group, M] and add b [M]: [N, *spatial, M].

    Limits: up to three spatial axes.
    """
    spatial = len(x.shape) - 2
    if spatial not in _CONVOLUTIONS:
        raise UnsupportedError(f"Keras has no convolution over {spatial} axes")
    window = Window.over(context, kernel_shape or w.shape[:spatial], strides, dilations, pads, auto_pad)
    x, padding = _padded(x, window, spatial)
    # Keras has no strides with dilations: every window, then the wanted ones.
    thinned = max(window.dilations) > 1 and max(window.strides) > 1
    steps = (1,) * spatial if thinned else window.strides
    depthwise = group > 1 and w.shape[-2] == 1 and spatial in _DEPTHWISE and len(set(steps)) == 1
    config = {
        "kernel_size": window.kernel,
        "strides": steps if spatial > 1 or not depthwise else steps[0],
        "padding": padding,
        "dilation_rate": window.dilations,
        "use_bias": b is not None,
    }
    if depthwise:

        def store(kernel: Array, *rest: Array) -> list[Array]:
            return [kernel.reshape(*kernel.shape[:-2], group, -1), *rest]

        multiplier = w.shape[-1] // group
        layer = builder().layer(_DEPTHWISE[spatial], [w, b], store, depth_multiplier=multiplier, **config)
    else:
        layer = builder().layer(_CONVOLUTIONS[spatial], [w, b], _as_is, filters=w.shape[-1], groups=group, **config)
    if layer is None:
        y = ops.conv(x, builder().tensor(w), steps, padding, dilation_rate=window.dilations)
        y = y if b is None else ops.add(y, builder().tensor(b))
    else:
        y = layer(x)
    return y[(slice(None), *(slice(None, None, step) for step in window.strides))] if thinned else y


def _as_is(*arrays: Array) -> Sequence[Array]:
    return arrays


def _padded(x: Tensor, window: Window, spatial: int) -> tuple[Tensor, str]:
    if window.is_same and not window.is_valid:
        return x, "same"
    if window.is_valid:
        return x, "valid"
    return _PADDING[spatial](window.outer if spatial > 1 else window.outer[0])(x), "valid"


@lower("ConvTranspose", domain=CHANNELS_LAST)
def conv_transpose(
    x: Tensor,
    w: Tensor | Array,
    b: Tensor | Array | None = None,
    *,
    auto_pad: str = "NOTSET",
    dilations: Sequence[int] | None = None,
    group: int = 1,
    kernel_shape: Sequence[int] | None = None,
    output_padding: Sequence[int] | None = None,
    pads: Sequence[int] | None = None,
    strides: Sequence[int] | None = None,
    context: Context,
) -> Tensor:
    """Convolve x [N, *spatial, C] transposed with w [*kernel, M/group, C] and add b [M]: [N, *spatial, M].

    Limits: up to three spatial axes, without groups, dilations, an output shape or automatic padding.
    """
    spatial = len(x.shape) - 2
    if spatial not in _TRANSPOSED or auto_pad.startswith("SAME"):
        raise UnsupportedError("Keras has no such transposed convolution")
    if dilations and max(dilations) > 1:
        raise UnsupportedError("Keras has no dilated transposed convolution")
    window = Window.over(context, kernel_shape or w.shape[:spatial], strides, None, pads, auto_pad)
    more = tuple(output_padding or (0,) * spatial)
    # The layer gives all that the windows reach; a window shorter than its stride needs the zeros after it said.
    reach = tuple(m + max(s - k, 0) for m, s, k in zip(more, window.strides, window.kernel, strict=True))
    cut = [(begin, end + r - m) for (begin, end), r, m in zip(window.padding, reach, more, strict=True)]
    layer = None
    if group == 1:
        layer = builder().layer(
            _TRANSPOSED[spatial],
            [w, b],
            _as_is,
            filters=w.shape[-2],
            kernel_size=window.kernel,
            strides=window.strides,
            padding="valid",
            output_padding=reach if any(reach) else None,
            use_bias=b is not None,
        )
    if layer is None:
        # Keras 3.15's operation takes its arguments in a wrong order where a model calls it.
        raise UnsupportedError("Keras has no transposed convolution in groups, or with a weight that others share")
    y = layer(x)
    return y if not any(map(any, cut)) else _CROPPING[spatial](cut if spatial > 1 else cut[0])(y)
