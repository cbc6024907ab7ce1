"""Sliding windows, as convolutions and pools share them: where they pad, as far as it is the same at all sizes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from keras import ops

from translate.converters.lowering import Context
from translate.converters.onnx_to_keras.build import builder
from translate.converters.onnx_to_keras.table import Tensor
from translate.converters.operators.windows import explicit, halves
from translate.errors import UnsupportedError


@dataclass(frozen=True)
class Window:
    """A window that slides over the spatial axes of a tensor [N, *spatial, C].

    `padding` says how many elements come before the first and after the last, and `overhang` by how much the last
    window of `ceil_mode` reaches beyond even that.
    """

    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    padding: tuple[tuple[int, int], ...]
    overhang: tuple[int, ...]

    @classmethod
    def over(
        cls,
        context: Context,
        kernel: Sequence[int],
        strides: Sequence[int] | None,
        dilations: Sequence[int] | None,
        pads: Sequence[int] | None,
        auto_pad: str,
        ceil_mode: int = 0,
    ) -> Window:
        """Work out where the windows over the node's input [N, *spatial, C] are.

        Raises `UnsupportedError` where that depends on sizes that are open.
        """
        axes = range(len(kernel))
        steps, spread = tuple(strides or [1 for _ in axes]), tuple(dilations or [1 for _ in axes])
        extent = [(kernel[i] - 1) * spread[i] + 1 for i in axes]
        sizes = (builder().worlds.shape(context.node.inputs[0]) or ())[1:-1]
        padding = explicit(pads, auto_pad, len(kernel))
        if auto_pad in ("SAME_UPPER", "SAME_LOWER"):
            found = [{_same(size, extent[i], steps[i], auto_pad) for size in sizes[i]} for i in axes]
            padding = [_one(pairs) for pairs in found]
        if any(amount < 0 for pair in padding for amount in pair):
            raise UnsupportedError("its padding is negative")
        overhang = [0 for _ in axes]
        if ceil_mode:
            overhang = [_one({_over(size, padding[i], extent[i], steps[i]) for size in sizes[i]}) for i in axes]
        return cls(tuple(kernel), steps, spread, tuple(padding), tuple(overhang))

    @property
    def is_valid(self) -> bool:
        """Whether nothing is padded."""
        return not any(amount for pair in self.outer for amount in pair)

    @property
    def outer(self) -> tuple[tuple[int, int], ...]:
        """Padding with the overhang of `ceil_mode` added after the last element."""
        return tuple((begin, end + more) for (begin, end), more in zip(self.padding, self.overhang, strict=True))

    @property
    def is_same(self) -> bool:
        """Whether the padding is just what Keras calls "same", whatever the sizes."""
        extents = [(k - 1) * d + 1 for k, d in zip(self.kernel, self.dilations, strict=True)]
        halves_of = [((extent - 1) // 2, extent // 2) for extent in extents]
        return all(stride == 1 for stride in self.strides) and list(self.outer) == halves_of

    def pad(self, x: Tensor, fill: float = 0.0) -> Tensor:
        """Return `x` [N, *spatial, C] with its spatial axes padded with `fill`."""
        if self.is_valid:
            return x
        return ops.pad(x, [(0, 0), *self.outer, (0, 0)], constant_values=fill or None)


def _same(size: int | None, extent: int, stride: int, auto_pad: str) -> tuple[int, int]:
    if size is None:
        raise UnsupportedError("its padding depends on a size that shows only when the model runs")
    before, after = halves(max((-(-size // stride) - 1) * stride + extent - size, 0), auto_pad)
    return int(before), int(after)


def _over(size: int | None, padding: tuple[int, int], extent: int, stride: int) -> int:
    """Return by how many elements the last window of `ceil_mode` reaches beyond the padding.

    One that would start in the padding behind the input is left out.
    """
    if size is None:
        raise UnsupportedError("its last window depends on a size that shows only when the model runs")
    whole = size + sum(padding) - extent
    last = -(-whole // stride) * stride
    return last - whole if last < size + padding[0] else 0


def _one(found: set[Any]) -> Any:
    if len(found) > 1:
        raise UnsupportedError("its padding depends on a size that is open")
    return found.pop()
