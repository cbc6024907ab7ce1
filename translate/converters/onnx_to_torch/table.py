"""The PyTorch table. Every file beside this one that holds lowerings registers them here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch

from translate.converters.lowering import Table
from translate.converters.onnx_to_torch.not_done import NOT_DONE
from translate.converters.onnx_to_torch.shapes import operands
from translate.converters.operators.functions import FUNCTIONS
from translate.converters.passes.layers import LAYERS
from translate.converters.passes.layout import FUSED

__all__ = ["CEILINGS", "FUSED", "HOST", "LAYERS", "TABLE", "lower", "lower_binary", "lower_host", "lower_unary"]

# The newest opset of each domain whose node tests the table has been run against.
CEILINGS = {"": 28, "ai.onnx.ml": 5, "ai.onnx.preview.training": 1, "ai.onnx.preview": 1}
CEILINGS |= {LAYERS: 1, FUSED: 1, FUNCTIONS: 1}

TABLE = Table("PyTorch", CEILINGS, NOT_DONE)
lower, lower_unary = TABLE.lower, TABLE.lower_unary

# Operators on host values that are partly symbolic: see host.py.
HOST = Table("PyTorch", CEILINGS)
lower_host = HOST.lower


def lower_binary(functions: Mapping[str, Callable[..., Any]], *, scalars: bool = True) -> None:
    """Register broadcasting operators of two inputs that PyTorch has under another name, with the same meaning.

    With `scalars` a constant of one element is written as a Python number.
    """

    def register(op_type: str, function: Callable[..., Any]) -> None:
        @lower(op_type)
        def binary(x: torch.Tensor | np.ndarray, y: torch.Tensor | np.ndarray) -> torch.Tensor:
            return function(*operands(x, y, scalars=scalars))

    for op_type, function in functions.items():
        register(op_type, function)
