"""Operations of `keras.ops` that functional models record."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F

from translate.converters.keras_to_torch.here import axis_here
from translate.converters.keras_to_torch.layout import Flow, any_order
from translate.converters.keras_to_torch.table import lower
from translate.converters.onnx_to_torch.builder import Value, record
from translate.errors import UnsupportedError

# Of one tensor, each number for itself.
_UNARY: dict[str, Callable[..., Any]] = {
    "Abs": torch.abs,
    "Absolute": torch.abs,
    "Arccos": torch.acos,
    "Arccosh": torch.acosh,
    "Arcsin": torch.asin,
    "Arcsinh": torch.asinh,
    "Arctan": torch.atan,
    "Arctanh": torch.atanh,
    "Ceil": torch.ceil,
    "Cos": torch.cos,
    "Cosh": torch.cosh,
    "Erf": torch.erf,
    "Erfinv": torch.erfinv,
    "Exp": torch.exp,
    "Exp2": torch.exp2,
    "Expm1": torch.expm1,
    "Floor": torch.floor,
    "Isfinite": torch.isfinite,
    "Isinf": torch.isinf,
    "Isnan": torch.isnan,
    "Log": torch.log,
    "Log10": torch.log10,
    "Log1p": torch.log1p,
    "Log2": torch.log2,
    "LogicalNot": torch.logical_not,
    "Negative": torch.neg,
    "Reciprocal": torch.reciprocal,
    "Rsqrt": torch.rsqrt,
    "Sign": torch.sign,
    "Sin": torch.sin,
    "Sinh": torch.sinh,
    "Sqrt": torch.sqrt,
    "Square": torch.square,
    "Tan": torch.tan,
    "Tanh": torch.tanh,
    "Trunc": torch.trunc,
    "Copy": lambda x: x,
    "StopGradient": torch.detach,
    "ZerosLike": torch.zeros_like,
    "OnesLike": torch.ones_like,
}

# Of two tensors or numbers, which are broadcast.
_BINARY: dict[str, Callable[..., Any]] = {
    "Add": lambda x, y: x + y,
    "Subtract": lambda x, y: x - y,
    "Multiply": lambda x, y: x * y,
    "Divide": lambda x, y: x / y,
    "TrueDivide": lambda x, y: x / y,
    "FloorDivide": lambda x, y: x // y,
    "Power": lambda x, y: x**y,
    "Mod": lambda x, y: x % y,
    "Equal": lambda x, y: x == y,
    "NotEqual": lambda x, y: x != y,
    "Greater": lambda x, y: x > y,
    "GreaterEqual": lambda x, y: x >= y,
    "Less": lambda x, y: x < y,
    "LessEqual": lambda x, y: x <= y,
}
_PAIRS: dict[str, Callable[..., Any]] = {
    "Arctan2": torch.atan2,
    "LogicalAnd": torch.logical_and,
    "LogicalOr": torch.logical_or,
    "LogicalXor": torch.logical_xor,
    "Maximum": torch.maximum,
    "Minimum": torch.minimum,
}


def _register_unary(name: str, function: Callable[..., Any]) -> None:
    @lower(name, part="ops", layout=any_order)
    def row(op: Any, x: Any) -> Any:
        return function(x)


def _register_binary(name: str, function: Callable[..., Any]) -> None:
    @lower(name, part="ops", layout=any_order)
    def row(op: Any, x1: Any, *, x2: Any) -> Any:
        return function(x1, x2)


for _name, _function in _UNARY.items():
    _register_unary(_name, _function)
for _name, _function in _BINARY.items():
    _register_binary(_name, _function)
for _name, _function in _PAIRS.items():
    _register_binary(_name, lambda x, y, function=_function: function(*_tensors(x, y)))


def _tensors(x: Any, y: Any) -> tuple[Any, Any]:
    """Make a tensor of the one that is a number, of the other's dtype."""
    if not isinstance(x, Value):
        return torch.full_like(y, x), y
    return x, (y if isinstance(y, Value) else _full_like(x, y))


