"""Sliding windows, as convolutions and pools share them: padding, output sizes, the elements of each window."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
import tensorflow as tf

from translate.converters.onnx_to_tf.dialect import is_for_tflite
from translate.converters.onnx_to_tf.shapes import dims, rank
from translate.converters.operators.windows import explicit, halves
from translate.errors import UnsupportedError

# A size: an int where it is known while translating, a scalar tensor where it is not.
Size: TypeAlias = "int | tf.Tensor"
# Many of them.
Numbers: TypeAlias = "np.ndarray[Any, Any] | tf.Tensor"


@dataclass(frozen=True)
class Window:
    """A window that slides over the spatial axes of a tensor [N, *spatial, C].

    Along each axis of `sizes` elements, `padding` says how many come before the first and after the last element, and
    `overhang` by how much the last window of `ceil_mode` reaches beyond even that.
    """

    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    sizes: tuple[Size, ...]
    padding: tuple[tuple[Size, Size], ...]
    overhang: tuple[Size, ...]

    @classmethod
    def over(
        cls,
        x: tf.Tensor,
        kernel: Sequence[int],
        strides: Sequence[int] | None,
        dilations: Sequence[int] | None,
        pads: Sequence[int] | None,
        auto_pad: str,
        ceil_mode: int = 0,
    ) -> Window:
        """Work out where the windows over x [N, *spatial, C] are; `pads` are all that begin, then all that end."""
        axes = range(len(kernel))
        kernel, sizes = tuple(kernel), tuple(dims(x)[1:-1])
        steps, spread = tuple(strides or [1 for _ in axes]), tuple(dilations or [1 for _ in axes])
        extent = [(kernel[i] - 1) * spread[i] + 1 for i in axes]
        if auto_pad in ("SAME_UPPER", "SAME_LOWER"):
            padding = tuple(_same(sizes[i], extent[i], steps[i], auto_pad) for i in axes)
        else:
            padding = tuple(explicit(pads, auto_pad, len(kernel)))
        overhang = tuple(_overhang(sizes[i], padding[i], extent[i], steps[i]) if ceil_mode else 0 for i in axes)
        return cls(kernel, steps, spread, sizes, padding, overhang)

    @property
    def extent(self) -> tuple[int, ...]:
        """How many elements of the input a window spans along each axis."""
        return tuple((k - 1) * d + 1 for k, d in zip(self.kernel, self.dilations, strict=True))

    @property
    def outer_padding(self) -> tuple[tuple[Size, Size], ...]:
        """Padding with the overhang of `ceil_mode` added after the last element."""
        return tuple((begin, end + more) for (begin, end), more in zip(self.padding, self.overhang, strict=True))

    @property
    def counts(self) -> tuple[Size, ...]:
        """How many windows there are along each axis: the output's spatial sizes."""
        return tuple(
            (size + begin + end - extent) // stride + 1
            for size, (begin, end), extent, stride in zip(
                self.sizes, self.outer_padding, self.extent, self.strides, strict=True
            )
        )

    @property
    def is_valid(self) -> bool:
        """Whether nothing is padded."""
        return all(_is(amount, 0) for pair in self.outer_padding for amount in pair)

    @property
    def is_same(self) -> bool:
        """Whether the padding is just what TensorFlow calls SAME, whatever the sizes."""
        axes = zip(self.outer_padding, self.sizes, self.extent, self.strides, strict=True)
        return all(_equal(pair, _same(size, extent, stride, "SAME_UPPER")) for pair, size, extent, stride in axes)

    @property
    def is_dilated(self) -> bool:
        """Whether the elements of a window lie apart."""
        return any(dilation != 1 for dilation in self.dilations)

    @property
    def is_known(self) -> bool:
        """Whether all padding is known while translating and none of it is negative."""
        return all(isinstance(amount, int) and amount >= 0 for pair in self.outer_padding for amount in pair)

    def dense(self) -> Window:
        """Return the same windows, and all those between them: with strides of one."""
        return replace(self, strides=tuple(1 for _ in self.strides))

    def without_padding(self) -> Window:
        """Return the same windows over the tensor that `pad` makes."""
        none = tuple((0, 0) for _ in self.kernel)
        sizes = tuple(size + begin + end for size, (begin, end) in zip(self.sizes, self.outer_padding, strict=True))
        return replace(self, sizes=sizes, padding=none, overhang=tuple(0 for _ in self.kernel))

    def with_unit_axis(self) -> Window:
        """Return the window over x [N, 1, size, C] for the window over x [N, size, C]."""
        # The stride of the unit axis does not matter, and depthwise kernels want equal strides.
        return Window(
            (1, *self.kernel),
            (*self.strides, *self.strides),
            (1, *self.dilations),
            (1, *self.sizes),
            ((0, 0), *self.padding),
            (0, *self.overhang),
        )

    def pad(self, x: tf.Tensor, fill: float | int = 0) -> tf.Tensor:
        """Return `x` [N, *spatial, C] with its spatial axes padded with `fill`."""
        if self.is_valid:
            return x
        y = tf.pad(x, [(0, 0), *self.outer_padding, (0, 0)], constant_values=tf.cast(fill, x.dtype))
        if is_for_tflite() and any(isinstance(amount, tf.Tensor) for pair in self.outer_padding for amount in pair):
            # Where a padding is computed its converter loses the number of channels.
            y = tf.reshape(y, [*dims(y)[:-1], dims(x)[-1]])
        return y

    def slices(self, padded: tf.Tensor) -> Iterator[tuple[tuple[int, ...], tf.Tensor]]:
        """Yield, for each position in the window, the position and that element of every window [N, *counts, C]."""
        counts = self.counts
        for position in itertools.product(*(range(k) for k in self.kernel)):
            starts = [p * dilation for p, dilation in zip(position, self.dilations, strict=True)]
            index = [
                slice(start, start + (count - 1) * stride + 1, stride)
                for start, count, stride in zip(starts, counts, self.strides, strict=True)
            ]
            yield position, padded[(slice(None), *index)]

    def positions(self, axis: int) -> Numbers:
        """Return where along spatial `axis` of the input each element of each window is: [count, kernel]."""
        count, begin = self.counts[axis], self.padding[axis][0]
        within = np.arange(self.kernel[axis], dtype=np.int32) * self.dilations[axis]
        starts = np.arange(count, dtype=np.int32) if isinstance(count, int) else tf.range(count)
        return starts[:, None] * self.strides[axis] + within - begin

    def elements(self, axis: int, include_padding: bool) -> Numbers:
        """Count, for each window along spatial `axis`, its elements inside the input, or the padded input: [count]."""
        positions = self.positions(axis)
        begin, end = self.padding[axis] if include_padding else (0, 0)
        inside = (positions >= -begin) & (positions < self.sizes[axis] + end)
        return tf.math.count_nonzero(inside, 1) if isinstance(inside, tf.Tensor) else np.count_nonzero(inside, 1)


