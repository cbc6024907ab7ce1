"""Shapes: asking for them and changing them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import onnx_ir as ir

from translate.converters.tf_to_onnx import shape as tf
from translate.converters.tf_to_onnx.build import op
from translate.converters.tflite_to_onnx.table import lower, same_as

same_as(
    {
        "BROADCAST_ARGS": tf.broadcast_args,
        "BROADCAST_TO": tf.broadcast_to,
        "EXPAND_DIMS": tf.expand_dims,
        "FILL": tf.fill,
        "RANK": tf.rank_,
        "SQUEEZE": tf.squeeze,
        "ZEROS_LIKE": tf.zeros_like,
    }
)


@lower("SHAPE")
def shape(x: ir.Value, *, out_type: int = int(ir.DataType.INT32)) -> Any:
    """The sizes of a tensor; known at once where all are."""
    return tf.shape(x, out_type=out_type)


@lower("RESHAPE")
def reshape(x: ir.Value, shape: ir.Value | None = None, *, new_shape: Sequence[int] = ()) -> ir.Value:
    """Other sizes for the same values; -1 is whatever is left. Old files have them as an attribute."""
    y: ir.Value = tf.reshape(x, op.value(list(new_shape)) if shape is None else shape)
    return y
