"""ONNX's element types and PyTorch's, and arrays of either as the other."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import onnx_ir as ir
import torch

from translate.errors import UnsupportedError

_TORCH = {
    ir.DataType.BOOL: torch.bool,
    ir.DataType.INT8: torch.int8,
    ir.DataType.INT16: torch.int16,
    ir.DataType.INT32: torch.int32,
    ir.DataType.INT64: torch.int64,
    ir.DataType.UINT8: torch.uint8,
    ir.DataType.UINT16: torch.uint16,
    ir.DataType.UINT32: torch.uint32,
    ir.DataType.UINT64: torch.uint64,
    ir.DataType.FLOAT16: torch.float16,
    ir.DataType.BFLOAT16: torch.bfloat16,
    ir.DataType.FLOAT: torch.float32,
    ir.DataType.DOUBLE: torch.float64,
    ir.DataType.COMPLEX64: torch.complex64,
    ir.DataType.COMPLEX128: torch.complex128,
    ir.DataType.FLOAT8E4M3FN: torch.float8_e4m3fn,
    ir.DataType.FLOAT8E4M3FNUZ: torch.float8_e4m3fnuz,
    ir.DataType.FLOAT8E5M2: torch.float8_e5m2,
    ir.DataType.FLOAT8E5M2FNUZ: torch.float8_e5m2fnuz,
    ir.DataType.FLOAT8E8M0: torch.float8_e8m0fnu,
}

# Element types that numpy itself does not have: PyTorch reads their bits, and numpy PyTorch's.
_BY_BITS = {
    torch.bfloat16: ml_dtypes.bfloat16,
    torch.float8_e4m3fn: ml_dtypes.float8_e4m3fn,
    torch.float8_e4m3fnuz: ml_dtypes.float8_e4m3fnuz,
    torch.float8_e5m2: ml_dtypes.float8_e5m2,
    torch.float8_e5m2fnuz: ml_dtypes.float8_e5m2fnuz,
    torch.float8_e8m0fnu: ml_dtypes.float8_e8m0fnu,
}
_TORCH_OF_NUMPY = {np.dtype(dtype): torch_dtype for torch_dtype, dtype in _BY_BITS.items()}
_BITS = {1: (np.uint8, torch.uint8), 2: (np.int16, torch.int16)}


def torch_dtype(dtype: ir.DataType | int) -> torch.dtype:
    """Return PyTorch's dtype for ONNX's; raises `UnsupportedError` where PyTorch has none."""
    dtype = ir.DataType(dtype)
    if dtype not in _TORCH:
        raise UnsupportedError(f"PyTorch has no dtype for {dtype.name.lower()}")
    return _TORCH[dtype]


def to_torch(array: np.ndarray[Any, Any]) -> torch.Tensor:
    """Return a tensor with a copy of `array`; raises `UnsupportedError` for element types that PyTorch lacks."""
    array = np.array(array, order="C")
    dtype = _TORCH_OF_NUMPY.get(array.dtype)
    if dtype is not None:
        own, bits = _BITS[array.dtype.itemsize]
        return torch.from_numpy(array.view(own)).to(bits).view(dtype)
    try:
        return torch.from_numpy(array)
    except TypeError as error:
        raise UnsupportedError(f"PyTorch has no dtype for {array.dtype}") from error


def to_numpy(tensor: torch.Tensor) -> np.ndarray[Any, Any]:
    """Return `tensor` as an array of the same element type."""
    tensor = tensor.detach().cpu()
    dtype = _BY_BITS.get(tensor.dtype)
    if dtype is not None:
        own, bits = _BITS[tensor.element_size()]
        return tensor.contiguous().view(bits).numpy().astype(own, copy=False).view(dtype)
    return np.asarray(tensor.numpy())
