"""ONNX's element types and TensorFlow's."""

from __future__ import annotations

import onnx_ir as ir
import tensorflow as tf

from translate.errors import UnsupportedError


def tf_dtype(dtype: ir.DataType | int) -> tf.DType:
    """Return TensorFlow's dtype for ONNX's; raises `UnsupportedError` where TensorFlow has none."""
    dtype = ir.DataType(dtype)
    if dtype is ir.DataType.STRING:
        return tf.string
    try:
        return tf.as_dtype(dtype.numpy())
    except TypeError as error:
        raise UnsupportedError(f"TensorFlow has no dtype for {dtype.name.lower()}") from error
