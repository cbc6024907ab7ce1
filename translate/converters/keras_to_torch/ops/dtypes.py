"""Dtypes and axes as Keras's operations say them."""

from __future__ import annotations

from functools import reduce
from typing import Any

import torch

from translate.converters.onnx_to_torch.values import Value, record
from translate.errors import UnsupportedError


def torch_dtype(name: Any) -> torch.dtype:
    """Return the dtype of a name of Keras's; raises `UnsupportedError` where PyTorch has none."""
    dtype = getattr(torch, str(name), None)
    if not isinstance(dtype, torch.dtype):
        raise UnsupportedError(f"PyTorch has no dtype {name}")
    return dtype


def floating(x: torch.Tensor) -> torch.Tensor:
    """Return ints and bools as float32, other numbers as they are."""
    return x if x.dtype.is_floating_point or x.dtype.is_complex else x.to(torch.float32)


def truth(x: torch.Tensor) -> torch.Tensor:
    """Return what is not zero, as bools."""
    return x if x.dtype is torch.bool else x.to(torch.bool)


def alike(*xs: torch.Tensor) -> list[torch.Tensor]:
    """Return tensors in the one dtype that they are promoted to."""
    dtype = reduce(torch.promote_types, (x.dtype for x in xs))
    return [x if x.dtype is dtype else x.to(dtype) for x in xs]


def as_tensors(*xs: Any) -> list[Any]:
    """Make tensors without axes of those that are numbers, which no dtype of theirs follows from."""
    return [x if isinstance(x, Value) else record(torch.tensor, x) for x in xs]


def axes_of(axis: Any, rank: int) -> list[int]:
    """Return the axes that `axis` names, counted from the start and in order, all of them for None."""
    if axis is None:
        return list(range(rank))
    return sorted(int(one) % rank for one in (axis if isinstance(axis, list | tuple) else [axis]))
