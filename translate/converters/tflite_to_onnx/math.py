"""Elementwise arithmetic, comparisons and matrix products."""

from __future__ import annotations

import onnx_ir as ir

from translate.converters.tf_to_onnx import math, matrix
from translate.converters.tf_to_onnx.build import cast, dims, op, rank
from translate.converters.tflite_to_onnx.table import Activation, activate, lower, one_to_one, same_as
from translate.errors import UnsupportedError

one_to_one(
    {
        "ABS": "Abs",
        "ADD_N": "Sum",
        "BITWISE_XOR": "BitwiseXor",
        "CEIL": "Ceil",
        "COS": "Cos",
        "EQUAL": "Equal",
        "EXP": "Exp",
        "FLOOR": "Floor",
        "GREATER": "Greater",
        "GREATER_EQUAL": "GreaterOrEqual",
        "LESS": "Less",
        "LESS_EQUAL": "LessOrEqual",
        "LOG": "Log",
        "LOGICAL_AND": "And",
        "LOGICAL_NOT": "Not",
        "LOGICAL_OR": "Or",
        "MAXIMUM": "Max",
        "MINIMUM": "Min",
        "NEG": "Neg",
        "POW": "Pow",
        "ROUND": "Round",
        "SIGN": "Sign",
        "SIN": "Sin",
        "SQRT": "Sqrt",
    }
)
same_as(
    {
        "ATAN2": math.atan2,
        "FLOOR_DIV": math.floor_div,
        "FLOOR_MOD": math.floor_mod,
        "NOT_EQUAL": math.not_equal,
        "RANGE": math.range_,
        "RIGHT_SHIFT": math.right_shift,
        "RSQRT": math.rsqrt,
        "SQUARE": math.square,
        "SQUARED_DIFFERENCE": math.squared_difference,
        "MATRIX_DIAG": matrix.matrix_diag,
        "MATRIX_SET_DIAG": matrix.matrix_set_diag,
        "BUCKETIZE": matrix.bucketize,
    }
)


@lower("ADD")
def add(x: ir.Value, y: ir.Value, *, fused_activation_function: Activation = "NONE") -> ir.Value:
    """The sum."""
    return activate(op.Add(x, y), fused_activation_function)


@lower("SUB")
def sub(x: ir.Value, y: ir.Value, *, fused_activation_function: Activation = "NONE") -> ir.Value:
    """The difference."""
    return activate(op.Sub(x, y), fused_activation_function)


@lower("MUL")
def mul(x: ir.Value, y: ir.Value, *, fused_activation_function: Activation = "NONE") -> ir.Value:
    """The product."""
    return activate(op.Mul(x, y), fused_activation_function)


@lower("DIV")
def div(x: ir.Value, y: ir.Value, *, fused_activation_function: Activation = "NONE") -> ir.Value:
    """The quotient; of integers, rounded towards zero."""
    return activate(op.Div(x, y), fused_activation_function)


@lower("CAST")
def cast_(x: ir.Value, *, to: int) -> ir.Value:
    """To another dtype."""
    return cast(x, to)


@lower("BATCH_MATMUL")
def batch_matmul(x: ir.Value, y: ir.Value, *, adj_x: int = 0, adj_y: int = 0) -> ir.Value:
    """The products of the matrices in the last two axes, each transposed first if asked."""
    z: ir.Value = math.batch_mat_mul(x, y, adj_x=adj_x, adj_y=adj_y)
    return z


@lower("FULLY_CONNECTED")
def fully_connected(
    x: ir.Value,
    weights: ir.Value,
    bias: ir.Value | None = None,
    *,
    fused_activation_function: Activation = "NONE",
    weights_format: str = "DEFAULT",
    keep_num_dims: int = 0,
) -> ir.Value:
    """Multiply by `weights` [M, K] and add `bias` [M]: `[..., K]` → `[..., M]`, or a matrix without `keep_num_dims`.

    Limits: weights that are shuffled.
    """
    if weights_format != "DEFAULT":
        raise UnsupportedError(f"weights_format={weights_format}")
    size = dims(weights)[1]
    if size is None:
        raise UnsupportedError("the number of features is not known")
    if not keep_num_dims and rank(x) != 2:
        x = op.Reshape(x, [-1, size])
    y = op.MatMul(x, op.Transpose(weights, perm=[1, 0]))
    return activate(y if bias is None else op.Add(y, bias), fused_activation_function)
