"""From one element type to another."""

from __future__ import annotations

import ml_dtypes
import tensorflow as tf

from translate.converters.onnx_to_tf.dtypes import tf_dtype
from translate.converters.onnx_to_tf.table import lower
from translate.errors import UnsupportedError

FLOAT8 = (tf.dtypes.experimental.float8_e4m3fn, tf.dtypes.experimental.float8_e5m2)
INT4 = (tf.dtypes.experimental.int4, tf.dtypes.experimental.uint4)


@lower("Cast")
def cast(x: tf.Tensor, *, to: int, saturate: int = 1, round_mode: str = "up") -> tf.Tensor:
    """Convert `x` to the element type `to`; the shape is unchanged.

    `saturate` bounds what goes to float8; `round_mode` speaks of float8e8m0 alone. Numbers as text are written as
    onnxruntime writes them: 8 significant digits for float32, 17 for float64, `NaN`, `INF`, `-INF`.
    Limits: not to or from float8e4m3fnuz, float8e5m2fnuz, float8e8m0, float4e2m1, int2, uint2.
    """
    return convert(x, tf_dtype(to), saturate=bool(saturate))


@lower("CastLike", since=15)
def cast_like(x: tf.Tensor, like: tf.Tensor, *, saturate: int = 1, round_mode: str = "up") -> tf.Tensor:
    """Convert `x` to the element type of `like`; the shape is that of `x`.

    Limits: not to or from float8e4m3fnuz, float8e5m2fnuz, float8e8m0, float4e2m1, int2, uint2.
    """
    return convert(x, like.dtype, saturate=bool(saturate))


@lower("BitCast", since=26)
def bit_cast(x: tf.Tensor, *, to: int) -> tf.Tensor:
    """Read the bits of `x` as another element type of the same width; the shape is unchanged.

    Limits: not to or from bool, 8-bit floats and types of less than 8 bits, except bool to an 8-bit integer.
    """
    dtype = tf_dtype(to)
    if x.dtype == tf.bool:
        x = tf.cast(x, tf.uint8)
    if dtype in (tf.bool, *FLOAT8, *INT4) or x.dtype in (*FLOAT8, *INT4):
        raise UnsupportedError(f"TensorFlow cannot read the bits of {x.dtype.name} as {dtype.name}")
    return tf.bitcast(x, dtype)


def convert(x: tf.Tensor, dtype: tf.DType, *, saturate: bool = True) -> tf.Tensor:
    """Return `x` as `dtype`; out of the range of a float8 `dtype` its largest value with `saturate`, else NaN or inf.

    Covers the pairs of dtypes that TensorFlow's own cast lacks.
    """
    if x.dtype == dtype:
        return x
    if x.dtype == tf.string:
        return _from_text(x, dtype)
    if dtype == tf.string:
        return _to_text(x)
    if dtype in FLOAT8:
        x = x if x.dtype.is_floating else convert(x, tf.float32)
        if saturate and x.dtype not in FLOAT8:
            largest = float(ml_dtypes.finfo(dtype.as_numpy_dtype).max)
            x = tf.clip_by_value(x, tf.cast(-largest, x.dtype), tf.cast(largest, x.dtype))
    elif x.dtype in INT4 or dtype in INT4:
        x = tf.cast(x, tf.int32)
    return tf.cast(x, dtype)


def _from_text(x: tf.Tensor, dtype: tf.DType) -> tf.Tensor:
    parsed = tf.float64 if dtype == tf.float64 else tf.float32 if dtype.is_floating else tf.int64
    return convert(tf.strings.to_number(x, parsed), dtype)


def _to_text(x: tf.Tensor) -> tf.Tensor:
    if not x.dtype.is_floating:
        return tf.strings.as_string(tf.cast(x, tf.int32) if x.dtype in (tf.bool, *INT4) else x)
    x = x if x.dtype in (tf.float32, tf.float64) else tf.cast(x, tf.float32)
    text = tf.strings.as_string(x, precision=17 if x.dtype == tf.float64 else 8, shortest=True)
    text = tf.where(tf.math.is_inf(x), tf.where(x > 0, "INF", "-INF"), text)
    return tf.where(tf.math.is_nan(x), "NaN", text)
