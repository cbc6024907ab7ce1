"""Pooling over `[N, H, W, C]`."""

from __future__ import annotations

from collections.abc import Callable

import onnx_ir as ir

from translate.converters.tf_to_onnx import pool as tf
from translate.converters.tf_to_onnx.build import op
from translate.converters.tflite_to_onnx.conv import Padding
from translate.converters.tflite_to_onnx.table import Activation, activate, lower


def _register(name: str, pool: Callable[..., ir.Value], says: str) -> None:
    def lowering(
        x: ir.Value,
        *,
        padding: Padding = "SAME",
        stride_w: int = 0,
        stride_h: int = 0,
        filter_width: int = 0,
        filter_height: int = 0,
        fused_activation_function: Activation = "NONE",
    ) -> ir.Value:
        sizes, strides = [1, filter_height, filter_width, 1], [1, stride_h, stride_w, 1]
        return activate(pool(x, ksize=sizes, strides=strides, padding=padding), fused_activation_function)

    lowering.__doc__ = says
    lower(name)(lowering)


def _l2_pool(x: ir.Value, **window: object) -> ir.Value:
    return op.Sqrt(tf.average_pool(op.Mul(x, x), **window))


_register("MAX_POOL_2D", tf.max_pool, "The largest of each window.")
_register("AVERAGE_POOL_2D", tf.average_pool, "The mean of each window, of what lies inside the input.")
_register("L2_POOL_2D", _l2_pool, "The root of the mean square of each window, of what lies inside the input.")
