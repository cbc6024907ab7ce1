"""The routes from one framework to the other."""

from __future__ import annotations

from translate.graphs import to_onnx
from translate.routes.result import NotEqualError, Result, source_label
from translate.routes.to_pytorch import tf2torch, to_torch
from translate.routes.to_tensorflow import count_weights, default_output, torch2tf

__all__ = [
    "NotEqualError",
    "Result",
    "count_weights",
    "default_output",
    "source_label",
    "tf2torch",
    "to_onnx",
    "to_torch",
    "torch2tf",
]
