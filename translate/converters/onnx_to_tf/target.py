"""TensorFlow as a target of the walk: graph tensors, host values, static shapes, name scopes."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
import onnx_ir as ir
import tensorflow as tf

from translate.converters.onnx_to_tf.dtypes import tf_dtype
from translate.errors import UnsupportedError


class TensorFlowTarget:
    """The walk's view of TensorFlow; see `lowering.Target`."""

    def tensor(self, value: Any) -> tf.Tensor:
        """A host value becomes a constant."""
        return tf.convert_to_tensor(value)

    def host(self, value: Any) -> np.ndarray | None:
        """None for what the graph computes, unless TensorFlow can tell its value."""
        if isinstance(value, np.ndarray | np.generic):
            return np.asarray(value)
        known = tf.get_static_value(value)
        return None if known is None else np.asarray(known)

    def evaluate(self, call: Callable[[], Any]) -> tuple[np.ndarray, ...] | None:
        """Eagerly, outside the function that is being traced."""
        with tf.init_scope():
            results = call()
        results = results if isinstance(results, tuple) else (results,)
        if not all(isinstance(result, np.ndarray | tf.Tensor) for result in results):
            return None
        return tuple(result if isinstance(result, np.ndarray) else np.asarray(result.numpy()) for result in results)

    def refine(self, result: Any, value: ir.Value) -> Any:
        """Merge the model's static sizes into the tensor's.

        Where they contradict each other TensorFlow's are right: they are what its kernels compute, while onnx's
        inference is wrong at times (an STFT without `onesided`, pools with `ceil_mode`).
        """
        if isinstance(result, tf.Tensor):
            known = static_shape(value)
            if result.shape.is_compatible_with(known):
                result.set_shape(result.shape.merge_with(known))
        return result

    def placeholder(self, value: ir.Value) -> Any:
        """A stand-in of the same shape and dtype; one in a list for a sequence."""
        try:
            dtype = tf.float32 if value.dtype is None else tf_dtype(value.dtype)
        except UnsupportedError:
            # Its node is refused for that already.
            dtype = tf.float32
        stand_in = tf.raw_ops.Placeholder(dtype=dtype, shape=static_shape(value))
        return [stand_in] if isinstance(value.type, ir.SequenceType) else stand_in

    def scope(self, node: ir.Node) -> AbstractContextManager[Any]:
        """A name scope called like the node."""
        scope: AbstractContextManager[Any] = tf.name_scope(scope_name(node.name or node.op_type))
        return scope


def static_shape(value: ir.Value) -> tf.TensorShape:
    """Return the shape of `value` with None for each symbolic dimension; of unknown rank where there is none."""
    if value.shape is None:
        return tf.TensorShape(None)
    return tf.TensorShape([dim if isinstance(dim, int) else None for dim in value.shape])


def scope_name(name: str) -> str:
    """Return `name` with what TensorFlow does not allow in the name of a scope replaced by underscores."""
    name = re.sub(r"[^A-Za-z0-9_.\\/>-]", "_", name)
    return name if re.match(r"[A-Za-z0-9.]", name) else "_" + name if not name else "n" + name
