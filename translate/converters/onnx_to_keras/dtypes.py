"""Keras's names of dtypes."""

from __future__ import annotations

from typing import Any

import keras
import onnx_ir as ir

from translate.errors import UnsupportedError

_REALS = ("float16", "float32", "float64", "bfloat16")
_INTEGERS = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
_DTYPES = frozenset({*_REALS, *_INTEGERS, "bool"})


def dtype_of(x: Any) -> str:
    """Return the dtype of a tensor or an array."""
    return str(keras.backend.standardize_dtype(x.dtype))


def is_float(x: Any) -> bool:
    """Say whether the elements of `x` are real numbers."""
    return "float" in dtype_of(x)


def dtype_name(onnx_type: int) -> str:
    """Return the dtype that ONNX has under a number. Raises `UnsupportedError` where Keras has none."""
    dtype = ir.DataType(onnx_type)
    name = dtype.numpy().name
    if name not in _DTYPES:
        raise UnsupportedError(f"Keras has no {dtype.name.lower()}")
    return name
