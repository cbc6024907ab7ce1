"""Activations and normalisations."""

from __future__ import annotations

import onnx_ir as ir

from translate.converters.tf_to_onnx import nn
from translate.converters.tf_to_onnx.build import like, op
from translate.converters.tflite_to_onnx.table import lower, one_to_one, same_as

one_to_one({"ELU": "Elu", "HARD_SWISH": "HardSwish", "LOGISTIC": "Sigmoid", "RELU": "Relu", "TANH": "Tanh"})
same_as({"LEAKY_RELU": nn.leaky_relu, "LOG_SOFTMAX": nn.log_softmax, "RELU6": nn.relu6})


@lower("RELU_N1_TO_1")
def relu_n1_to_1(x: ir.Value) -> ir.Value:
    """Between -1 and 1."""
    return op.Clip(x, like(x, -1), like(x, 1))


@lower("RELU_0_TO_1")
def relu_0_to_1(x: ir.Value) -> ir.Value:
    """Between 0 and 1."""
    return op.Clip(x, like(x, 0), like(x, 1))


@lower("GELU")
def gelu(x: ir.Value, *, approximate: int = 0) -> ir.Value:
    """Gaussian error linear unit, by the error function or `approximate`d by tanh."""
    return op.Gelu(x, approximate="tanh" if approximate else "none")


@lower("PRELU")
def prelu(x: ir.Value, alpha: ir.Value) -> ir.Value:
    """`alpha` times what is negative."""
    return op.PRelu(x, alpha)


@lower("SOFTMAX")
def softmax(x: ir.Value, *, beta: float = 0.0) -> ir.Value:
    """Normalise `beta * x` along the last axis."""
    return op.Softmax(x if beta == 1 else op.Mul(x, like(x, beta)), axis=-1)


@lower("L2_NORMALIZATION")
def l2_normalization(x: ir.Value, *, fused_activation_function: str = "NONE") -> ir.Value:
    """Divide by the root of the sum of squares along the last axis, by 1e-6 at least.

    The sum itself is not bounded, as in TFLite's kernel: `max(sqrt(sum(x^2)), 1e-6)`.
    """
    return op.Div(x, op.Max(op.ReduceL2(x, [-1], keepdims=1), like(x, 1e-6)))


@lower("LOCAL_RESPONSE_NORMALIZATION")
def local_response_normalization(
    x: ir.Value, *, radius: int = 0, bias: float = 0.0, alpha: float = 0.0, beta: float = 0.0
) -> ir.Value:
    """Divide by a power of the sum of squares over `2 * radius + 1` channels."""
    y: ir.Value = nn.local_response_norm(x, depth_radius=radius, bias=bias, alpha=alpha, beta=beta)
    return y
