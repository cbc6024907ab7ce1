"""Convolutions, on tensors [N, *spatial, C]."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import tensorflow as tf

from translate.converters.onnx_to_tf.dialect import is_for_tflite
from translate.converters.onnx_to_tf.shapes import dims
from translate.converters.onnx_to_tf.table import CHANNELS_LAST, lower
from translate.converters.onnx_to_tf.windows import Size, Window, spatial_rank
from translate.converters.operators.windows import explicit, halves
from translate.errors import UnsupportedError

Convolve = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]


@lower("Conv", domain=CHANNELS_LAST)
def conv(
    x: tf.Tensor,
    w: tf.Tensor,
    b: tf.Tensor | None = None,
    *,
    auto_pad: str = "NOTSET",
    dilations: Sequence[int] | None = None,
    group: int = 1,
    kernel_shape: Sequence[int] | None = None,
    pads: Sequence[int] | None = None,
    strides: Sequence[int] | None = None,
) -> tf.Tensor:
    """Convolve x [N, *spatial, C] with w [*kernel, C/group, M] and add b [M]: [N, *spatial, M].

    Limits: up to three spatial axes.
    """
    spatial = spatial_rank(x, 3)
    window = Window.over(x, _kernel(w, kernel_shape, spatial), strides, dilations, pads, auto_pad)
    if spatial == 3:
        return biased(_conv3d(x, w, window, group), b)
    if spatial == 2:
        y = biased(_conv2d(x, w, window, group), b)
        # Where Grappler fuses a depthwise convolution and its bias with a sum, it breaks the graph: keep them apart.
        return tf.ensure_shape(y, y.shape) if b is not None and _is_depthwise(w, group) else y
    window = window.with_unit_axis()
    return tf.squeeze(biased(_conv2d(x[:, None], w[None], window, group), b), 1)


def _kernel(w: tf.Tensor, kernel_shape: Sequence[int] | None, spatial: int) -> Sequence[int]:
    kernel = kernel_shape or w.shape[:spatial].as_list()
    if None in kernel:
        raise UnsupportedError("the kernel's size is not known")
    return kernel


def biased(y: tf.Tensor, b: tf.Tensor | None) -> tf.Tensor:
    """Add b [M] to y [N, *spatial, M] where there is one."""
    return y if b is None else tf.nn.bias_add(y, b)


def _is_depthwise(w: tf.Tensor, group: int) -> bool:
    return group > 1 and w.shape[-2] == 1


def _conv2d(x: tf.Tensor, w: tf.Tensor, window: Window, group: int) -> tf.Tensor:
    if _is_depthwise(w, group):
        return _depthwise(x, w, window, group)
    if group > 1:
        return _grouped(x, w, window, group)
    if window.is_dilated or window.is_same or not window.is_known:
        x, padding = _padded(x, window)
        return tf.nn.conv2d(x, w, window.strides, padding, dilations=window.dilations)
    # The kernel pads by itself, which saves a copy. (With dilations it could too, but its gradient could not.)
    return tf.nn.conv2d(x, w, window.strides, [(0, 0), *window.padding, (0, 0)])


def _padded(x: tf.Tensor, window: Window) -> tuple[tf.Tensor, str]:
    return (x, "SAME") if window.is_same else (window.pad(x), "VALID")


def _depthwise(x: tf.Tensor, w: tf.Tensor, window: Window, group: int) -> tf.Tensor:
    kernel = dims(w)
    w = tf.reshape(w, [*kernel[:2], group, kernel[3] // group])
    rows, columns = window.strides
    if rows == columns and not (window.is_dilated and rows > 1):
        x, padding = _padded(x, window)
        return tf.nn.depthwise_conv2d(x, w, [1, rows, columns, 1], padding, dilations=window.dilations)
    # TensorFlow has neither unequal strides nor strides with dilations here: every window, then the wanted ones.
    x, padding = _padded(x, window.dense())
    return tf.nn.depthwise_conv2d(x, w, [1, 1, 1, 1], padding, dilations=window.dilations)[:, ::rows, ::columns]


def _grouped(x: tf.Tensor, w: tf.Tensor, window: Window, group: int) -> tf.Tensor:
    """Convolve in groups with TensorFlow's own grouped kernel.

    On CPUs without oneDNN that kernel has no gradient, so the gradient is that of one convolution per group.
    """
    x, padding = _padded(x, window)

    def convolve(x: tf.Tensor, w: tf.Tensor) -> tf.Tensor:
        return tf.nn.conv2d(x, w, window.strides, padding, dilations=window.dilations)

    @tf.custom_gradient
    def grouped(x: tf.Tensor, w: tf.Tensor) -> tuple[tf.Tensor, Callable[[tf.Tensor], list[tf.Tensor]]]:
        def gradient(dy: tf.Tensor) -> list[tf.Tensor]:
            with tf.GradientTape() as tape:
                tape.watch([x, w])
                y = _by_group(convolve, x, w, group)
            gradients: list[tf.Tensor] = tape.gradient(y, [x, w], dy)
            return gradients

        return convolve(x, w), gradient

    y = grouped(x, w)
    # Without oneDNN the kernel fails where Grappler fuses it with what follows: this keeps them apart.
    return tf.ensure_shape(y, y.shape)


def _by_group(convolve: Convolve, x: tf.Tensor, w: tf.Tensor, group: int) -> tf.Tensor:
    parts = zip(tf.split(x, group, -1), tf.split(w, group, -1), strict=True)
    return tf.concat([convolve(part, kernel) for part, kernel in parts], -1)


def _conv3d(x: tf.Tensor, w: tf.Tensor, window: Window, group: int) -> tf.Tensor:
    depth, rows, columns = window.strides
    # TensorFlow has no strides with dilations here: every window, then the wanted ones.
    thinned = window.is_dilated and max(window.strides) > 1
    window = window.dense() if thinned else window
    x, padding = _padded(x, window)

    def convolve(x: tf.Tensor, w: tf.Tensor) -> tf.Tensor:
        return tf.nn.convolution(x, w, window.strides, padding, dilations=window.dilations)

    y = convolve(x, w) if group == 1 else _by_group(convolve, x, w, group)
    return y[:, ::depth, ::rows, ::columns] if thinned else y


@lower("ConvTranspose", domain=CHANNELS_LAST)
def conv_transpose(
    x: tf.Tensor,
    w: tf.Tensor,
    b: tf.Tensor | None = None,
    *,
    auto_pad: str = "NOTSET",
    dilations: Sequence[int] | None = None,
    group: int = 1,
    kernel_shape: Sequence[int] | None = None,
    output_padding: Sequence[int] | None = None,
    output_shape: Sequence[int] | None = None,
    pads: Sequence[int] | None = None,
    strides: Sequence[int] | None = None,
) -> tf.Tensor:
    """Convolve x [N, *spatial, C] transposed with w [*kernel, M/group, C] and add b [M]: [N, *spatial, M].

    Limits: up to three spatial axes.
    """
    spatial = spatial_rank(x, 3)
    w.set_shape([*_kernel(w, kernel_shape, spatial), None, None])
    w = _spread(w, dilations or [1] * spatial)
    kernel, sizes = dims(w)[:spatial], dims(x)[1:-1]
    strides, more = strides or [1] * spatial, output_padding or [0] * spatial
    # What the kernel gives before padding is cut off: of one window, and a stride for each further element.
    full = [s * (size - 1) + k + m for s, size, k, m in zip(strides, sizes, kernel, more, strict=True)]
    if output_shape is not None:
        cut = [_cut(size - wanted, auto_pad) for size, wanted in zip(full, output_shape[-spatial:], strict=True)]
    elif auto_pad.startswith("SAME"):
        cut = [halves(max(k + m - s, 0), auto_pad) for k, m, s in zip(kernel, more, strides, strict=True)]
    else:
        cut = explicit(pads, auto_pad, spatial)
    if spatial == 1:
        # The stride of the unit axis does not matter, and depthwise kernels want equal strides.
        y = _transposed(x[:, None], w[None], [strides[0], strides[0]], [1, *full], [(0, 0), *cut], group)
        return tf.squeeze(biased(y, b), 1)
    return biased(_transposed(x, w, strides, full, cut, group), b)


def _spread(w: tf.Tensor, dilations: Sequence[int]) -> tf.Tensor:
    """Put zeros between the elements of a kernel: w [*kernel, M, C] → [*extent, M, C].

    TensorFlow's transposed kernels on CPUs without oneDNN have no dilations.
    """
    for axis, dilation in enumerate(dilations):
        if dilation > 1:
            shape = dims(w)
            zeros = [(0, 0)] * (len(shape) + 1)
            zeros[axis + 1] = (0, dilation - 1)
            apart = tf.pad(tf.expand_dims(w, axis + 1), zeros)
            apart = tf.reshape(apart, [*shape[:axis], shape[axis] * dilation, *shape[axis + 1 :]])
            w = apart[(slice(None),) * axis + (slice((shape[axis] - 1) * dilation + 1),)]
    return w


def _cut(total: Size, auto_pad: str) -> tuple[Size, Size]:
    # What lacks (a negative total) is added at the end.
    some = max(total, 0) if isinstance(total, int) else tf.maximum(total, 0)
    begin, _ = halves(some, auto_pad)
    return begin, total - begin


def _transposed(
    x: tf.Tensor,
    w: tf.Tensor,
    strides: Sequence[int],
    full: Sequence[Size],
    cut: Sequence[tuple[Size, Size]],
    group: int,
) -> tf.Tensor:
    depthwise = w.shape[-2] == 1 and w.shape[-1] == group
    if group > 1 and not (depthwise and len(full) == 2 and strides[0] == strides[1]):
        parts = zip(tf.split(x, group, -1), tf.split(w, group, -1), strict=True)
        return tf.concat([_transposed(part, kernel, strides, full, cut, 1) for part, kernel in parts], -1)
    batch, channels = dims(x)[0], dims(w)[-2] * group
    cuts_itself = group == 1 and len(full) == 2 and not is_for_tflite()
    if cuts_itself and all(isinstance(c, int) and c >= 0 for pair in cut for c in pair):
        shape = [batch, *(size - begin - end for size, (begin, end) in zip(full, cut, strict=True)), channels]
        return tf.nn.conv2d_transpose(x, w, shape, strides, [(0, 0), *cut, (0, 0)])
    shape = [batch, *full, channels]
    if group > 1:
        # Of depthwise kernels [*kernel, M/group = 1, C] TensorFlow's have the last axes swapped.
        w = tf.reshape(w, [*dims(w)[:2], channels, 1])
        y = tf.nn.depthwise_conv2d_backprop_input(shape, w, x, [1, *strides, 1], "VALID")
    elif len(full) == 2:
        y = tf.nn.conv2d_transpose(x, w, shape, strides, "VALID")
    else:
        y = tf.nn.conv3d_transpose(x, w, shape, strides, "VALID")
    return crop(y, cut)


def crop(y: tf.Tensor, cut: Sequence[tuple[Size, Size]]) -> tf.Tensor:
    """Cut (begin, end) elements off each spatial axis of y [N, *spatial, C]; where negative, add zeros instead."""
    if all(isinstance(amount, int) and amount == 0 for pair in cut for amount in pair):
        return y
    if any(not isinstance(amount, int) or amount < 0 for pair in cut for amount in pair):
        y = tf.pad(y, [(0, 0), *((tf.maximum(-begin, 0), tf.maximum(-end, 0)) for begin, end in cut), (0, 0)])
        cut = [(tf.maximum(begin, 0), tf.maximum(end, 0)) for begin, end in cut]
    sizes = dims(y)[1:-1]
    return y[(slice(None), *(slice(begin, size - end) for (begin, end), size in zip(cut, sizes, strict=True)))]
