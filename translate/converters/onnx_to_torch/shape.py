"""Shapes, what changes the shape of a tensor but not its elements, constants, and what is made from a shape."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import numpy as np
import torch

from translate.converters.onnx_to_torch.dtypes import to_torch, torch_dtype
from translate.converters.onnx_to_torch.shapes import (
    Size,
    Symbolic,
    axis_from_start,
    entries,
    host,
    is_number,
    objects,
    product,
    vector,
)
from translate.converters.onnx_to_torch.shapes import tensor as as_tensor
from translate.converters.onnx_to_torch.table import lower
from translate.converters.onnx_to_torch.values import record
from translate.converters.operators.shape import constant

Either: TypeAlias = torch.Tensor | np.ndarray


@lower("Shape")
def shape(data: torch.Tensor, *, start: int = 0, end: int | None = None) -> np.ndarray | Symbolic:
    """Return the sizes of axes `start` to `end` (exclusive), a vector of int64: a host value, with `x.size(axis)`s."""
    return vector([data.size(axis) for axis in range(data.ndim)[start:end]])


@lower("Size")
def size(data: torch.Tensor) -> np.ndarray | Symbolic:
    """Return the number of elements, an int64 scalar: a host value."""
    return host(objects(product(data.shape)), np.int64)


@lower("Reshape")
def reshape(data: torch.Tensor, shape: torch.Tensor | np.ndarray, *, allowzero: int = 0) -> torch.Tensor:
    """Give `data` the sizes in `shape`: -1 is what is left over; 0 keeps the size of the axis unless `allowzero`."""
    sizes = [
        data.size(axis) if isinstance(entry, int) and entry == 0 and not allowzero else entry
        for axis, entry in enumerate(entries(shape))
    ]
    return data.reshape(_with_leftover(sizes))


def _with_leftover(sizes: list[Size]) -> list[Size]:
    """Write -1 for a size that is computed, if it is the only one: no shape arithmetic is needed for it then."""
    known = [size for size in sizes if isinstance(size, int)]
    if len(known) == len(sizes) - 1 and all(size > 0 for size in known):
        return [size if isinstance(size, int) else -1 for size in sizes]
    return sizes


@lower("Flatten")
def flatten(input: torch.Tensor, *, axis: int = 1) -> torch.Tensor:
    """Flatten to a matrix: the axes before `axis` to the rows, the others to the columns."""
    axis = axis_from_start(axis, input)
    if axis == 1 and input.ndim > 1:
        return torch.flatten(input, 1)
    sizes = input.shape
    return input.reshape(_with_leftover([product(sizes[:axis]), product(sizes[axis:])]))


@lower("Squeeze")
def squeeze(data: torch.Tensor, axes: np.ndarray | None = None) -> torch.Tensor:
    """Remove `axes` of size 1, or all of them."""
    if axes is None:
        return data.squeeze()
    for axis in sorted((axis_from_start(int(axis), data) for axis in axes.flat), reverse=True):
        data = data.squeeze(axis)
    return data


@lower("Unsqueeze")
def unsqueeze(data: torch.Tensor, axes: np.ndarray) -> torch.Tensor:
    """Insert axes of size 1, so that they are `axes` of the result."""
    rank = data.ndim + axes.size
    for axis in sorted(int(axis) % rank for axis in axes.flat):
        data = data.unsqueeze(axis)
    return data


@lower("Expand")
def expand(input: torch.Tensor, shape: torch.Tensor | np.ndarray) -> torch.Tensor:
    """Broadcast `input` and a tensor of the sizes in `shape` against each other."""
    sizes = entries(shape)
    sizes = [1] * (input.ndim - len(sizes)) + sizes
    own = [1] * (len(sizes) - input.ndim) + list(input.shape)
    wanted = [_broadcast(one, other) for one, other in zip(own, sizes, strict=True)]
    if all(_same(one, other) for one, other in zip(own, wanted, strict=True)):
        return input if len(own) == input.ndim else input.reshape(wanted)
    return input.expand(wanted)


def _same(one: Size, other: Size) -> bool:
    return one is other or (isinstance(one, int) and is_number(other, one))


def _broadcast(own: Size, other: Size) -> Size:
    """Return the size that `expand` needs."""
    if isinstance(other, int):
        # -1 keeps the size of an axis that is there.
        return own if other == 1 else other
    if isinstance(own, int):
        return other if own == 1 else own
    # Two computed sizes: the own one stays, or is 1.
    return other


@lower("ConstantOfShape")
def constant_of_shape(input: torch.Tensor | np.ndarray, *, value: np.ndarray | None = None) -> torch.Tensor:
    """Return a tensor with the sizes in `input`, filled with `value` (one element; float32 zero if absent)."""
    element = np.zeros([], np.float32) if value is None else value.reshape([])
    return record(torch.full, entries(input), element.item(), dtype=to_torch(element).dtype)


lower("Constant")(constant)


@lower("Range")
def range_(start: Either, limit: Either, delta: Either, *, stash_type: Literal[1] = 1) -> torch.Tensor:
    """Return the numbers from `start` by steps of `delta` up to `limit` (exclusive), as a vector."""
    dtype = as_tensor(start).dtype
    numbers = [entries(x)[0] for x in (start, limit, delta)]
    return record(torch.arange, *numbers, dtype=dtype)


@lower("EyeLike")
def eye_like(input: torch.Tensor, *, dtype: int | None = None, k: int = 0) -> torch.Tensor:
    """Return ones on the diagonal `k` and zeros elsewhere, of the shape of `input` [rows, columns]."""
    rows, columns = input.shape
    diagonal = record(torch.arange, rows).unsqueeze(1) + k == record(torch.arange, columns)
    return diagonal.to(input.dtype if dtype is None else torch_dtype(dtype))


@lower("Identity")
def identity(input: list[Any] | torch.Tensor | np.ndarray) -> Any:
    """Return `input`: a tensor, a sequence or an optional."""
    return input


@lower("Dropout", deterministic=False)
def dropout(
    data: torch.Tensor,
    ratio: torch.Tensor | np.ndarray | None = None,
    training_mode: np.ndarray | None = None,
    *,
    seed: int | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return `data` and a mask of ones; in training, drop elements at random and scale the others to keep the mean.

    Limits: in training, the random numbers are PyTorch's.
    """
    if training_mode is None or not training_mode:
        return data, torch.ones_like(data, dtype=torch.bool)
    probability = 0.5 if ratio is None else entries(ratio)[0]
    kept = torch.rand_like(data) >= probability
    return torch.where(kept, data / (1 - probability), 0.0), kept
