"""Shape arithmetic: operators on host values that are partly symbolic.

The table `HOST` is asked first where the inputs of a node are all host values and one of them is `Symbolic`. Its rows
take and return arrays of objects, numbers and `Value`s that stand for a number: numpy's own functions on arrays of
objects call the operators of their entries, which are recorded as Python's `+`, `*`, `//`. An operator that has no row
here, or a case that a row declines by returning None, is computed with tensors.
"""

from __future__ import annotations

import functools
import math
import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnx_ir as ir
import torch

from translate.converters.onnx_to_torch.shapes import objects
from translate.converters.onnx_to_torch.table import lower_host
from translate.converters.onnx_to_torch.values import Value, record


def _elementwise(function: Callable[..., Any], *arrays: np.ndarray) -> np.ndarray:
    # A frompyfunc of objects without axes returns the bare object.
    result = np.frompyfunc(function, len(arrays), 1)(*arrays)
    return result if isinstance(result, np.ndarray) else objects(result)


def _lower_unary(functions: dict[str, Callable[..., Any]]) -> None:
    def register(op_type: str, function: Callable[..., Any]) -> None:
        @lower_host(op_type)
        def unary(x: np.ndarray) -> np.ndarray:
            return _elementwise(function, x)

    for op_type, function in functions.items():
        register(op_type, function)


def _lower_variadic(functions: dict[str, Callable[..., Any]]) -> None:
    def register(op_type: str, function: Callable[..., Any]) -> None:
        @lower_host(op_type)
        def variadic(*xs: np.ndarray) -> np.ndarray:
            return functools.reduce(lambda x, y: _elementwise(function, x, y), xs)

    for op_type, function in functions.items():
        register(op_type, function)


def add(x: Any, y: Any) -> Any:
    """Add, leaving out what adds nothing."""
    if _is(x, 0):
        return y
    return x if _is(y, 0) else x + y


def multiply(x: Any, y: Any) -> Any:
    """Multiply, leaving out what changes nothing."""
    if _is(x, 1):
        return y
    return x if _is(y, 1) else x * y


def _is(x: Any, number: int) -> bool:
    return isinstance(x, int | float) and x == number


def divide(x: Any, y: Any) -> Any:
    """Divide; integer quotients are cut toward zero, as those of sizes are when rounded down."""
    if _is(y, 1):
        return x
    if _is_floating(x) or _is_floating(y):
        return x / y
    return x // y


def _is_floating(x: Any) -> bool:
    return isinstance(x.example if isinstance(x, Value) else x, float)


def _largest(x: Any, y: Any) -> Any:
    if equal_sizes(x, y):
        return x
    return record(torch.sym_max, x, y) if isinstance(x, Value) or isinstance(y, Value) else max(x, y)


def _smallest(x: Any, y: Any) -> Any:
    if equal_sizes(x, y):
        return x
    return record(torch.sym_min, x, y) if isinstance(x, Value) or isinstance(y, Value) else min(x, y)