def _full_like(x: Any, number: float) -> torch.Tensor:
    return torch.full_like(x, number)


def _axes(axis: Any, rank: int) -> list[int]:
    """Return the axes that a reduction is over, all of them for None."""
    if axis is None:
        return list(range(rank))
    return sorted(int(one) % rank for one in (axis if isinstance(axis, list | tuple) else [axis]))


_REDUCTIONS: dict[str, Callable[..., Any]] = {
    "Mean": torch.mean,
    "Sum": torch.sum,
    "Max": torch.amax,
    "Min": torch.amin,
    "Amax": torch.amax,
    "Amin": torch.amin,
    "Logsumexp": torch.logsumexp,
    "Any": lambda x, axes, keepdims: torch.any(x.to(torch.bool), axes, keepdims),
    "All": lambda x, axes, keepdims: torch.all(x.to(torch.bool), axes, keepdims),
    "Var": lambda x, axes, keepdims: torch.var(x, axes, correction=0, keepdim=keepdims),
    "Std": lambda x, axes, keepdims: torch.std(x, axes, correction=0, keepdim=keepdims),
}


def _register_reduction(name: str, function: Callable[..., Any]) -> None:
    @lower(name, part="ops", layout=any_order)
    def row(op: Any, x: torch.Tensor) -> Any:
        axes = _axes(op.axis, x.ndim)
        kept = [axis for axis in range(x.ndim) if axis not in axes]
        if getattr(op, "initial", None) is not None:
            raise UnsupportedError("an initial value")
        y = function(x, [axis_here(axis, x.ndim) for axis in axes], bool(op.keepdims))
        if op.keepdims:
            return y
        # What is left is in the order in which it was.
        places = sorted(kept, key=lambda axis: axis_here(axis, x.ndim))
        return Flow(y, tuple(kept.index(axis) for axis in places))


for _name, _function in _REDUCTIONS.items():
    _register_reduction(_name, _function)


@lower("Argmax", "Argmin", part="ops")
def arg_extreme(op: Any, x: torch.Tensor) -> torch.Tensor:
    """Find the largest or smallest element along an axis."""
    function = torch.argmax if type(op).__name__ == "Argmax" else torch.argmin
    y = function(x, op.axis, bool(op.keepdims)) if op.axis is not None else function(x.flatten(), 0)
    return y.to(torch.int32)


@lower("Cast", part="ops", layout=any_order)
def cast(op: Any, x: torch.Tensor) -> torch.Tensor:
    """Change the dtype."""
    return x.to(_dtype(op.dtype))


def _dtype(name: str) -> torch.dtype:
    dtype = getattr(torch, name, None)
    if not isinstance(dtype, torch.dtype):
        raise UnsupportedError(f"PyTorch has no dtype {name}")
    return dtype


@lower("ConvertToTensor", part="ops", layout=any_order)
def convert_to_tensor(op: Any, x: torch.Tensor) -> torch.Tensor:
    """Change the dtype, where one is given."""
    return x if op.dtype is None else x.to(_dtype(op.dtype))


@lower("Clip", part="ops", layout=any_order)
def clip(op: Any, x: torch.Tensor) -> torch.Tensor:
    """Bound the elements.

    Limits: bounds that are numbers.
    """
    if not all(isinstance(bound, int | float) for bound in (op.x_min, op.x_max)):
        raise UnsupportedError("bounds that are tensors")
    return torch.clamp(x, op.x_min, op.x_max)


@lower("Where", part="ops", layout=any_order)
def where(op: Any, condition: torch.Tensor, *, x1: Any, x2: Any) -> torch.Tensor:
    """Choose element by element."""
    return torch.where(condition.to(torch.bool), x1, x2)


@lower("Matmul", part="ops")
def matmul(op: Any, x1: torch.Tensor, *, x2: torch.Tensor) -> torch.Tensor:
    """Multiply matrices, as numpy does."""
    return torch.matmul(x1, x2)


