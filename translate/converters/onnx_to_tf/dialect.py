"""Which of TensorFlow's operators a graph may use: all of them, or those that TFLite's converter knows, too."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import tensorflow as tf

_FOR_TFLITE: ContextVar[bool] = ContextVar("for_tflite", default=False)


@contextmanager
def for_tflite() -> Iterator[None]:
    """Build the graphs inside for TFLite; they may hold operators that TensorFlow runs only where XLA compiles them."""
    token = _FOR_TFLITE.set(True)
    try:
        yield
    finally:
        _FOR_TFLITE.reset(token)


def is_for_tflite() -> bool:
    """Whether the graph that is being built is for TFLite; what is computed while translating never is."""
    return _FOR_TFLITE.get() and not tf.executing_eagerly()


def widest() -> tf.DType:
    """Return the floating-point dtype to be exact in: float64, but float32 for TFLite, whose kernels have no other."""
    return tf.float32 if is_for_tflite() else tf.float64
