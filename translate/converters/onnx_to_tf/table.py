"""The TensorFlow table. Every file beside this one that holds lowerings registers them here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import tensorflow as tf

from translate.converters.lowering import Table
from translate.converters.onnx_to_tf.not_done import NOT_DONE
from translate.converters.passes.layout import CHANNELS_LAST, FUSED

__all__ = ["CEILINGS", "CHANNELS_LAST", "FUSED", "TABLE", "lower", "lower_binary", "lower_unary"]

# The newest opset of each domain whose node tests the table has been run against.
CEILINGS = {"": 28, "ai.onnx.ml": 5, "ai.onnx.preview.training": 1, "ai.onnx.preview": 1, CHANNELS_LAST: 28, FUSED: 1}

TABLE = Table("TensorFlow", CEILINGS, NOT_DONE)
lower, lower_unary = TABLE.lower, TABLE.lower_unary


def lower_binary(functions: Mapping[str, Callable[..., Any]]) -> None:
    """Register broadcasting operators of two inputs that TensorFlow has under another name, with the same meaning."""

    def register(op_type: str, function: Callable[..., Any]) -> None:
        @lower(op_type)
        def binary(x: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
            return function(x, y)

    for op_type, function in functions.items():
        register(op_type, function)
