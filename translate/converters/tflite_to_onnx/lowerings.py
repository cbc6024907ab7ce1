"""The whole table: importing this registers every file's lowerings."""

from __future__ import annotations

from translate.converters.tflite_to_onnx import (
    activation,
    control,
    conv,
    image,
    index,
    math,
    pool,
    quant,
    reduce,
    rnn,
    shape,
    tensor,
)
from translate.converters.tflite_to_onnx.table import TABLE

__all__ = [
    "TABLE",
    "activation",
    "control",
    "conv",
    "image",
    "index",
    "math",
    "pool",
    "quant",
    "reduce",
    "rnn",
    "shape",
    "tensor",
]