def _same(size: Size, extent: int, stride: int, auto_pad: str) -> tuple[Size, Size]:
    # So many windows as strides fit into the input, the odd element of padding at the end (UPPER) or beginning.
    total = _maximum((-(-size // stride) - 1) * stride + extent - size, 0) if stride > 1 else extent - 1
    return halves(total, auto_pad)


def _overhang(size: Size, padding: tuple[Size, Size], extent: int, stride: int) -> Size:
    # A last window that would start in the padding behind the input is left out.
    begin, end = padding
    last = -(-(size + begin + end - extent) // stride) * stride
    over = last + extent - (size + begin + end)
    if isinstance(last, int) and isinstance(size, int):
        return over if last < size + begin else 0
    return tf.where(last < size + begin, over, 0)


def _maximum(a: Size, b: int) -> Size:
    return max(a, b) if isinstance(a, int) else tf.maximum(a, b)


def _is(value: Size, number: int) -> bool:
    return isinstance(value, int) and value == number


def _equal(pair: tuple[Size, Size], other: tuple[Size, Size]) -> bool:
    return all(isinstance(a, int) and isinstance(b, int) and a == b for a, b in zip(pair, other, strict=True))


def spatial_rank(x: tf.Tensor, most: int) -> int:
    """Return the number of spatial axes of `x` [N, *spatial, C]; raises `UnsupportedError` above `most`."""
    spatial = rank(x) - 2
    if not 1 <= spatial <= most:
        raise UnsupportedError(f"{spatial} spatial axes (only 1 to {most})")
    return spatial
