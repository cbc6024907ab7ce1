"""Layers: bias, normalisation, activations."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import onnx_ir as ir

from translate.converters.tf_to_onnx.build import cast, like, op, rank
from translate.converters.tf_to_onnx.conv import back, channels_first
from translate.converters.tf_to_onnx.table import lower, one_to_one
from translate.errors import UnsupportedError

one_to_one(
    {
        "Elu": "Elu",
        "Relu": "Relu",
        "Softplus": "Softplus",
        "Softsign": "Softsign",
    }
)


@lower("BiasAdd")
def bias_add(x: ir.Value, bias: ir.Value, *, data_format: Literal["NHWC", "NCHW"] = "NHWC") -> ir.Value:
    """Add `bias` [C] along the channels."""
    if data_format == "NCHW":
        bias = op.Unsqueeze(bias, list(range(1, rank(x) - 1)))
    return op.Add(x, bias)


@lower("BiasAddV1")
def bias_add_v1(x: ir.Value, bias: ir.Value) -> ir.Value:
    """Add `bias` [C] along the last axis."""
    return op.Add(x, bias)


@lower("Relu6")
def relu6(x: ir.Value) -> ir.Value:
    """Between 0 and 6."""
    return op.Clip(x, like(x, 0), like(x, 6))


@lower("LeakyRelu")
def leaky_relu(x: ir.Value, *, alpha: float = 0.2) -> ir.Value:
    """`alpha` times what is negative."""
    return op.LeakyRelu(x, alpha=alpha)


@lower("Selu")
def selu(x: ir.Value) -> ir.Value:
    """Scaled exponential linear unit, with the constants of its authors."""
    return op.Selu(x)


@lower("Softmax")
def softmax(x: ir.Value) -> ir.Value:
    """Normalise along the last axis."""
    return op.Softmax(x, axis=-1)


@lower("LogSoftmax")
def log_softmax(x: ir.Value) -> ir.Value:
    """The logarithm of softmax along the last axis."""
    return op.LogSoftmax(x, axis=-1)


@lower("L2Loss")
def l2_loss(x: ir.Value) -> ir.Value:
    """Half of the sum of squares."""
    return op.Mul(op.ReduceSumSquare(x, keepdims=0), like(x, 0.5))


@lower("LRN")
def local_response_norm(
    x: ir.Value, *, depth_radius: int = 5, bias: float = 1.0, alpha: float = 1.0, beta: float = 0.5
) -> ir.Value:
    """Divide by a power of the sum of squares over `2 * depth_radius + 1` channels."""
    size = 2 * depth_radius + 1
    # ONNX divides alpha by the number of channels.
    y = op.LRN(channels_first(x, "NHWC"), size=size, alpha=alpha * size, beta=beta, bias=bias)
    return back(y, "NHWC")


@lower("BatchNormWithGlobalNormalization")
def batch_norm_with_global_normalization(
    x: ir.Value,
    mean: ir.Value,
    variance: ir.Value,
    offset: ir.Value,
    scale: ir.Value,
    *,
    variance_epsilon: float,
    scale_after_normalization: int,
) -> ir.Value:
    """Normalise by recorded statistics, channels last, as the first versions did."""
    scale = scale if scale_after_normalization else op.Expand(like(scale, 1), op.Shape(scale))
    y = op.BatchNormalization(channels_first(x, "NHWC"), scale, offset, mean, variance, epsilon=variance_epsilon)
    return back(y, "NHWC")


@lower("FusedBatchNorm", "FusedBatchNormV2", "FusedBatchNormV3")
def fused_batch_norm(
    x: ir.Value,
    scale: ir.Value,
    offset: ir.Value,
    mean: ir.Value,
    variance: ir.Value,
    *,
    epsilon: float = 0.0001,
    exponential_avg_factor: float = 1.0,
    data_format: Literal["NHWC", "NCHW", "NDHWC", "NCDHW"] = "NHWC",
    is_training: int = 1,
) -> Any:
    """Normalise by recorded statistics. Limits: not with the statistics of the batch (`is_training`)."""
    if is_training:
        raise UnsupportedError("it uses the statistics of the batch: the model is in training mode")
    if x.dtype != scale.dtype:
        raise UnsupportedError(f"x is {x.dtype} and scale {scale.dtype}")
    y = op.BatchNormalization(channels_first(x, data_format), scale, offset, mean, variance, epsilon=epsilon)
    # The other outputs serve training.
    return (back(y, data_format), mean, variance, mean, variance, like(scale, np.zeros(0)))


@lower("SoftmaxCrossEntropyWithLogits")
def cross_entropy(logits: ir.Value, labels: ir.Value) -> Any:
    """The cross entropy of each row with its `labels`, and its gradient."""
    logarithms = op.LogSoftmax(logits, axis=-1)
    loss = op.Neg(op.ReduceSum(op.Mul(labels, logarithms), [-1], keepdims=0))
    return loss, op.Sub(op.Softmax(logits, axis=-1), labels)


@lower("SparseSoftmaxCrossEntropyWithLogits")
def sparse_cross_entropy(logits: ir.Value, labels: ir.Value) -> Any:
    """As SoftmaxCrossEntropyWithLogits, with the number of the right class of each row."""
    depth = op.Shape(logits, start=-1)
    values = op.value(like(logits, [0, 1]))
    result: Any = cross_entropy(logits, op.OneHot(cast(labels, ir.DataType.INT64), depth, values))
    return result
