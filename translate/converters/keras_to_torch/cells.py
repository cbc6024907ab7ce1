"""Recurrent layers that torch.nn has not: Keras's cells, one step after the other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
import torch
import torch.nn.functional as F

from translate.converters.keras_to_torch.activation import activation
from translate.converters.keras_to_torch.here import parameter
from translate.converters.keras_to_torch.stored import kernel
from translate.converters.onnx_to_torch.builder import record
from translate.converters.onnx_to_torch.control import over_time
from translate.errors import UnsupportedError

# From the input of a step [N, C] and the states before it, [N, H] each, to the output and the states after it.
Step = Callable[[Any, Sequence[Any]], tuple[Any, list[Any]]]


def loop(
    layer: Any, x: torch.Tensor, mask: torch.Tensor | None, states: Sequence[Any] | None, part: str
) -> tuple[Any, list[Any]]:
    """Run a layer over x [N, T, C]: outputs [N, T, H] and the last states, [N, H] each.

    A masked step repeats the output of the step before it, or is zero, and leaves the states as they are.
    """
    if layer.stateful:
        raise UnsupportedError("a state that is kept from call to call")
    step, sizes = _step(layer.cell, part)
    if states is None:
        states = [record(torch.zeros, [x.size(0), size], dtype=x.dtype) for size in sizes]
    xs = [x.transpose(0, 1)]
    zero_output = layer.zero_output_for_mask
    before: list[Any] = []
    if mask is not None:
        xs.append(mask.transpose(0, 1).unsqueeze(2))
        if not zero_output:
            before = [record(torch.zeros, [x.size(0), _output_size(layer.cell)], dtype=x.dtype)]

    def timed(now: Sequence[Any], carried: Sequence[Any]) -> tuple[Sequence[Any], Any]:
        old = carried[len(before) :]
        output, new = step(now[0], old)
        if mask is None:
            return new, output
        counts = now[1]
        output = torch.where(counts, output, 0.0 if zero_output else carried[0])
        kept = [torch.where(counts, one, other) for one, other in zip(new, old, strict=True)]
        return ([output] if before else []) + kept, output

    *last, outputs = over_time(timed, xs, [*before, *states])
    return outputs.transpose(0, 1), list(last[len(before) :])


def _output_size(cell: Any) -> int:
    size = cell.output_size
    return int(size[0] if isinstance(size, list | tuple) else size)


def _step(cell: Any, part: str) -> tuple[Step, list[int]]:
    """Return the step of a cell, and the sizes of its states."""
    if getattr(cell, "recurrent_dropout", 0) or getattr(cell, "dropout", 0):
        raise UnsupportedError("dropout inside of a recurrent layer that PyTorch has not")
    makers = {
        keras.layers.LSTMCell: _lstm,
        keras.layers.GRUCell: _gru,
        keras.layers.SimpleRNNCell: _simple,
        keras.layers.StackedRNNCells: _stacked,
    }
    if type(cell) not in makers:
        raise UnsupportedError(f"a cell of the class {type(cell).__name__}")
    return makers[type(cell)](cell, part)


def _weights(cell: Any, part: str) -> tuple[Any, Any, Any]:
    prefix = f"{part}." if part else ""
    bias = None if cell.bias is None else parameter(f"{prefix}bias", cell.bias)
    return (
        parameter(f"{prefix}weight_ih", kernel(cell.kernel)),
        parameter(f"{prefix}weight_hh", kernel(cell.recurrent_kernel)),
        bias,
    )


def _lstm(cell: Any, part: str) -> tuple[Step, list[int]]:
    weight_ih, weight_hh, bias = _weights(cell, part)

    def step(x: Any, states: Sequence[Any]) -> tuple[Any, list[Any]]:
        hidden, carry = states
        gates = F.linear(x, weight_ih, bias) + F.linear(hidden, weight_hh)
        i, f, c, o = torch.chunk(gates, 4, 1)
        i, f, o = (activation(cell.recurrent_activation, gate) for gate in (i, f, o))
        carry = f * carry + i * activation(cell.activation, c)
        hidden = o * activation(cell.activation, carry)
        return hidden, [hidden, carry]

    return step, [cell.units, cell.units]


def _gru(cell: Any, part: str) -> tuple[Step, list[int]]:
    weight_ih, weight_hh, bias = _weights(cell, part)
    units = cell.units

    def step(x: Any, states: Sequence[Any]) -> tuple[Any, list[Any]]:
        (hidden,) = states
        input_bias = bias if bias is None or not cell.reset_after else bias[0]
        recurrent_bias = None if bias is None or not cell.reset_after else bias[1]
        x_zr, x_h = torch.split(F.linear(x, weight_ih, input_bias), [2 * units, units], 1)
        if cell.reset_after:
            zr, h = torch.split(F.linear(hidden, weight_hh, recurrent_bias), [2 * units, units], 1)
            z, r = torch.chunk(activation(cell.recurrent_activation, x_zr + zr), 2, 1)
            h = r * h
        else:
            zr = F.linear(hidden, weight_hh[: 2 * units])
            z, r = torch.chunk(activation(cell.recurrent_activation, x_zr + zr), 2, 1)
            h = F.linear(r * hidden, weight_hh[2 * units :])
        candidate = activation(cell.activation, x_h + h)
        hidden = z * hidden + (1 - z) * candidate
        return hidden, [hidden]

    return step, [units]


def _simple(cell: Any, part: str) -> tuple[Step, list[int]]:
    weight_ih, weight_hh, bias = _weights(cell, part)

    def step(x: Any, states: Sequence[Any]) -> tuple[Any, list[Any]]:
        hidden = activation(cell.activation, F.linear(x, weight_ih, bias) + F.linear(states[0], weight_hh))
        return hidden, [hidden]

    return step, [cell.units]


def _stacked(cell: Any, part: str) -> tuple[Step, list[int]]:
    made = [_step(inner, f"{part}.{i}" if part else f"cells.{i}") for i, inner in enumerate(cell.cells)]

    def step(x: Any, states: Sequence[Any]) -> tuple[Any, list[Any]]:
        after: list[Any] = []
        for inner, sizes in made:
            x, new = inner(x, states[len(after) : len(after) + len(sizes)])
            after += new
        return x, after

    return step, [size for _, sizes in made for size in sizes]
