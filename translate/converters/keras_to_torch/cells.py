"""Recurrent layers that torch.nn has not: Keras's cells, one step after the other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import torch
import torch.nn.functional as F
from torch import nn

from translate.converters.keras_to_torch.activation import activation
from translate.converters.keras_to_torch.custom_cell import custom_step, sizes_of_states
from translate.converters.keras_to_torch.here import parameter, submodule
from translate.converters.keras_to_torch.stored import kernel
from translate.converters.onnx_to_torch.control import over_time

# From what one step reads, [N, ...], and the states before it to the output and the states after it.
Step = Callable[[Any, Sequence[Any]], tuple[Any, list[Any]]]


@dataclass(frozen=True)
class Cell:
    """What a Keras cell computes.

    `prepare` is what can be done before, with the inputs of all steps at once [N, T, C], or of one [N, C]; `step` reads
    its result. `states` are the sizes of the states, without the batch, and `output` those of the output.
    """

    prepare: Callable[[Any], Any]
    step: Step
    states: list[tuple[int, ...]]
    output: tuple[int, ...]


def loop(
    layer: Any, cell: Cell, x: torch.Tensor, mask: torch.Tensor | None, states: Sequence[Any] | None
) -> tuple[Any, list[Any]]:
    """Run the steps of a layer over x [N, T, C]: outputs [N, T, H] and the last states, [N, H] each.

    A masked step repeats the output of the step before it, or is zero, and leaves the states as they are.
    """
    batch = x.size(0)
    if states is None:
        states = [x.new_zeros([batch, *sizes]) for sizes in cell.states]
    xs = [cell.prepare(x).transpose(0, 1)]
    zero_output = layer.zero_output_for_mask
    before: list[Any] = []
    if mask is not None:
        xs.append(mask.transpose(0, 1))
        if not zero_output:
            before = [x.new_zeros([batch, *cell.output])]

    def timed(now: Sequence[Any], carried: Sequence[Any]) -> tuple[Sequence[Any], Any]:
        old = carried[len(before) :]
        output, new = cell.step(now[0], old)
        if mask is None:
            return new, output
        output = torch.where(_like(now[1], output), output, 0.0 if zero_output else carried[0])
        kept = [torch.where(_like(now[1], one), one, other) for one, other in zip(new, old, strict=True)]
        return ([output] if before else []) + kept, output

    *last, outputs = over_time(timed, xs, [*before, *states])
    return outputs.transpose(0, 1), list(last[len(before) :])


def _like(counts: Any, x: Any) -> Any:
    """Bring a mask [N] to the number of axes that x has."""
    return counts.reshape([-1, *[1] * (x.ndim - 1)])


def cell_of(cell: Any, batch: Any, part: str) -> Cell:
    """Return what a Keras cell computes on a batch of a size; its weights hang at `part`."""
    makers = {
        keras.layers.LSTMCell: _lstm,
        keras.layers.GRUCell: _gru,
        keras.layers.SimpleRNNCell: _simple,
        keras.layers.StackedRNNCells: _stacked,
    }
    return makers.get(type(cell), _custom)(cell, batch, part)


def inside(part: str, name: str) -> str:
    """Return the path of what is called `name` in a part."""
    return f"{part}.{name}" if part else name


@dataclass(frozen=True)
class Gates:
    """A product with a kernel [gates * H, C], the gates' rows one after the other, and the bias [gates * H] of it.

    `masks` are what x is multiplied by before, in training: one for each gate, one for all of them, or none.
    """

    weight: Any
    bias: Any
    count: int
    masks: Sequence[Any] = ()

    def __call__(self, x: Any, first: int = 0, last: int | None = None) -> Any:
        """Return the products of the gates from `first` up to `last`, along the last axis; x is [N, C] or [N, T, C]."""
        last = self.count if last is None else last
        if len(self.masks) > 1:
            return torch.cat([self._product(self.dropped(x, gate), gate, gate + 1) for gate in range(first, last)], -1)
        return self._product(self.dropped(x, first), first, last)

    def dropped(self, x: Any, gate: int) -> Any:
        """Return what one gate sees of x."""
        if not self.masks:
            return x
        mask = self.masks[gate % len(self.masks)]
        return x * (mask if mask.ndim == x.ndim else mask.unsqueeze(1))

    def _product(self, x: Any, first: int, last: int) -> Any:
        if (first, last) == (0, self.count):
            return F.linear(x, self.weight, self.bias)
        units = self.weight.shape[0] // self.count
        rows = slice(first * units, last * units)
        return F.linear(x, self.weight[rows], None if self.bias is None else self.bias[rows])


def dropout_masks(cell: Any, kind: str, shape: Sequence[Any], weight: Any, part: str) -> list[Any]:
    """Return what a cell multiplies its input ("dropout") or state ("recurrent_dropout") by, the same at all steps.

    It has the dtype of the `weight`.
    """
    rate = getattr(cell, kind)
    if not rate:
        return []
    ones = weight.new_ones(list(shape))
    count = getattr(cell, "dropout_mask_count", 1)
    return [submodule(lambda: nn.Dropout(rate), {}, ones, part=inside(part, kind)) for _ in range(count)]


def _gates(cell: Any, batch: Any, part: str, count: int) -> tuple[Gates, Gates]:
    """Return what the gates make of the input, and what of the state."""
    bias = recurrent_bias = None
    if cell.bias is not None:
        bias = parameter(inside(part, "bias"), cell.bias)
        if len(cell.bias.shape) == 2:
            bias, recurrent_bias = bias[0], bias[1]
    weight_ih = parameter(inside(part, "weight_ih"), kernel(cell.kernel))
    weight_hh = parameter(inside(part, "weight_hh"), kernel(cell.recurrent_kernel))
    features = cell.kernel.shape[0]
    return (
        Gates(weight_ih, bias, count, dropout_masks(cell, "dropout", [batch, features], weight_ih, part)),
        Gates(
            weight_hh,
            recurrent_bias,
            count,
            dropout_masks(cell, "recurrent_dropout", [batch, cell.units], weight_hh, part),
        ),
    )


def lstm_step(cell: Any, gates: Any, carry: Any) -> tuple[Any, list[Any]]:
    """Return the output and the states that follow from the four gates, along axis 1, and the carry before them."""
    i, f, c, o = torch.chunk(gates, 4, 1)
    i, f, o = (activation(cell.recurrent_activation, gate) for gate in (i, f, o))
    carry = f * carry + i * activation(cell.activation, c)
    hidden = o * activation(cell.activation, carry)
    return hidden, [hidden, carry]


def _lstm(cell: Any, batch: Any, part: str) -> Cell:
    inputs, recurrent = _gates(cell, batch, part, 4)

    def step(x: Any, states: Sequence[Any]) -> tuple[Any, list[Any]]:
        hidden, carry = states
        return lstm_step(cell, x + recurrent(hidden), carry)

    return Cell(inputs, step, [(cell.units,)] * 2, (cell.units,))


def _gru(cell: Any, batch: Any, part: str) -> Cell:
    inputs, recurrent = _gates(cell, batch, part, 3)

    def step(x: Any, states: Sequence[Any]) -> tuple[Any, list[Any]]:
        (hidden,) = states
        x_zr, x_h = torch.split(x, [2 * cell.units, cell.units], 1)
        if cell.reset_after:
            zr, h = torch.split(recurrent(hidden), [2 * cell.units, cell.units], 1)
            z, r = torch.chunk(activation(cell.recurrent_activation, x_zr + zr), 2, 1)
            h = r * h
        else:
            zr = recurrent(hidden, 0, 2)
            z, r = torch.chunk(activation(cell.recurrent_activation, x_zr + zr), 2, 1)
            h = recurrent(r * hidden, 2, 3)
        candidate = activation(cell.activation, x_h + h)
        hidden = z * hidden + (1 - z) * candidate
        return hidden, [hidden]

    return Cell(inputs, step, [(cell.units,)], (cell.units,))


def _simple(cell: Any, batch: Any, part: str) -> Cell:
    inputs, recurrent = _gates(cell, batch, part, 1)

    def step(x: Any, states: Sequence[Any]) -> tuple[Any, list[Any]]:
        hidden = activation(cell.activation, x + recurrent(states[0]))
        return hidden, [hidden]

    return Cell(inputs, step, [(cell.units,)], (cell.units,))


def _stacked(cell: Any, batch: Any, part: str) -> Cell:
    cells = [
        cell_of(inner, batch, inside(part, str(i)) if part else f"cells.{i}") for i, inner in enumerate(cell.cells)
    ]
    first, *others = cells

    def step(x: Any, states: Sequence[Any]) -> tuple[Any, list[Any]]:
        x, after = first.step(x, states[: len(first.states)])
        for inner in others:
            x, new = inner.step(inner.prepare(x), states[len(after) : len(after) + len(inner.states)])
            after = after + new
        return x, after

    return Cell(first.prepare, step, [sizes for inner in cells for sizes in inner.states], cells[-1].output)


def _custom(cell: Any, batch: Any, part: str) -> Cell:
    sizes = sizes_of_states(cell)
    output = getattr(cell, "output_size", None) or sizes[0]
    return Cell(lambda x: x, custom_step(cell, part), sizes, (output,) if isinstance(output, int) else tuple(output))
