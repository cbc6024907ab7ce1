"""Elementwise arithmetic and matrix products."""

from __future__ import annotations

import onnx_ir as ir

from translate.converters.tf_to_onnx.build import like, op
from translate.converters.tf_to_onnx.table import lower, one_to_one

one_to_one(
    {
        "Abs": "Abs",
        "Add": "Add",
        "AddV2": "Add",
        "Div": "Div",
        "Exp": "Exp",
        "Identity": "Identity",
        "Maximum": "Max",
        "Minimum": "Min",
        "Mul": "Mul",
        "Neg": "Neg",
        "Pow": "Pow",
        "RealDiv": "Div",
        "Relu": "Relu",
        "Sigmoid": "Sigmoid",
        "Sqrt": "Sqrt",
        "Sub": "Sub",
        "Tanh": "Tanh",
        "Greater": "Greater",
        "GreaterEqual": "GreaterOrEqual",
        "Less": "Less",
        "LessEqual": "LessOrEqual",
        "LogicalAnd": "And",
        "LogicalNot": "Not",
        "LogicalOr": "Or",
    }
)


@lower("Rsqrt")
def rsqrt(x: ir.Value) -> ir.Value:
    """One over the square root."""
    return op.Div(like(x, 1), op.Sqrt(x))


@lower("MatMul")
def mat_mul(
    a: ir.Value, b: ir.Value, *, transpose_a: int = 0, transpose_b: int = 0, grad_a: int = 0, grad_b: int = 0
) -> ir.Value:
    """The product of two matrices, each transposed first if asked."""
    a = op.Transpose(a, perm=[1, 0]) if transpose_a else a
    b = op.Transpose(b, perm=[1, 0]) if transpose_b else b
    return op.MatMul(a, b)
