"""Dtypes that TensorFlow has no CPU kernel for: the operator is computed in a wider dtype and brought back."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

import tensorflow as tf

Function = TypeVar("Function", bound=Callable[..., Any])

# Every value of the first is a value of the second. The exception is uint64, which has no wider integer: as int64 it
# keeps its bits, so that sums, differences, products and left shifts are right (modulo 2^64) and nothing else is.
WIDER = {
    tf.bool: tf.int32,
    tf.int8: tf.int32,
    tf.int16: tf.int32,
    tf.uint8: tf.int32,
    tf.uint16: tf.int32,
    tf.uint32: tf.int64,
    tf.uint64: tf.int64,
    tf.float16: tf.float32,
    tf.bfloat16: tf.float32,
    tf.dtypes.experimental.float8_e4m3fn: tf.float32,
    tf.dtypes.experimental.float8_e5m2: tf.float32,
}

FLOAT8 = (tf.dtypes.experimental.float8_e4m3fn, tf.dtypes.experimental.float8_e5m2)
HALVES = (tf.float16, tf.bfloat16)
UNSIGNED = (tf.uint8, tf.uint16, tf.uint32, tf.uint64)
SMALL_INTEGERS = (tf.int8, tf.int16, tf.uint8, tf.uint16)


def widen(x: Any, *dtypes: tf.DType) -> Any:
    """Return `x` in a wider dtype if it is a tensor of one of `dtypes`, else `x` as it is."""
    return tf.cast(x, WIDER[x.dtype]) if isinstance(x, tf.Tensor) and x.dtype in dtypes else x


def widened(*dtypes: tf.DType) -> Callable[[Function], Function]:
    """Make a function of tensors compute in a wider dtype where an argument has one of `dtypes`.

    All tensors of `dtypes` among the positional arguments are widened, and results that come out in the wider dtype of
    the first of them are brought back to its own. Usable as a decorator under `@lower` and as
    `widened(tf.uint32)(tf.pow)(x, y)`. Functions whose results have a dtype of their own (indices) call `widen`.
    """

    def decorate(function: Function) -> Function:
        @functools.wraps(function)
        def wide(*inputs: Any, **attributes: Any) -> Any:
            narrow = next((x.dtype for x in inputs if isinstance(x, tf.Tensor) and x.dtype in dtypes), None)
            if narrow is None:
                return function(*inputs, **attributes)
            results = function(*(widen(x, *dtypes) for x in inputs), **attributes)
            if isinstance(results, tuple):
                return tuple(_narrowed(result, narrow) for result in results)
            return _narrowed(results, narrow)

        return wide  # type: ignore[return-value]

    return decorate


def _narrowed(result: Any, dtype: tf.DType) -> Any:
    return tf.cast(result, dtype) if isinstance(result, tf.Tensor) and result.dtype == WIDER[dtype] else result
