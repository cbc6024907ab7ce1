"""Recurrent networks: LSTM, GRU and the simple RNN, as PyTorch's own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import torch
from torch import nn

from translate.converters.onnx_to_torch import cells
from translate.converters.onnx_to_torch.layers import layer
from translate.converters.onnx_to_torch.table import LAYERS, lower
from translate.converters.onnx_to_torch.values import Weight, record
from translate.converters.operators.rnn import Direction

# Where each of PyTorch's gates stands in ONNX's order: i f g o in i o f c, r z n in z r h.
_LSTM, _GRU, _RNN = (0, 2, 3, 1), (1, 0, 2), (0,)
_RNNS: dict[str, Any] = {"tanh": torch.rnn_tanh, "relu": torch.rnn_relu}


@lower("LSTM", since=7)
def lstm(
    x: torch.Tensor,
    w: torch.Tensor,
    r: torch.Tensor,
    b: torch.Tensor | None = None,
    sequence_lens: torch.Tensor | None = None,
    initial_h: torch.Tensor | None = None,
    initial_c: torch.Tensor | None = None,
    p: torch.Tensor | None = None,
    *,
    activation_alpha: Sequence[float] | None = None,
    activation_beta: Sequence[float] | None = None,
    activations: Sequence[str] | None = None,
    clip: float | None = None,
    direction: Direction = "forward",
    hidden_size: int | None = None,
    input_forget: int = 0,
    layout: int = 0,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Run long short-term memory over x [T, N, I] ([N, T, I] with layout=1).

    Returns the states h of all times [T, D, N, H], the last h [D, N, H] and the last c, N first with layout=1.
    The gates are in the order input, output, forget, cell; `p` [D, 3H] are peepholes. `clip` bounds what goes into
    the gates and the cell. Steps from `sequence_lens` [N] on are zero, and leave the state as it is.
    """
    x, states = _steps_first(x, layout, initial_h, initial_c)
    usual = _are(activations, ("sigmoid", "tanh", "tanh"))
    if usual and sequence_lens is None and p is None and clip is None and not input_forget:
        y, h, c = _run(torch.lstm, _LSTM, x, (w, r, b), states, direction)
    else:
        names = activations or ("Sigmoid", "Tanh", "Tanh") * r.shape[0]
        functions = cells.activations(names, activation_alpha, activation_beta, clip, 3)
        cell = cells.lstm(x, w, r, b, p, functions, bool(input_forget))
        y, h, c = cells.run(cell, direction, sequence_lens, states, r.shape[2])
    return _own_layout(y, layout), *((h, c) if not layout else (h.transpose(0, 1), c.transpose(0, 1)))


