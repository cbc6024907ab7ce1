"""Sizes as lowerings need them, and the tensors of ints that are made of them: host values, partly symbolic."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import torch

from translate.converters.onnx_to_torch.dtypes import to_torch
from translate.converters.onnx_to_torch.values import Value, builder, is_recording, record
from translate.errors import UnsupportedError

# A size: an int where it is known, a value of the graph that stands for an int where it is not.
Size: TypeAlias = Any


@dataclass(frozen=True)
class Symbolic:
    """A small tensor whose entries are numbers or `Value`s that stand for one: shape arithmetic, as Python code.

    `entries` is an array of objects in the tensor's shape, `dtype` the element type that ONNX gives it.
    """

    entries: np.ndarray
    dtype: np.dtype[Any]

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return self.entries.ndim

    @property
    def shape(self) -> tuple[int, ...]:
        """The size of each axis."""
        return self.entries.shape


def host(entries: np.ndarray, dtype: Any) -> np.ndarray | Symbolic:
    """Return an array of objects as a host value: a plain array of `dtype` where every entry is known."""
    dtype = np.dtype(dtype)
    if any(isinstance(entry, Value) for entry in entries.flat):
        return Symbolic(entries, dtype)
    return entries.astype(dtype)


def objects(values: Any) -> np.ndarray:
    """Return `values`, a number, `Value`, array, or list of numbers and `Value`s, as an array of objects."""
    if isinstance(values, np.ndarray):
        return values.astype(object)
    if isinstance(values, list | tuple):
        array = np.empty(len(values), object)
        for index, value in enumerate(values):
            array[index] = value
        return array
    scalar = np.empty([], object)
    scalar[()] = values
    return scalar


def vector(sizes: Sequence[Size], dtype: Any = np.int64) -> np.ndarray | Symbolic:
    """Return sizes as a vector: a plain array if all are known."""
    return host(objects(list(sizes)), dtype)


def entries(value: Any) -> list[Size]:
    """Return the numbers of a vector or scalar, in whatever form it is: ints and floats, or `Value`s for computed ones.

    Raises `UnsupportedError` for a computed tensor of unknown length.
    """
    if isinstance(value, np.ndarray):
        return list(value.ravel().tolist())
    if isinstance(value, Symbolic):
        return list(value.entries.flat)
    if not isinstance(value, Value):
        return list(value.reshape(-1).tolist())
    length = math.prod(value.shape)
    if not isinstance(length, int):
        raise UnsupportedError("how many entries a shape has shows only when the model runs")
    return [value[i].item() for i in range(length)] if value.ndim else [value.item()]


def axis_from_start(axis: int, x: Any) -> int:
    """Return `axis` of `x`, which may count from the end, as counted from the start."""
    return axis + x.ndim if axis < 0 else axis


def is_number(size: Any, number: float) -> bool:
    """Say whether a size, or another number that may be computed, is known to be `number`."""
    return not isinstance(size, Value) and bool(size == number)


def product(sizes: Iterable[Size]) -> Size:
    """Return the product of sizes: an int if all are known."""
    result: Size = 1
    for size in sizes:
        result = size if is_number(result, 1) else result if is_number(size, 1) else result * size
    return result


def constant(value: np.ndarray | Symbolic) -> Any:
    """Return a host value as a tensor."""
    if isinstance(value, Symbolic):
        dtype = to_torch(np.empty(0, value.dtype)).dtype
        if builder().parent is None:
            return record(torch.tensor, value.entries.tolist(), dtype=dtype)
        # Within a branch or a loop's body, torch.export takes the sizes in a torch.tensor for constants.
        numbers = [record(torch.full, [], entry, dtype=dtype) for entry in value.entries.flat]
        return numbers[0] if value.ndim == 0 else record(torch.stack, numbers).reshape(value.shape)
    return builder().constant(to_torch(value)) if is_recording() else to_torch(value)


def tensor(value: Any) -> Any:
    """Return a host value, or a value of the graph, as a tensor."""
    return constant(value) if isinstance(value, np.ndarray | Symbolic) else value


def operands(x: Any, y: Any, *, scalars: bool = True) -> tuple[Any, Any]:
    """Return two operands that broadcast; with `scalars`, a host value of one element as a number beside a tensor."""
    if scalars and is_recording():
        if isinstance(x, Value) and x.worlds:
            return x, _number(y, x)
        if isinstance(y, Value):
            return _number(x, y), y
    return tensor(x), tensor(y)


def _number(value: Any, beside: Value) -> Any:
    if isinstance(value, Symbolic | np.ndarray) and math.prod(value.shape) == 1 and value.ndim <= beside.ndim:
        (entry,) = entries(value)
        # torch would round a number that its own dtype cannot hold, and promote a number of another kind.
        if value.dtype.kind == "f" or value.dtype.kind in "iu" or value.dtype.name == "bfloat16":
            return entry
    return tensor(value)