@lower("Einsum", part="ops")
def einsum(op: Any, first: Any, **others: Any) -> torch.Tensor:
    """Multiply and add up as the subscripts say."""
    operands = first if isinstance(first, tuple | list) else (first,)
    return torch.einsum(op.subscripts, *operands)


@lower("Reshape", part="ops")
def reshape(op: Any, x: torch.Tensor) -> torch.Tensor:
    """Reshape; at most one size may be open."""
    sizes = [-1 if size is None else size for size in op.newshape]
    if sizes.count(-1) > 1:
        raise UnsupportedError("a shape with several open sizes")
    return x.reshape(*sizes)


@lower("Transpose", part="ops")
def transpose(op: Any, x: torch.Tensor) -> torch.Tensor:
    """Exchange axes; turn their order round without `axes`."""
    return x.permute(*(reversed(range(x.ndim)) if op.axes is None else op.axes))


@lower("Swapaxes", part="ops")
def swapaxes(op: Any, x: torch.Tensor) -> torch.Tensor:
    """Exchange two axes."""
    return x.transpose(op.axis1, op.axis2)


@lower("Moveaxis", part="ops")
def moveaxis(op: Any, x: torch.Tensor) -> torch.Tensor:
    """Move axes elsewhere."""
    return torch.movedim(x, op.source, op.destination)


@lower("ExpandDims", part="ops")
def expand_dims(op: Any, x: torch.Tensor) -> torch.Tensor:
    """Insert axes of size one."""
    axes = op.axis if isinstance(op.axis, list | tuple) else [op.axis]
    rank = x.ndim + len(axes)
    for axis in sorted(axis % rank for axis in axes):
        x = x.unsqueeze(axis)
    return x


@lower("Squeeze", part="ops")
def squeeze(op: Any, x: torch.Tensor) -> torch.Tensor:
    """Drop axes of size one."""
    if op.axis is None:
        return x.squeeze(tuple(axis for axis in range(x.ndim) if x.shape[axis] is not None and x.size(axis) == 1))
    return x.squeeze(tuple(op.axis) if isinstance(op.axis, list | tuple) else op.axis)


@lower("Concatenate", part="ops", layout=any_order)
def concatenate(op: Any, xs: Sequence[torch.Tensor]) -> torch.Tensor:
    """Put tensors one after the other along an axis."""
    return torch.cat(list(xs), axis_here(op.axis, xs[0].ndim))


@lower("Stack", part="ops")
def stack(op: Any, xs: Sequence[torch.Tensor]) -> torch.Tensor:
    """Put tensors one after the other along a new axis."""
    return torch.stack(list(xs), op.axis)


