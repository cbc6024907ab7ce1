"""The routes from one framework to the other."""

from __future__ import annotations

from translate.graphs import to_onnx
from translate.routes.destination import default_output
from translate.routes.formats import count_weights
from translate.routes.result import NotEqualError, Result, source_label
from translate.routes.to_pytorch import tf2torch, to_torch
from translate.routes.to_tensorflow import torch2tf
from translate.routes.weights import Carried, extract_weights, state_dict, update_weights

__all__ = [
    "Carried",
    "NotEqualError",
    "Result",
    "count_weights",
    "default_output",
    "extract_weights",
    "source_label",
    "state_dict",
    "tf2torch",
    "to_onnx",
    "to_torch",
    "torch2tf",
    "update_weights",
]
