"""The windows of convolutions and pools: kernel, strides, dilations and padding of each spatial axis."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from translate.converters.onnx_to_torch.shapes import Size
from translate.converters.onnx_to_torch.tensor import pad_constant
from translate.converters.onnx_to_torch.values import Value, record
from translate.converters.operators.windows import explicit, halves
from translate.errors import UnsupportedError


@dataclass(frozen=True)
class Window:
    """Windows over the spatial axes of a tensor [N, C, *spatial]; `padding` is (before, after) of each."""

    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    padding: tuple[tuple[Size, Size], ...]

    @classmethod
    def over(
        cls,
        x: torch.Tensor,
        kernel: Sequence[int],
        strides: Sequence[int] | None,
        dilations: Sequence[int] | None,
        pads: Sequence[int] | None,
        auto_pad: str,
    ) -> Window:
        """Read a node's attributes; the padding of SAME_UPPER and SAME_LOWER follows from the sizes of `x`."""
        spatial = len(kernel)
        strides, dilations = strides or [1] * spatial, dilations or [1] * spatial
        if auto_pad.startswith("SAME"):
            padding = [
                _same(x, axis + 2, (kernel[axis] - 1) * dilations[axis] + 1, strides[axis], auto_pad)
                for axis in range(spatial)
            ]
        else:
            padding = explicit(pads, auto_pad, spatial)
        return cls(tuple(kernel), tuple(strides), tuple(dilations), tuple(padding))

    @property
    def symmetric(self) -> tuple[int, ...] | None:
        """The padding of each axis where it is known and the same on both sides, else None."""
        known = [
            before
            for before, after in self.padding
            if isinstance(before, int) and isinstance(after, int) and before == after
        ]
        return tuple(known) if len(known) == len(self.padding) else None

    def pad(self, x: torch.Tensor, value: Any = 0) -> torch.Tensor:
        """Pad the spatial axes of x."""
        return pad_constant(x, [(0, 0), (0, 0), *self.padding], value)

    def without_padding(self) -> Window:
        """Return the same windows over what is padded already."""
        return replace(self, padding=((0, 0),) * len(self.kernel))

    def elements(self, x: torch.Tensor) -> torch.Tensor:
        """Return the elements of every window over x, which is padded already: [N, C, *counts, *kernel]."""
        for axis, (size, stride, dilation) in enumerate(zip(self.kernel, self.strides, self.dilations, strict=True)):
            x = x.unfold(axis + 2, (size - 1) * dilation + 1, stride)
            x = x[..., ::dilation] if dilation > 1 else x
        return x


def _same(x: torch.Tensor, axis: int, extent: int, stride: int, auto_pad: str) -> tuple[Size, Size]:
    """Return the padding with which there is one window for each stride."""
    if stride == 1:
        total: Size = extent - 1
    else:
        size: Size = x.size(axis)
        lacking = (-(-size // stride) - 1) * stride + extent - size
        total = record(torch.sym_max, lacking, 0) if isinstance(lacking, Value) else max(lacking, 0)
    return halves(total, auto_pad)


def spatial_rank(x: torch.Tensor, most: int = 3) -> int:
    """Return how many spatial axes x [N, C, *spatial] has; raises `UnsupportedError` for more than `most`, or none."""
    spatial = x.ndim - 2
    if not 1 <= spatial <= most:
        raise UnsupportedError(f"{spatial} spatial axes are not covered (1 to {most} are)")
    return spatial
