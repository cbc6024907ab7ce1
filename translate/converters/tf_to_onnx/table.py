"""The table that the files of lowerings register in, and how they do it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import onnx_ir as ir

from translate.converters.lowering.table import Table
from translate.converters.tf_to_onnx.build import op
from translate.converters.tf_to_onnx.not_done import not_done
from translate.converters.tf_to_onnx.source import DOMAIN

TABLE = Table("ONNX", {DOMAIN: 1}, {(DOMAIN, name): reason for name, reason in not_done()})


def lower(*op_types: str, deterministic: bool = True) -> Callable[[Any], Any]:
    """Register the decorated function as the lowering of TensorFlow's operators `op_types`."""
    return TABLE.lower(*op_types, domain=DOMAIN, deterministic=deterministic)


def one_to_one(names: Mapping[str, str]) -> None:
    """Register operators that ONNX has with the same inputs and no attributes: {TensorFlow's name: ONNX's}."""
    for name, onnx_name in names.items():
        lower(name)(_same(onnx_name))


def _same(onnx_name: str) -> Callable[..., ir.Value]:
    def lowering(*xs: ir.Value) -> ir.Value:
        result: ir.Value = op.node(onnx_name, *xs)
        return result

    lowering.__doc__ = f"ONNX's {onnx_name}."
    return lowering
