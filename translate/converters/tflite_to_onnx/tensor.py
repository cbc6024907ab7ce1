"""Joins, cuts, borders and orders of axes."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import onnx_ir as ir

from translate.converters.tf_to_onnx import tensor as tf
from translate.converters.tf_to_onnx.build import Host, op
from translate.converters.tflite_to_onnx.table import Activation, activate, lower, same_as

same_as(
    {
        "PAD": tf.pad,
        "PADV2": tf.pad_v2,
        "REVERSE_SEQUENCE": tf.reverse_sequence,
        "REVERSE_V2": tf.reverse,
        "SELECT": tf.select_v1,
        "SELECT_V2": tf.select,
        "TILE": tf.tile,
        "TRANSPOSE": tf.transpose,
        "PACK": tf.pack,
        "UNPACK": tf.unpack,
    }
)


@lower("CONCATENATION")
def concatenation(*xs: ir.Value, axis: int = 0, fused_activation_function: Activation = "NONE") -> ir.Value:
    """Join along an axis."""
    return activate(op.Concat(*xs, axis=axis) if len(xs) > 1 else op.Identity(xs[0]), fused_activation_function)


@lower("MIRROR_PAD")
def mirror_pad(
    x: ir.Value, paddings: ir.Value | Host, *, mode: Literal["REFLECT", "SYMMETRIC"] = "REFLECT"
) -> ir.Value:
    """The mirrored inside around, without the border itself or with it; `paddings` [rank, 2].

    Limits: with the border (`SYMMETRIC`), `paddings` must be known.
    """
    y: ir.Value = tf.mirror_pad(x, paddings, mode=mode)
    return y


@lower("SPLIT")
def split(axis: Host, x: ir.Value, *, num_splits: int = 0) -> Any:
    """Cut an axis into equal parts."""
    return tf.split(np.asarray(axis.reshape(-1)[0]), x, num_split=num_splits)


@lower("SPLIT_V")
def split_v(x: ir.Value, sizes: ir.Value | Host, axis: Host, *, num_splits: int = 0) -> Any:
    """Cut an axis into parts of the given sizes."""
    return tf.split_v(x, sizes, np.asarray(axis.reshape(-1)[0]), num_split=num_splits)