def _rounded(function: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda x: record(torch.sym_float, record(function, x)) if isinstance(x, Value) else float(function(x))


_lower_unary({"Abs": abs, "Ceil": _rounded(math.ceil), "Floor": _rounded(math.floor), "Neg": operator.neg})

_lower_variadic(
    {
        "Add": add,
        "Div": divide,
        "Max": _largest,
        "Min": _smallest,
        "Mul": multiply,
        "Sub": operator.sub,
        "Sum": add,
    }
)


@lower_host("Mod")
def modulo(x: np.ndarray, y: np.ndarray, *, fmod: int = 0) -> np.ndarray | None:
    """Return the remainder, with the sign of `y`."""
    return None if fmod else _elementwise(operator.mod, x, y)


@lower_host("Identity")
def identity(input: np.ndarray) -> np.ndarray:
    """Return `input`."""
    return input


@lower_host("Cast")
def cast(x: np.ndarray, *, to: int, saturate: int = 1, round_mode: str = "up") -> np.ndarray | None:
    """Make ints of floats, or floats of ints."""
    dtype = ir.DataType(to)
    if dtype.is_floating_point():
        return _elementwise(
            lambda entry: record(torch.sym_float, entry) if isinstance(entry, Value) else float(entry), x
        )
    if dtype.is_integer():
        return _elementwise(lambda entry: record(torch.sym_int, entry) if _is_computed_float(entry) else entry, x)
    return None


def _is_computed_float(entry: Any) -> bool:
    return isinstance(entry, Value) and _is_floating(entry)


def equal_sizes(x: Any, y: Any) -> bool | None:
    """Say whether two sizes are equal; None where that shows only when the model runs."""
    if not isinstance(x, Value) and not isinstance(y, Value):
        return bool(x == y)
    if x is y or (isinstance(x, Value) and isinstance(y, Value) and x.node is y.node):
        return True
    computed, other = (x, y) if isinstance(x, Value) else (y, x)
    # A size is never negative.
    if _is_size(computed) and not isinstance(other, Value) and other < 0:
        return False
    return None


def _is_size(value: Value) -> bool:
    return value.node.op == "call_method" and value.node.target == "size"


@lower_host("Equal")
def equal(x: np.ndarray, y: np.ndarray) -> np.ndarray | None:
    """Compare sizes, where it is known how that ends."""
    result = _elementwise(equal_sizes, x, y)
    return None if any(entry is None for entry in result.flat) else result


@lower_host("Where")
def where(condition: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray | None:
    """Choose entries, where the condition is known."""
    if any(isinstance(entry, Value) for entry in condition.flat):
        return None
    return _elementwise(lambda chosen, one, other: one if chosen else other, condition, x, y)


@lower_host("Concat")
def concat(*inputs: np.ndarray, axis: int) -> np.ndarray:
    """Join along `axis`."""
    return np.concatenate(inputs, axis)


@lower_host("Gather")
def gather(data: np.ndarray, indices: np.ndarray, *, axis: int = 0) -> np.ndarray | None:
    """Take slices along `axis`."""
    if any(isinstance(index, Value) for index in indices.flat):
        return None
    return objects_of(np.take(data, indices.astype(np.int64), axis))


def objects_of(result: Any) -> np.ndarray:
    """Return what numpy made of an array of objects as such an array: without axes it is the bare entry."""
    return result if isinstance(result, np.ndarray) else objects(result)


@lower_host("Slice")
def slice_(
    data: np.ndarray,
    starts: np.ndarray,
    ends: np.ndarray,
    axes: np.ndarray | None = None,
    steps: np.ndarray | None = None,
) -> np.ndarray | None:
    """Cut a part out of `axes`."""
    numbers = [starts, ends, *(x for x in (axes, steps) if x is not None)]
    if any(isinstance(entry, Value) for array in numbers for entry in array.flat):
        return None
    index: list[slice] = [slice(None)] * data.ndim
    for position, (start, end) in enumerate(zip(starts, ends, strict=True)):
        axis = position if axes is None else axes[position]
        step = 1 if steps is None else steps[position]
        # Counting down, an end before the first element means that it is taken along.
        last = None if step < 0 and end < -data.shape[axis] else end
        index[axis] = slice(start, last, step)
    return data[tuple(index)]


@lower_host("Squeeze")
def squeeze(data: np.ndarray, axes: np.ndarray | None = None) -> np.ndarray:
    """Remove `axes` of size 1, or all of them."""
    return objects_of(np.squeeze(data, None if axes is None else tuple(int(axis) for axis in axes.flat)))


@lower_host("Unsqueeze")
def unsqueeze(data: np.ndarray, axes: np.ndarray) -> np.ndarray:
    """Insert axes of size 1, so that they are `axes` of the result."""
    return np.expand_dims(data, tuple(int(axis) for axis in axes.flat))


@lower_host("Reshape")
def reshape(data: np.ndarray, shape: np.ndarray, *, allowzero: int = 0) -> np.ndarray | None:
    """Give `data` the sizes in `shape`."""
    if any(isinstance(entry, Value) for entry in shape.flat):
        return None
    sizes = [data.shape[i] if size == 0 and not allowzero else int(size) for i, size in enumerate(shape)]
    return data.reshape(sizes)


@lower_host("Transpose")
def transpose(data: np.ndarray, *, perm: Sequence[int] | None = None) -> np.ndarray:
    """Reorder the axes."""
    return data.transpose(perm)


@lower_host("Expand")
def expand(input: np.ndarray, shape: np.ndarray) -> np.ndarray | None:
    """Broadcast to a known shape."""
    if any(isinstance(entry, Value) for entry in shape.flat):
        return None
    sizes = np.broadcast_shapes(input.shape, tuple(int(size) for size in shape))
    return np.broadcast_to(input, sizes)


@lower_host("Split")
def split(
    input: np.ndarray, split: np.ndarray | None = None, *, axis: int = 0, num_outputs: int | None = None
) -> tuple[np.ndarray, ...] | None:
    """Cut along `axis` into parts of known sizes."""
    if split is None:
        # Parts of one size, the last one less where they do not come out even.
        size = -(-input.shape[axis] // (num_outputs or 1))
        split = objects([size] * ((num_outputs or 1) - 1))
        return tuple(np.split(input, np.cumsum(split.astype(np.int64)), axis))
    if any(isinstance(size, Value) for size in split.flat):
        return None
    return tuple(np.split(input, np.cumsum(split.astype(np.int64))[:-1], axis))


@lower_host("ReduceMax")
def reduce_max(
    data: np.ndarray, axes: np.ndarray | None = None, *, keepdims: int = 1, noop_with_empty_axes: int = 0
) -> np.ndarray | None:
    """The greatest of sizes."""
    return _reduced(_largest, data, axes, keepdims, noop_with_empty_axes)


@lower_host("ReduceMin")
def reduce_min(
    data: np.ndarray, axes: np.ndarray | None = None, *, keepdims: int = 1, noop_with_empty_axes: int = 0
) -> np.ndarray | None:
    """The least of sizes."""
    return _reduced(_smallest, data, axes, keepdims, noop_with_empty_axes)


@lower_host("ReduceProd")
def reduce_prod(
    data: np.ndarray, axes: np.ndarray | None = None, *, keepdims: int = 1, noop_with_empty_axes: int = 0
) -> np.ndarray | None:
    """Multiply sizes."""
    return _reduced(multiply, data, axes, keepdims, noop_with_empty_axes)


@lower_host("ReduceSum")
def reduce_sum(
    data: np.ndarray, axes: np.ndarray | None = None, *, keepdims: int = 1, noop_with_empty_axes: int = 0
) -> np.ndarray | None:
    """Add sizes."""
    return _reduced(add, data, axes, keepdims, noop_with_empty_axes)


def _reduced(
    function: Callable[[Any, Any], Any], data: np.ndarray, axes: np.ndarray | None, keepdims: int, nothing: int
) -> np.ndarray | None:
    """Reduce a vector to one entry; None for what is no vector, or empty, or not to be reduced."""
    if data.ndim != 1 or data.size == 0 or (axes is None and nothing):
        return None
    return objects(functools.reduce(function, data)).reshape([1] * keepdims)
