"""The whole table: importing this registers every file's lowerings."""

from __future__ import annotations

from translate.converters.tf_to_onnx import control, lists, math, nn, tensor
from translate.converters.tf_to_onnx.table import TABLE

__all__ = ["TABLE", "control", "lists", "math", "nn", "tensor"]
