"""PyTorch's tensors as arrays, and arrays as tensors."""

from __future__ import annotations

import numpy as np
import torch

from translate.models.base import Array
from translate.models.inputs import numpy_dtype


def dtype_name(dtype: torch.dtype) -> str:
    """Return numpy's name of a torch dtype."""
    return str(dtype).removeprefix("torch.")


def to_array(tensor: torch.Tensor) -> Array:
    """Copy a tensor into an array; bfloat16 and the like become `ml_dtypes`."""
    tensor = tensor.detach().cpu().resolve_conj().resolve_neg().contiguous()
    try:
        return np.array(tensor.numpy())
    except TypeError:
        bits = {1: torch.uint8, 2: torch.int16}[tensor.element_size()]
        return np.array(tensor.view(bits).numpy()).view(numpy_dtype(dtype_name(tensor.dtype)))


def to_tensor(array: Array) -> torch.Tensor:
    """Copy an array into a tensor."""
    array = np.ascontiguousarray(array).reshape(array.shape)
    try:
        return torch.from_numpy(array.copy())
    except TypeError:
        bits = np.dtype({1: "uint8", 2: "int16"}[array.dtype.itemsize])
        return torch.from_numpy(array.view(bits).copy()).view(getattr(torch, array.dtype.name))
