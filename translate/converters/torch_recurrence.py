"""Recurrent layers in an ExportedProgram: one operator for all steps, at any length.

torch.export and its decompositions write nn.LSTM, nn.GRU and nn.RNN step by step, and so fix the number of steps,
although a program can hold, store and run PyTorch's operators of all steps. So a module is exported with operators that
torch.export cannot look into, which are then named what they are; a program that is read again goes the other way.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, fx
from torch.export import ExportedProgram
from torch.overrides import TorchFunctionMode

from translate.converters.torch_patches import opaque_lstm, opaque_rnn

_FUNCTIONS: dict[Any, str] = {torch.gru: "gru", torch.rnn_tanh: "rnn_tanh", torch.rnn_relu: "rnn_relu"}
_OPERATORS: dict[Any, str] = {
    torch.ops.aten.gru.input: "gru",
    torch.ops.aten.rnn_tanh.input: "rnn_tanh",
    torch.ops.aten.rnn_relu.input: "rnn_relu",
}
# The last arguments of PyTorch's operators, of which the opaque ones have no dropout and no training.
_DROPOUT, _TRAINING = 0.0, False


class _Opaque(TorchFunctionMode):
    """Calls the operators of `torch_patches` in place of PyTorch's."""

    def __torch_function__(
        self, function: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if function is torch.lstm:
            return opaque_lstm(*args)
        if function in _FUNCTIONS:
            return opaque_rnn(_FUNCTIONS[function], *args)
        return function(*args, **(kwargs or {}))


@contextmanager
def opaque_recurrence() -> Iterator[None]:
    """Let torch.export see a recurrent layer as one operator."""
    with _Opaque(), warnings.catch_warnings():
        # A recurrent layer keeps a list of its parameters, which torch.export takes for tensors of nobody's.
        warnings.filterwarnings("ignore", message=r"The tensor attributes .*_flat_weights")
        yield


def with_recurrence(program: ExportedProgram) -> ExportedProgram:
    """Put PyTorch's operators, in place, where `opaque_recurrence` had others; return `program`."""
    for node in _nodes(program):
        call = _named(node)
        if call is not None:
            node.target, node.args = call
    return _recompiled(program)


@contextmanager
def without_recurrence(program: ExportedProgram) -> Iterator[None]:
    """Let what decomposes `program` meanwhile see its recurrent layers as one operator each."""
    before = {node: (node.target, node.args) for node in _nodes(program)}
    for node in before:
        call = _hidden(node)
        if call is not None:
            node.target, node.args = call
    _recompiled(program)
    try:
        yield
    finally:
        for node, (target, args) in before.items():
            node.target, node.args = target, args
        _recompiled(program)


def _nodes(program: ExportedProgram) -> list[fx.Node]:
    parts = [part for part in program.graph_module.modules() if isinstance(part, fx.GraphModule)]
    return [node for part in parts for node in part.graph.nodes]


def _recompiled(program: ExportedProgram) -> ExportedProgram:
    for part in program.graph_module.modules():
        if isinstance(part, fx.GraphModule):
            part.recompile()
    return program


def _named(node: fx.Node) -> tuple[Any, tuple[Any, ...]] | None:
    """Return the call of PyTorch's operator that an opaque one stands for."""
    if node.target is torch.ops.translate.lstm.default:
        target, (x, states, weights, *options) = torch.ops.aten.lstm.input, node.args
    elif node.target is torch.ops.translate.rnn.default:
        x, states, weights, kind, *options = node.args
        target = getattr(torch.ops.aten, str(kind)).input
    else:
        return None
    has_biases, num_layers, bidirectional, batch_first = options
    return target, (x, states, weights, has_biases, num_layers, _DROPOUT, _TRAINING, bidirectional, batch_first)


def _hidden(node: fx.Node) -> tuple[Any, tuple[Any, ...]] | None:
    """Return the call of the opaque operator for one of PyTorch's, with sequences that are not packed."""
    is_lstm = node.target is torch.ops.aten.lstm.input and not _is_projected(node)
    if not is_lstm and node.target not in _OPERATORS:
        return None
    x, states, weights, has_biases, num_layers, _, _, bidirectional, batch_first = node.args
    options = has_biases, num_layers, bidirectional, batch_first
    if is_lstm:
        return torch.ops.translate.lstm.default, (x, states, weights, *options)
    return torch.ops.translate.rnn.default, (x, states, weights, _OPERATORS[node.target], *options)


def _is_projected(node: fx.Node) -> bool:
    """Say whether the states of an LSTM are smaller than its memory (proj_size), which ONNX has not."""
    states: Any = node.args[1]
    hidden, memory = (state.meta["val"] for state in states)
    assert isinstance(hidden, Tensor)
    return bool(hidden.shape[2] != memory.shape[2])
