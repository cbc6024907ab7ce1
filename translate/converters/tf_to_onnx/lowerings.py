"""The whole table: importing this registers every file's lowerings."""

from __future__ import annotations

from translate.converters.tf_to_onnx import (
    blocks,
    complex,
    control,
    conv,
    image,
    index,
    lists,
    math,
    matrix,
    nn,
    pool,
    quant,
    random,
    reduce,
    shape,
    tensor,
)
from translate.converters.tf_to_onnx.table import TABLE

__all__ = [
    "TABLE",
    "blocks",
    "complex",
    "control",
    "conv",
    "image",
    "index",
    "lists",
    "math",
    "matrix",
    "nn",
    "pool",
    "quant",
    "random",
    "reduce",
    "shape",
    "tensor",
]
