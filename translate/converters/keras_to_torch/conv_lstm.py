"""Convolutional LSTMs, on videos [N, T, C, *spatial]."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F

from translate.converters.keras_to_torch.cells import Cell, dropout_masks, inside, lstm_step
from translate.converters.keras_to_torch.conv import convolved
from translate.converters.keras_to_torch.here import parameter
from translate.converters.keras_to_torch.stored import kernel
from translate.converters.onnx_to_torch.values import record
from translate.converters.onnx_to_torch.windows import Window

_CONVOLUTIONS: dict[int, Any] = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}


def conv_lstm_cell(cell: Any, x: Any, part: str) -> Cell:
    """Return what a cell computes on a video x [N, T, C, *spatial]: the gates' convolutions of input and state.

    With dropout each gate has its own share dropped: four inputs in as many groups of channels.
    """
    batch, steps, channels, *size = x.shape
    sizes = [cell.filters, *_sizes_of_states(cell, size)]
    weight = parameter(inside(part, "recurrent_conv.weight"), kernel(cell.recurrent_kernel))
    dropped = dropout_masks(cell, "dropout", [batch, channels, *size], weight, part)
    recurrent_dropped = dropout_masks(cell, "recurrent_dropout", [batch, *sizes], weight, part)

    def prepare(x: Any) -> Any:
        if dropped:
            x = torch.cat([x * mask.unsqueeze(1) for mask in dropped], 2)
        groups = len(dropped) or 1
        stored = kernel(cell.kernel)
        numbers = channels * groups, 4 * cell.filters, groups
        y = convolved(cell, x.flatten(0, 1), stored, numbers, cell.bias, part=inside(part, "input_conv"))
        return record(torch.unflatten, y, 0, [batch, steps])

    def step(x: Any, states: Sequence[Any]) -> tuple[Any, list[Any]]:
        hidden, carry = states
        if recurrent_dropped:
            hidden = torch.cat([hidden * mask for mask in recurrent_dropped], 1)
        window = Window.over(hidden, cell.kernel_size, None, None, None, "SAME_UPPER")
        padding = window.symmetric
        if padding is None:
            hidden, padding = window.pad(hidden), (0,) * cell.rank
        options = {"groups": len(recurrent_dropped)} if recurrent_dropped else {}
        gates = x + _CONVOLUTIONS[cell.rank](hidden, weight, padding=padding, **options)
        return lstm_step(cell, gates, carry)

    return Cell(prepare, step, [tuple(sizes)] * 2, tuple(sizes))


def _sizes_of_states(cell: Any, size: Sequence[int]) -> list[int]:
    """Return the spatial sizes that are left of those of an image."""
    if cell.padding == "same":
        return [-(-n // stride) for n, stride in zip(size, cell.strides, strict=True)]
    windows = zip(size, cell.kernel_size, cell.strides, cell.dilation_rate, strict=True)
    return [(n - (k - 1) * dilation - 1) // stride + 1 for n, k, stride, dilation in windows]
