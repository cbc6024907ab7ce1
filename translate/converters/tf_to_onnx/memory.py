"""Recurrent cells and layers as TensorFlow 1 wrote them for speed: each one operator."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir

from translate.converters.lowering.interpret import Context
from translate.converters.tf_to_onnx.build import dims, like, op
from translate.converters.tf_to_onnx.table import lower
from translate.errors import UnsupportedError


@lower("LSTMBlockCell")
def lstm_cell(
    x: ir.Value,
    memory: ir.Value,
    hidden: ir.Value,
    w: ir.Value,
    peephole_i: ir.Value,
    peephole_f: ir.Value,
    peephole_o: ir.Value,
    b: ir.Value,
    *,
    forget_bias: float = 1.0,
    cell_clip: float = 3.0,
    use_peephole: int = 0,
) -> Any:
    """One step of an LSTM: i, the memory, f, o, candidate, tanh of the memory, h. Gates in `w`: i, candidate, f, o."""
    gates = op.Add(op.MatMul(op.Concat(x, hidden, axis=1), w), b)
    i, c, f, o = op.node("Split", gates, outputs=4, axis=1, num_outputs=4)
    if use_peephole:
        i, f = op.Add(i, op.Mul(memory, peephole_i)), op.Add(f, op.Mul(memory, peephole_f))
    i, f, c = op.Sigmoid(i), op.Sigmoid(op.Add(f, like(f, forget_bias))), op.Tanh(c)
    after = op.Add(op.Mul(c, i), op.Mul(memory, f))
    after = op.Clip(after, like(x, -cell_clip), like(x, cell_clip)) if cell_clip > 0 else after
    o = op.Sigmoid(op.Add(o, op.Mul(after, peephole_o)) if use_peephole else o)
    shown = op.Tanh(after)
    return i, after, f, o, c, shown, op.Mul(o, shown)


@lower("GRUBlockCell")
def gru_cell(x: ir.Value, hidden: ir.Value, w_ru: ir.Value, w_c: ir.Value, b_ru: ir.Value, b_c: ir.Value) -> Any:
    """One step of a GRU: r, u, candidate, h."""
    gates = op.Sigmoid(op.Add(op.MatMul(op.Concat(x, hidden, axis=1), w_ru), b_ru))
    r, u = op.node("Split", gates, outputs=2, axis=1, num_outputs=2)
    c = op.Tanh(op.Add(op.MatMul(op.Concat(x, op.Mul(r, hidden), axis=1), w_c), b_c))
    return r, u, c, op.Add(op.Mul(u, hidden), op.Mul(op.Sub(like(u, 1), u), c))


def _lstm(
    length: ir.Value,
    x: ir.Value,
    memory: ir.Value,
    hidden: ir.Value,
    w: ir.Value,
    peepholes: tuple[ir.Value, ir.Value, ir.Value],
    b: ir.Value,
    gates: str,
    forget_bias: float,
    use_peephole: int,
) -> Any:
    """Return what ONNX's LSTM gives of x [T, N, I]; what is inside of a step is not known. `gates` is their order."""
    inputs, size = dims(x)[2], dims(hidden)[1]
    if inputs is None or size is None:
        raise UnsupportedError("the sizes of inputs and states must be known")
    parts = dict(zip(gates, op.node("Split", w, outputs=4, axis=1, num_outputs=4), strict=True))
    biases = dict(zip(gates, op.node("Split", b, outputs=4, axis=0, num_outputs=4), strict=True))
    biases["f"] = op.Add(biases["f"], like(b, forget_bias))
    ordered = op.Transpose(op.Concat(*(parts[gate] for gate in "iofc"), axis=1), perm=[1, 0])
    own, recurrent = op.Slice(ordered, [0], [inputs], [1]), op.Slice(ordered, [inputs], [2**31 - 1], [1])
    bias = op.Concat(*(biases[gate] for gate in "iofc"), like(b, np.zeros(4 * size)), axis=0)
    i, f, o = peepholes
    p = op.Unsqueeze(op.Concat(i, o, f, axis=0), [0]) if use_peephole else None
    batch = op.Shape(x, start=1, end=2)
    lengths = op.Expand(op.Cast(op.Reshape(length, [1]), to=int(ir.DataType.INT32)), batch)
    y, _, _ = op.node(
        "LSTM",
        x,
        op.Unsqueeze(own, [0]),
        op.Unsqueeze(recurrent, [0]),
        op.Unsqueeze(bias, [0]),
        lengths,
        op.Unsqueeze(hidden, [0]),
        op.Unsqueeze(memory, [0]),
        p,
        outputs=3,
        hidden_size=size,
    )
    return op.Squeeze(y, [1])


@lower("BlockLSTM")
def block_lstm(
    length: ir.Value,
    x: ir.Value,
    memory: ir.Value,
    hidden: ir.Value,
    w: ir.Value,
    peephole_i: ir.Value,
    peephole_f: ir.Value,
    peephole_o: ir.Value,
    b: ir.Value,
    *,
    forget_bias: float = 1.0,
    cell_clip: float = 3.0,
    use_peephole: int = 0,
    context: Context,
) -> Any:
    """An LSTM over x [T, N, I], of which the first `length` steps count.

    Limits: only its hidden states may be read, and `cell_clip` must be 0 or less.
    """
    peepholes = (peephole_i, peephole_f, peephole_o)
    _check(context.node, cell_clip)
    h = _lstm(length, x, memory, hidden, w, peepholes, b, "icfo", forget_bias, use_peephole)
    # Nothing reads the other six.
    return (h,) * 7


@lower("BlockLSTMV2")
def block_lstm_v2(
    length: ir.Value,
    x: ir.Value,
    memory: ir.Value,
    hidden: ir.Value,
    w: ir.Value,
    peephole_i: ir.Value,
    peephole_f: ir.Value,
    peephole_o: ir.Value,
    b: ir.Value,
    *,
    cell_clip: float = 0.0,
    use_peephole: int = 0,
    context: Context,
) -> Any:
    """As BlockLSTM, with the gates in another order and no bias of its own.

    Limits: only its hidden states may be read, and `cell_clip` must be 0 or less.
    """
    peepholes = (peephole_i, peephole_f, peephole_o)
    _check(context.node, cell_clip)
    h = _lstm(length, x, memory, hidden, w, peepholes, b, "ifco", 0.0, use_peephole)
    # Nothing reads the other six.
    return (h,) * 7


def _check(node: ir.Node, cell_clip: float) -> None:
    if cell_clip > 0:
        raise UnsupportedError(f"the memory is clipped to {cell_clip:g}, which ONNX's LSTM does not")
    if any(value.uses() or value.is_graph_output() for value in node.outputs[:-1]):
        raise UnsupportedError("what is read is not the hidden state alone, which is all that ONNX's LSTM gives")
