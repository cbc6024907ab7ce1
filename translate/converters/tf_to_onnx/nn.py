"""Layers: bias, softmax and the like."""

from __future__ import annotations

from typing import Literal

import onnx_ir as ir

from translate.converters.tf_to_onnx.build import op, rank
from translate.converters.tf_to_onnx.table import lower


@lower("BiasAdd")
def bias_add(x: ir.Value, bias: ir.Value, *, data_format: Literal["NHWC", "NCHW"] = "NHWC") -> ir.Value:
    """Add `bias` [C] along the channels."""
    if data_format == "NCHW":
        bias = op.Unsqueeze(bias, list(range(1, rank(x) - 1)))
    return op.Add(x, bias)


@lower("Softmax")
def softmax(x: ir.Value) -> ir.Value:
    """Normalise along the last axis."""
    return op.Softmax(x, axis=-1)
