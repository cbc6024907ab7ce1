"""ONNX's element types and TensorFlow's."""

from __future__ import annotations

import onnx_ir as ir
import tensorflow as tf

from translate.errors import UnsupportedError

# Element types that TensorFlow has by name only: no operator takes them, not even a cast.
NAMES_ONLY = (
    ir.DataType.FLOAT8E4M3FNUZ,
    ir.DataType.FLOAT8E5M2FNUZ,
    ir.DataType.FLOAT4E2M1,
    ir.DataType.INT2,
    ir.DataType.UINT2,
)


def tf_dtype(dtype: ir.DataType | int) -> tf.DType:
    """Return TensorFlow's dtype for ONNX's; raises `UnsupportedError` where TensorFlow has none that it can compute."""
    dtype = ir.DataType(dtype)
    if dtype in NAMES_ONLY:
        raise UnsupportedError(f"TensorFlow has no operators on {dtype.name.lower()}")
    if dtype is ir.DataType.STRING:
        return tf.string
    try:
        return tf.as_dtype(dtype.numpy())
    except TypeError as error:
        raise UnsupportedError(f"TensorFlow has no dtype for {dtype.name.lower()}") from error
