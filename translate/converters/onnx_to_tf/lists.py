"""Lists of tensors that a loop reads and writes, an element a step.

TensorFlow's own, TensorArray, have a gradient that costs no more than the step itself. TFLite's converter takes them
only where every size is static. For TFLite a list is one tensor, whose elements are written in place.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf
from tensorflow.compiler.tf2xla.ops import gen_xla_ops

from translate.converters.onnx_to_tf.dialect import is_for_tflite
from translate.converters.onnx_to_tf.shapes import dims


def reader(x: tf.Tensor) -> Callable[[tf.Tensor], tf.Tensor]:
    """Return a function from a number to that element of x [T, ...]."""
    if is_for_tflite():
        return lambda index: tf.gather(x, index)
    array = tf.TensorArray(x.dtype, size=dims(x)[0], element_shape=x.shape[1:]).unstack(x)
    return lambda index: array.read(index)


def empty(dtype: tf.DType, size: int | tf.Tensor, sizes: Sequence[int | tf.Tensor]) -> Any:
    """Return a list of `size` tensors of these `sizes`, to be written; a loop may carry it."""
    if is_for_tflite():
        return tf.zeros([size, *sizes], dtype)
    shape = [each if isinstance(each, int) else None for each in sizes]
    return tf.TensorArray(dtype, size=size, element_shape=shape)


def write(to: Any, index: tf.Tensor, value: tf.Tensor) -> Any:
    """Return the list with `value` at `index`."""
    if isinstance(to, tf.Tensor):
        start = tf.stack([index, *[0] * value.shape.rank])
        return gen_xla_ops.xla_dynamic_update_slice(to, value[tf.newaxis], start)
    return to.write(index, value)


def stack(written: Any) -> tf.Tensor:
    """Return the elements of a list as one tensor [T, ...]."""
    return written if isinstance(written, tf.Tensor) else written.stack()
