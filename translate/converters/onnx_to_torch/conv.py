"""Convolutions, on tensors [N, C, *spatial]."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from translate.converters.onnx_to_torch.layers import layer
from translate.converters.onnx_to_torch.shapes import Size
from translate.converters.onnx_to_torch.table import lower
from translate.converters.onnx_to_torch.tensor import pad_constant
from translate.converters.onnx_to_torch.values import Value, record
from translate.converters.onnx_to_torch.windows import Window, spatial_rank
from translate.converters.operators.windows import explicit, halves

_LAYERS: dict[int, Any] = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}
_FUNCTIONS: dict[int, Any] = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}
_TRANSPOSED_LAYERS: dict[int, Any] = {1: nn.ConvTranspose1d, 2: nn.ConvTranspose2d, 3: nn.ConvTranspose3d}
_TRANSPOSED_FUNCTIONS: dict[int, Any] = {1: F.conv_transpose1d, 2: F.conv_transpose2d, 3: F.conv_transpose3d}


@lower("Conv")
def conv(
    x: torch.Tensor,
    w: torch.Tensor,
    b: torch.Tensor | None = None,
    *,
    auto_pad: str = "NOTSET",
    dilations: Sequence[int] | None = None,
    group: int = 1,
    kernel_shape: Sequence[int] | None = None,
    pads: Sequence[int] | None = None,
    strides: Sequence[int] | None = None,
) -> torch.Tensor:
    """Convolve x [N, C, *spatial] with w [M, C/group, *kernel] and add b [M]: [N, M, *spatial].

    Limits: up to three spatial axes.
    """
    spatial = spatial_rank(x)
    window = Window.over(x, kernel_shape or w.shape[2:], strides, dilations, pads, auto_pad)
    padding = window.symmetric
    if padding is None:
        x, padding = window.pad(x), (0,) * spatial
    y = layer(
        lambda: _LAYERS[spatial](
            w.shape[1] * group,
            w.shape[0],
            window.kernel,
            window.strides,
            padding,
            window.dilations,
            group,
            b is not None,
            dtype=w.dtype,
        ),
        x,
        weight=w,
        bias=b,
    )
    if y is not None:
        return y
    return _FUNCTIONS[spatial](x, w, b, window.strides, padding, window.dilations, group)


@lower("ConvTranspose")
def conv_transpose(
    x: torch.Tensor,
    w: torch.Tensor,
    b: torch.Tensor | None = None,
    *,
    auto_pad: str = "NOTSET",
    dilations: Sequence[int] | None = None,
    group: int = 1,
    kernel_shape: Sequence[int] | None = None,
    output_padding: Sequence[int] | None = None,
    output_shape: Sequence[int] | None = None,
    pads: Sequence[int] | None = None,
    strides: Sequence[int] | None = None,
) -> torch.Tensor:
    """Convolve x [N, C, *spatial] transposed with w [C, M/group, *kernel] and add b [M]: [N, M, *spatial].

    Limits: up to three spatial axes.
    """
    spatial = spatial_rank(x)
    kernel = kernel_shape or w.shape[2:]
    strides, dilations = strides or [1] * spatial, dilations or [1] * spatial
    more = output_padding or [0] * spatial
    extents = [(k - 1) * d + 1 for k, d in zip(kernel, dilations, strict=True)]
    if output_shape is not None:
        sizes = [s * (x.size(a + 2) - 1) + extents[a] + more[a] for a, s in enumerate(strides)]
        wanted = output_shape[-spatial:]
        cut = [_cut(size - target, auto_pad) for size, target in zip(sizes, wanted, strict=True)]
    elif auto_pad.startswith("SAME"):
        cut = [halves(max(e + m - s, 0), auto_pad) for e, m, s in zip(extents, more, strides, strict=True)]
    else:
        cut = explicit(pads, auto_pad, spatial)
    padding, added = [0] * spatial, [0] * spatial
    plain = all(isinstance(begin, int) and isinstance(end, int) and begin >= 0 for begin, end in cut)
    # What is cut off less at the end is what torch calls output padding.
    less = [begin - end + m for (begin, end), m in zip(cut, more, strict=True)]
    if plain and all(0 <= m < max(s, d) for m, s, d in zip(less, strides, dilations, strict=True)):
        padding, added = [begin for begin, _ in cut], less
        cut, more = [(0, 0)] * spatial, [0] * spatial
    y = layer(
        lambda: _TRANSPOSED_LAYERS[spatial](
            w.shape[0],
            w.shape[1] * group,
            tuple(kernel),
            tuple(strides),
            tuple(padding),
            tuple(added),
            group,
            b is not None,
            tuple(dilations),
            dtype=w.dtype,
        ),
        x,
        weight=w,
        bias=b,
    )
    if y is None:
        y = _TRANSPOSED_FUNCTIONS[spatial](
            x, w, b, tuple(strides), tuple(padding), tuple(added), group, tuple(dilations)
        )
    # Positions that only output padding adds hold the bias; there is none of it in what is cut.
    return _cropped(y, [(begin, end - m) for (begin, end), m in zip(cut, more, strict=True)], b)


def _cut(total: Size, auto_pad: str) -> tuple[Size, Size]:
    # What lacks (a negative total) is added at the end.
    some = record(torch.sym_max, total, 0) if isinstance(total, Value) else max(total, 0)
    begin, _ = halves(some, auto_pad)
    return begin, total - begin


def _cropped(y: torch.Tensor, cut: Sequence[tuple[Size, Size]], b: torch.Tensor | None) -> torch.Tensor:
    """Cut (begin, end) elements off each spatial axis of y [N, M, *spatial]; what is added instead holds the bias."""
    amounts: list[tuple[Size, Size]] = [(0, 0), (0, 0), *((-begin, -end) for begin, end in cut)]
    if b is None or all(isinstance(amount, int) and amount <= 0 for pair in amounts for amount in pair):
        return pad_constant(y, amounts)
    shift = b.reshape([-1] + [1] * len(cut))
    return pad_constant(y - shift, amounts) + shift