@lower("GRU", since=7)
def gru(
    x: torch.Tensor,
    w: torch.Tensor,
    r: torch.Tensor,
    b: torch.Tensor | None = None,
    sequence_lens: torch.Tensor | None = None,
    initial_h: torch.Tensor | None = None,
    *,
    activation_alpha: Sequence[float] | None = None,
    activation_beta: Sequence[float] | None = None,
    activations: Sequence[str] | None = None,
    clip: float | None = None,
    direction: Direction = "forward",
    hidden_size: int | None = None,
    layout: int = 0,
    linear_before_reset: int = 0,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Run gated recurrent units over x [T, N, I] ([N, T, I] with layout=1).

    Returns the states of all times [T, D, N, H] and the last one [D, N, H], N first with layout=1.
    The gates are in the order update, reset, hidden. `clip` bounds what goes into them. Steps from `sequence_lens` [N]
    on are zero, and leave the state as it is.
    """
    x, states = _steps_first(x, layout, initial_h)
    if _are(activations, ("sigmoid", "tanh")) and sequence_lens is None and clip is None and linear_before_reset:
        y, h = _run(torch.gru, _GRU, x, (w, r, b), states, direction)
    else:
        names = activations or ("Sigmoid", "Tanh") * r.shape[0]
        functions = cells.activations(names, activation_alpha, activation_beta, clip, 2)
        cell = cells.gru(x, w, r, b, functions, bool(linear_before_reset))
        y, h = cells.run(cell, direction, sequence_lens, states, r.shape[2])
    return _own_layout(y, layout), h.transpose(0, 1) if layout else h


@lower("RNN", since=7)
def rnn(
    x: torch.Tensor,
    w: torch.Tensor,
    r: torch.Tensor,
    b: torch.Tensor | None = None,
    sequence_lens: torch.Tensor | None = None,
    initial_h: torch.Tensor | None = None,
    *,
    activation_alpha: Sequence[float] | None = None,
    activation_beta: Sequence[float] | None = None,
    activations: Sequence[str] = ("Tanh", "Tanh"),
    clip: float | None = None,
    direction: Direction = "forward",
    hidden_size: int | None = None,
    layout: int = 0,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Run a simple recurrent network over x [T, N, I] ([N, T, I] with layout=1).

    Returns the states of all times [T, D, N, H] and the last one [D, N, H], N first with layout=1.
    `clip` bounds what goes into the activation. Steps from `sequence_lens` [N] on are zero, and leave the state as it
    is.
    """
    x, states = _steps_first(x, layout, initial_h)
    activations = activations[: r.shape[0]]
    kind = activations[0].lower()
    if kind in _RNNS and _are(activations, (kind,)) and sequence_lens is None and clip is None:
        y, h = _run(_RNNS[kind], _RNN, x, (w, r, b), states, direction)
    else:
        functions = cells.activations(activations, activation_alpha, activation_beta, clip, 1)
        y, h = cells.run(cells.rnn(x, w, r, b, functions), direction, sequence_lens, states, r.shape[2])
    return _own_layout(y, layout), h.transpose(0, 1) if layout else h


def _are(given: Sequence[str] | None, usual: tuple[str, ...]) -> bool:
    names = [name.lower() for name in given or usual]
    return names == list(usual) * (len(names) // len(usual))


def _steps_first(x: torch.Tensor, layout: int, *states: torch.Tensor | None) -> tuple[torch.Tensor, list[Any]]:
    if not layout:
        return x, list(states)
    return x.transpose(0, 1), [None if state is None else state.transpose(0, 1) for state in states]


def _own_layout(y: torch.Tensor, layout: int) -> torch.Tensor:
    return y.permute(2, 0, 1, 3) if layout else y


def _run(
    function: Callable[..., Any],
    order: tuple[int, ...],
    x: torch.Tensor,
    weights: tuple[torch.Tensor, torch.Tensor, torch.Tensor | None],
    states: list[torch.Tensor | None],
    direction: Direction,
) -> tuple[Any, ...]:
    """Run over x [T, N, I]; return the states of all times [T, D, N, H] and the last ones, each [D, N, H]."""
    w, r, b = weights
    directions, hidden = r.shape[0], r.shape[2]
    if direction == "reverse":
        x = torch.flip(x, [0])
    state = _states(x.size(1), x, states, directions, hidden)
    y, *last = function(x, state, _parameters(w, r, b, order), b is not None, 1, 0.0, False, directions == 2, False)
    y = y.unflatten(2, [directions, hidden]).transpose(1, 2) if directions == 2 else y.unsqueeze(1)
    return (torch.flip(y, [0]) if direction == "reverse" else y), *last


def _states(batch: Any, x: torch.Tensor, given: Sequence[torch.Tensor | None], layers: int, size: int) -> Any:
    """Return the initial states, zero where none is given: one tensor, or a pair for an LSTM."""
    states = [record(torch.zeros, [layers, batch, size], dtype=x.dtype) if h is None else h for h in given]
    return tuple(states) if len(states) > 1 else states[0]


def _parameters(w: torch.Tensor, r: torch.Tensor, b: torch.Tensor | None, order: tuple[int, ...]) -> list[torch.Tensor]:
    """Return PyTorch's parameters, those of each direction one after the other."""
    parameters = []
    for d in range(w.shape[0]):
        tensors = [w[d], r[d]]
        if b is not None:
            half = b.shape[1] // 2
            tensors += [b[d, :half], b[d, half:]]
        parameters += [_reordered(tensor, order) for tensor in tensors]
    return parameters


def _reordered(tensor: torch.Tensor, order: tuple[int, ...]) -> torch.Tensor:
    gates = torch.chunk(tensor, len(order), 0)
    return torch.cat([gates[gate] for gate in order], 0) if len(order) > 1 else tensor


@lower("LSTM", domain=LAYERS)
def lstm_layer(
    x: torch.Tensor,
    initial_h: torch.Tensor | None = None,
    initial_c: torch.Tensor | None = None,
    *parameters: torch.Tensor,
    hidden_size: int,
    num_layers: int = 1,
    bias: int = 1,
    bidirectional: int = 0,
    batch_first: int = 0,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Call nn.LSTM on x [T, N, I] ([N, T, I] if `batch_first`), with its `parameters` in PyTorch's order.

    Returns the hidden states [T, N, D * H] and the last states, each [layers * D, N, H].
    """
    options = _Options(hidden_size, num_layers, bool(bias), bool(bidirectional), bool(batch_first))
    y, h, c = _layer(nn.LSTM, torch.lstm, x, [initial_h, initial_c], parameters, options, {})
    return y, h, c


@lower("GRU", domain=LAYERS)
def gru_layer(
    x: torch.Tensor,
    initial_h: torch.Tensor | None = None,
    *parameters: torch.Tensor,
    hidden_size: int,
    num_layers: int = 1,
    bias: int = 1,
    bidirectional: int = 0,
    batch_first: int = 0,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Call nn.GRU, as `lstm_layer` does nn.LSTM."""
    options = _Options(hidden_size, num_layers, bool(bias), bool(bidirectional), bool(batch_first))
    y, h = _layer(nn.GRU, torch.gru, x, [initial_h], parameters, options, {})
    return y, h


@lower("RNN", domain=LAYERS)
def rnn_layer(
    x: torch.Tensor,
    initial_h: torch.Tensor | None = None,
    *parameters: torch.Tensor,
    hidden_size: int,
    num_layers: int = 1,
    bias: int = 1,
    bidirectional: int = 0,
    batch_first: int = 0,
    nonlinearity: Literal["tanh", "relu"] = "tanh",
) -> tuple[torch.Tensor, torch.Tensor]:
    """Call nn.RNN, as `lstm_layer` does nn.LSTM."""
    options = _Options(hidden_size, num_layers, bool(bias), bool(bidirectional), bool(batch_first))
    y, h = _layer(nn.RNN, _RNNS[nonlinearity], x, [initial_h], parameters, options, {"nonlinearity": nonlinearity})
    return y, h


@dataclass(frozen=True)
class _Options:
    """The arguments of a recurrent layer of torch.nn."""

    hidden_size: int
    num_layers: int
    bias: bool
    bidirectional: bool
    batch_first: bool


def _layer(
    kind: Callable[..., nn.Module],
    function: Callable[..., Any],
    x: torch.Tensor,
    given: list[torch.Tensor | None],
    parameters: Sequence[torch.Tensor],
    options: _Options,
    more: dict[str, Any],
) -> tuple[Any, ...]:
    """Call the layer where its parameters have a place of their own, else the function."""
    layers = options.num_layers * (1 + options.bidirectional)
    batch = x.size(0 if options.batch_first else 1)
    state = _states(batch, x, given, layers, options.hidden_size)
    result = layer(
        lambda: kind(x.shape[2], dtype=x.dtype, **asdict(options), **more),
        x,
        *([] if all(one is None for one in given) else [state]),
        **_by_name(parameters),
    )
    if result is None:
        flat = list(parameters)
        named = (options.num_layers, 0.0, False, options.bidirectional, options.batch_first)
        y, *last = function(x, state, flat, options.bias, *named)
        return y, *last
    y, final = result
    return y, *(final if len(given) > 1 else [final])


def _by_name(parameters: Sequence[torch.Tensor]) -> dict[str, Any]:
    """Name the tensors as the layer does, if each is a weight under that name; else nothing fits."""
    names = [weight.path.rpartition(".")[2] if isinstance(weight, Weight) else "" for weight in parameters]
    return dict(zip(names, parameters, strict=True)) if len(set(names)) == len(names) else {"": parameters[0]}
