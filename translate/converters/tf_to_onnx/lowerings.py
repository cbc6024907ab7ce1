"""The whole table: importing this registers every file's lowerings."""

from __future__ import annotations

from translate.converters.tf_to_onnx import control, conv, lists, math, nn, pool, reduce, tensor
from translate.converters.tf_to_onnx.table import TABLE

__all__ = ["TABLE", "control", "conv", "lists", "math", "nn", "pool", "reduce", "tensor"]
