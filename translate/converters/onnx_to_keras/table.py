"""The Keras table. Every file beside this one that holds lowerings registers them here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import numpy as np
from keras import KerasTensor

from translate.converters.lowering import Table
from translate.converters.onnx_to_tf.table import CEILINGS
from translate.converters.passes.layers import LAYERS
from translate.converters.passes.layout import CHANNELS_LAST, FUSED

__all__ = [
    "CHANNELS_LAST",
    "FUSED",
    "LAYERS",
    "TABLE",
    "Array",
    "Tensor",
    "lower",
    "lower_binary",
    "lower_unary",
]

# What a lowering is given for a tensor: Keras's symbolic tensor, or an array where it is known while translating, which
# Keras's operations take as well.
Tensor: TypeAlias = KerasTensor
Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]

TABLE = Table("Keras", {**CEILINGS, LAYERS: 1})
lower, lower_unary = TABLE.lower, TABLE.lower_unary


def lower_binary(functions: Mapping[str, Callable[..., Any]]) -> None:
    """Register broadcasting operators of two inputs that Keras has under another name, with the same meaning."""

    def register(op_type: str, function: Callable[..., Any]) -> None:
        @lower(op_type)
        def binary(x: Tensor, y: Tensor) -> Tensor:
            result: Tensor = function(x, y)
            return result

    for op_type, function in functions.items():
        register(op_type, function)
