"""Branches and loops."""

from __future__ import annotations

from typing import Any

import onnx_ir as ir

from translate.converters.lowering.interpret import Context
from translate.converters.tf_to_onnx import control
from translate.converters.tf_to_onnx.build import Host
from translate.converters.tflite_to_onnx.table import lower


@lower("IF")
def if_(
    condition: ir.Value, *xs: Any, then_branch: ir.Graph, else_branch: ir.Graph, context: Context
) -> tuple[ir.Value, ...]:
    """Run one of two branches."""
    results: tuple[ir.Value, ...] = control.if_(
        condition, *xs, then_branch=then_branch, else_branch=else_branch, context=context
    )
    return results


@lower("WHILE")
def while_(*xs: ir.Value | Host, cond: ir.Graph, body: ir.Graph, context: Context) -> tuple[Any, ...]:
    """Run `body` on the carried values while `cond` of them holds."""
    results: tuple[Any, ...] = control.while_(*xs, cond=cond, body=body, context=context)
    return results