@lower("Split", part="ops")
def split(op: Any, x: torch.Tensor) -> list[torch.Tensor]:
    """Cut into equal parts, or at indices.

    Limits: an axis whose size is known.
    """
    size, cuts = x.shape[op.axis], op.indices_or_sections
    if not isinstance(size, int):
        raise UnsupportedError("an axis whose size is open")
    if isinstance(cuts, int):
        sizes = [size // cuts] * cuts
    else:
        edges = [0, *(int(cut) for cut in cuts), size]
        sizes = [end - begin for begin, end in pairwise(edges)]
    return list(torch.split(x, sizes, op.axis))


@lower("GetItem", part="ops")
def get_item(op: Any, x: torch.Tensor, *, key: Any) -> torch.Tensor:
    """Index as numpy does.

    Limits: numbers, slices that go forward, `None` and `...`.
    """
    keys = key if isinstance(key, tuple) else (key,)
    if any(isinstance(one, slice) and one.step is not None and one.step < 0 for one in keys):
        raise UnsupportedError("a slice that goes backwards")
    if not all(one is None or one is Ellipsis or isinstance(one, int | slice) for one in keys):
        raise UnsupportedError("an index that is a tensor")
    return x[keys if len(keys) > 1 else keys[0]]


@lower("Pad", part="ops")
def pad(op: Any, x: torch.Tensor, *, constant_values: Any = None) -> torch.Tensor:
    """Put a constant around.

    Limits: the mode "constant".
    """
    if op.mode != "constant":
        raise UnsupportedError(f"padding in the mode {op.mode}")
    pairs = op.pad_width if len(op.pad_width) == x.ndim else list(op.pad_width) * x.ndim
    amounts = [int(amount) for pair in reversed(pairs) for amount in pair]
    return F.pad(x, amounts, value=0 if constant_values is None else constant_values)


@lower("Flip", part="ops")
def flip(op: Any, x: torch.Tensor) -> torch.Tensor:
    """Turn the order of elements along axes round."""
    return torch.flip(x, _axes(op.axis, x.ndim))


@lower("Roll", part="ops")
def roll(op: Any, x: torch.Tensor) -> torch.Tensor:
    """Move the elements along axes, those that fall out to the other end."""
    return torch.roll(x, op.shift, op.axis)


@lower("Repeat", part="ops")
def repeat(op: Any, x: torch.Tensor) -> torch.Tensor:
    """Repeat each element."""
    if not isinstance(op.repeats, int):
        raise UnsupportedError("another number of repeats for each element")
    return torch.repeat_interleave(x, op.repeats, op.axis)


@lower("Tile", part="ops")
def tile(op: Any, x: torch.Tensor) -> torch.Tensor:
    """Repeat the whole."""
    repeats = [op.repeats] if isinstance(op.repeats, int) else list(op.repeats)
    return torch.tile(x, repeats)


@lower("Take", part="ops")
def take(op: Any, x: torch.Tensor, *, indices: Any) -> torch.Tensor:
    """Take elements along an axis."""
    if isinstance(indices, int):
        return x.select(op.axis, indices) if op.axis is not None else x.flatten()[indices]
    axis = 0 if op.axis is None else op.axis % x.ndim
    x = x.flatten() if op.axis is None else x
    return x[(*[slice(None)] * axis, indices.to(torch.int64))]


@lower("OneHot", part="ops")
def one_hot(op: Any, x: torch.Tensor) -> torch.Tensor:
    """Write a number as a vector that is one at its place; none for what is out of range.

    Limits: the last axis.
    """
    if op.axis not in (-1, x.ndim):
        raise UnsupportedError("an axis that is not the last")
    places = record(torch.arange, op.num_classes)
    hot: torch.Tensor = x.unsqueeze(-1) == places
    return hot.to(_dtype(op.dtype or "float32"))


@lower("Normalize", part="ops")
def normalize(op: Any, x: torch.Tensor) -> torch.Tensor:
    """Divide by the norm along an axis."""
    axis = op.axis if isinstance(op.axis, int) else tuple(op.axis)
    epsilon = 1e-7 if op.epsilon is None else op.epsilon
    return x / torch.clamp(torch.linalg.vector_norm(x, op.order, axis, True), min=epsilon)


@lower("Dot", part="ops")
def dot(op: Any, x1: torch.Tensor, *, x2: torch.Tensor) -> torch.Tensor:
    """Multiply as numpy's dot does.

    Limits: a second tensor of at most two axes.
    """
    if x2.ndim > 2:
        raise UnsupportedError("a second tensor of more than two axes")
    return torch.matmul(x1, x2)


@lower("Cumsum", part="ops")
def cumsum(op: Any, x: torch.Tensor) -> torch.Tensor:
    """Add up along an axis."""
    return torch.cumsum(x.flatten() if op.axis is None else x, 0 if op.axis is None else op.axis)


@lower("BroadcastTo", part="ops")
def broadcast_to(op: Any, x: torch.Tensor) -> torch.Tensor:
    """Repeat along axes of size one."""
    if any(size is None for size in op.shape):
        raise UnsupportedError("a shape that is open")
    return torch.broadcast_to(x, list(op.shape))
