"""The table that the files of lowerings register in, and what they share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

import onnx_ir as ir

from translate.converters.lowering.table import Table
from translate.converters.tf_to_onnx.build import like, op
from translate.converters.tflite_to_onnx.not_done import not_done
from translate.converters.tflite_to_onnx.source import DOMAIN

TABLE = Table("ONNX", {DOMAIN: 1}, {(DOMAIN, name): reason for name, reason in not_done()})

# The activation that an operator applies to its result.
Activation = Literal["NONE", "RELU", "RELU_N1_TO_1", "RELU6", "TANH"]


def lower(*op_types: str, deterministic: bool = True) -> Callable[[Any], Any]:
    """Register the decorated function as the lowering of TFLite's operators `op_types`."""
    return TABLE.lower(*op_types, domain=DOMAIN, deterministic=deterministic)


def same_as(names: Mapping[str, Callable[..., Any]]) -> None:
    """Register operators that TensorFlow has with the same inputs and attributes: {TFLite's name: its lowering}."""
    for name, lowering in names.items():
        lower(name)(lowering)


def one_to_one(names: Mapping[str, str]) -> None:
    """Register operators that ONNX has with the same inputs and no attributes: {TFLite's name: ONNX's}."""
    for name, onnx_name in names.items():
        lower(name)(_same(onnx_name))


def _same(onnx_name: str) -> Callable[..., ir.Value]:
    def lowering(*xs: ir.Value) -> ir.Value:
        result: ir.Value = op.node(onnx_name, *xs)
        return result

    lowering.__doc__ = f"ONNX's {onnx_name}."
    return lowering


def activate(x: ir.Value, activation: Activation) -> ir.Value:
    """Apply the activation that is fused into an operator."""
    if activation == "RELU":
        return op.Relu(x)
    if activation == "TANH":
        return op.Tanh(x)
    if activation == "NONE":
        return x
    low, high = {"RELU6": (0, 6), "RELU_N1_TO_1": (-1, 1)}[activation]
    return op.Clip(x, like(x, low), like(x, high))
