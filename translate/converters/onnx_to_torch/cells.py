"""Recurrent networks that torch.nn has not: step by step, in one loop over time for each direction."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F

from translate.converters.onnx_to_torch.control import over_time
from translate.converters.onnx_to_torch.values import record
from translate.converters.operators.rnn import BACKWARDS, named_activations

Activation = Callable[[torch.Tensor], torch.Tensor]
State = Sequence[torch.Tensor]
# From the share of the input in the gates at one time, [N, gates * H], and the state before, to the state after. The
# hidden state, [N, H], comes first in it.
Step = Callable[[torch.Tensor, State], State]
# For one direction: the share of the input in the gates at all times, [T, N, gates * H], and the step.
Cell = Callable[[int], tuple[torch.Tensor, Step]]

# Activations by name in lower case, of a tensor, alpha and beta.
_ACTIVATIONS: dict[str, Callable[..., torch.Tensor]] = {
    "relu": torch.relu,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "softsign": F.softsign,
    "softplus": F.softplus,
    "leakyrelu": F.leaky_relu,
    "thresholdedrelu": lambda x, alpha: F.threshold(x, alpha, 0.0),
    "elu": F.elu,
    "affine": lambda x, alpha, beta: alpha * x + beta,
    "scaledtanh": lambda x, alpha, beta: alpha * torch.tanh(beta * x),
    "hardsigmoid": lambda x, alpha, beta: torch.clamp(alpha * x + beta, 0, 1),
}


def lstm(
    x: torch.Tensor,
    w: torch.Tensor,
    r: torch.Tensor,
    b: torch.Tensor | None,
    p: torch.Tensor | None,
    functions: Sequence[Activation],
    input_forget: bool,
) -> Cell:
    """Return the cells of long short-term memory over x [T, N, I]: w [D, 4H, I], r [D, 4H, H], b [D, 8H], p [D, 3H].

    The gates are in the order input, output, forget, cell; `functions` are three for each direction.
    """
    size = r.shape[2]

    def cell(d: int) -> tuple[torch.Tensor, Step]:
        gate, candidate, output = functions[3 * d : 3 * d + 3]
        recurrent = r[d].t()

        def step(projected: torch.Tensor, state: State) -> State:
            hidden, memory = state
            gates, c = torch.split(projected + torch.matmul(hidden, recurrent), [3 * size, size], 1)
            i, o, f = torch.chunk(gate(gates), 3, 1)
            memory = (1 - i if input_forget else f) * memory + i * candidate(c)
            return o * output(memory), memory

        def step_with_peepholes(projected: torch.Tensor, state: State) -> State:
            hidden, memory = state
            i, o, f, c = torch.chunk(projected + torch.matmul(hidden, recurrent), 4, 1)
            i = gate(i + p_i * memory)
            f = 1 - i if input_forget else gate(f + p_f * memory)
            memory = f * memory + i * candidate(c)
            return gate(o + p_o * memory) * output(memory), memory

        projected = F.linear(x, w[d], _sum_of_halves(b, d))
        if p is None:
            return projected, step
        p_i, p_o, p_f = torch.chunk(p[d], 3)
        return projected, step_with_peepholes

    return cell


def gru(
    x: torch.Tensor,
    w: torch.Tensor,
    r: torch.Tensor,
    b: torch.Tensor | None,
    functions: Sequence[Activation],
    reset_after: bool,
) -> Cell:
    """Return the cells of gated recurrent units over x [T, N, I]: w [D, 3H, I], r [D, 3H, H], b [D, 6H].

    The gates are in the order update, reset, hidden; `functions` are two for each direction.
    """
    size = r.shape[2]

    def cell(d: int) -> tuple[torch.Tensor, Step]:
        gate, candidate = functions[2 * d : 2 * d + 2]
        recurrent = r[d].t()

        def step_reset_after(projected: torch.Tensor, state: State) -> State:
            (hidden,) = state
            zr, c = torch.split(projected, [2 * size, size], 1)
            recurrent_zr, recurrent_c = torch.split(
                F.linear(hidden, r[d], None if b is None else b[d, 3 * size :]), [2 * size, size], 1
            )
            z, reset = torch.chunk(gate(zr + recurrent_zr), 2, 1)
            new = candidate(c + reset * recurrent_c)
            return (new + z * (hidden - new),)

        def step_reset_before(projected: torch.Tensor, state: State) -> State:
            (hidden,) = state
            zr, c = torch.split(projected, [2 * size, size], 1)
            z, reset = torch.chunk(gate(zr + torch.matmul(hidden, recurrent[:, : 2 * size])), 2, 1)
            new = candidate(c + torch.matmul(reset * hidden, recurrent[:, 2 * size :]))
            return (new + z * (hidden - new),)

        if reset_after:
            return F.linear(x, w[d], None if b is None else b[d, : 3 * size]), step_reset_after
        return F.linear(x, w[d], _sum_of_halves(b, d)), step_reset_before

    return cell


def rnn(
    x: torch.Tensor, w: torch.Tensor, r: torch.Tensor, b: torch.Tensor | None, functions: Sequence[Activation]
) -> Cell:
    """Return the cells of a simple recurrent network over x [T, N, I]: w [D, H, I], r [D, H, H], b [D, 2H]."""

    def cell(d: int) -> tuple[torch.Tensor, Step]:
        recurrent = r[d].t()

        def step(projected: torch.Tensor, state: State) -> State:
            return (functions[d](projected + torch.matmul(state[0], recurrent)),)

        return F.linear(x, w[d], _sum_of_halves(b, d)), step

    return cell


def _sum_of_halves(b: torch.Tensor | None, d: int) -> torch.Tensor | None:
    """Add the biases of input and state, which stand one after the other."""
    if b is None:
        return None
    first, second = torch.chunk(b[d], 2)
    return first + second


def run(
    cell: Cell,
    direction: str,
    sequence_lens: torch.Tensor | None,
    initial: Sequence[torch.Tensor | None],
    size: int,
) -> tuple[Any, ...]:
    """Run along time in each direction; return the hidden states [T, D, N, H] and each of the last states [D, N, H].

    Where a sequence has ended, the output is zero and the state stays as it is. A backward run meets these steps first,
    so that it starts at the sequence's own end.
    """
    outputs, lasts = [], []
    for d, backwards in enumerate(BACKWARDS[direction]):
        projected, step = cell(d)
        state = [
            record(torch.zeros, [projected.size(1), size], dtype=projected.dtype) if value is None else value[d]
            for value in initial
        ]
        xs = [projected]
        if sequence_lens is not None:
            time = record(torch.arange, projected.size(0)).unsqueeze(1)
            xs.append((time < sequence_lens).unsqueeze(2))
        xs = [torch.flip(one, [0]) if backwards else one for one in xs]
        *last, output = over_time(_masked(step), xs, state)
        outputs.append(torch.flip(output, [0]) if backwards else output)
        lasts.append(last)
    return torch.stack(outputs, 1), *(torch.stack(states) for states in zip(*lasts, strict=True))


def _masked(step: Step) -> Callable[[Sequence[Any], Sequence[Any]], tuple[Sequence[Any], Any]]:
    def masked(now: Sequence[Any], before: Sequence[Any]) -> tuple[Sequence[Any], Any]:
        after = step(now[0], before)
        if len(now) == 1:
            return after, after[0]
        running = now[1]
        kept = [torch.where(running, new, old) for new, old in zip(after, before, strict=True)]
        return kept, torch.where(running, after[0], 0.0)

    return masked


def activations(
    names: Sequence[str], alphas: Sequence[float] | None, betas: Sequence[float] | None, clip: float | None, cell: int
) -> list[Activation]:
    """Return the activations called `names`; each takes its alpha and beta, if any, off the front of the lists.

    `clip` bounds what goes into the gates and the cell, the first two of the `cell` that each direction has; not the
    cell's state, as in onnxruntime. Raises `UnsupportedError` for an unknown name.
    """
    functions = named_activations(_ACTIVATIONS, names, alphas, betas)
    if clip is None:
        return functions
    return [_clipped(function, clip) if i % cell < 2 else function for i, function in enumerate(functions)]


def _clipped(function: Activation, clip: float) -> Activation:
    return lambda x: function(torch.clamp(x, -clip, clip))
