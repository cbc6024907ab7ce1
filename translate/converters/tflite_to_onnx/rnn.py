"""Recurrent layers that are one operator."""

from __future__ import annotations

from typing import Literal

import numpy as np
import onnx_ir as ir

from translate.converters.tf_to_onnx.build import dims, like, op
from translate.converters.tflite_to_onnx.table import lower
from translate.errors import UnsupportedError

# ONNX's order of the gates (input, output, forget, cell) in TFLite's: input, forget, cell, output.
_ONNX = (0, 3, 1, 2)


@lower("UNIDIRECTIONAL_SEQUENCE_LSTM")
def unidirectional_sequence_lstm(
    x: ir.Value,
    *weights: ir.Value | None,
    fused_activation_function: Literal["TANH"] = "TANH",
    cell_clip: float = 0.0,
    proj_clip: float = 0.0,
    time_major: int = 0,
    diagonal_recurrent_tensors: Literal[0] = 0,
) -> ir.Value:
    """Run an LSTM over x [N, T, C], or [T, N, C] with `time_major`, from a state of zeros; all its outputs.

    Limits: with all four gates; no projection, peepholes, clipping or layer normalisation.
    """
    given: list[ir.Value | None] = [*weights, *([None] * (23 - len(weights)))]
    inner, recurrent, peepholes, biases = given[0:4], given[4:8], given[8:11], given[11:15]
    projection, norms = given[15:17], given[19:23]
    if None in (*inner, *recurrent, *biases) or any(v is not None for v in (*peepholes, *projection, *norms)):
        raise UnsupportedError("it has coupled gates, peepholes, a projection or layer normalisation")
    if cell_clip or proj_clip:
        raise UnsupportedError("it clips its cell or its projection")
    w, r, b = (_stacked(parts) for parts in (inner, recurrent, biases))
    size = dims(r)[-1]
    assert size is not None
    zeros = like(x, np.zeros((1, 4 * size)))
    sequence = x if time_major else op.Transpose(x, perm=[1, 0, 2])
    y, _, _ = op.node("LSTM", sequence, w, r, op.Concat(b, zeros, axis=1), outputs=3, hidden_size=size)
    # [T, directions, N, C]
    steps = op.Squeeze(y, [1])
    return steps if time_major else op.Transpose(steps, perm=[1, 0, 2])


def _stacked(gates: list[ir.Value | None]) -> ir.Value:
    """Return the weights of the four gates on one axis, in ONNX's order, with an axis for directions before it."""
    return op.Unsqueeze(op.Concat(*(gates[place] for place in _ONNX), axis=0), [0])
