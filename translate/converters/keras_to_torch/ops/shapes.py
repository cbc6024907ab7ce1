"""Operations that move numbers: reshapes, joins, cuts, padding, repetition, and tensors made of nothing but sizes."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F

from translate.converters.keras_to_torch.here import axis_here, here
from translate.converters.keras_to_torch.layout import Flow, any_order, identity
from translate.converters.keras_to_torch.ops.dtypes import alike, axes_of
from translate.converters.keras_to_torch.table import lower
from translate.converters.onnx_to_torch.shapes import product
from translate.converters.onnx_to_torch.values import Value, record, static_size
from translate.errors import UnsupportedError


@lower("Reshape", part="ops")
def reshape(op: Any, x: torch.Tensor) -> torch.Tensor:
    """Reshape.

    Limits: of several sizes that are open, all but one are those of the same axes before.
    """
    sizes = list(op.newshape)
    if sum(size is None or size == -1 for size in sizes) > 1:
        # What Keras's `shape` says of an axis of open size.
        sizes = [
            x.size(axis) if size is None and axis < x.ndim and static_size(x, axis) is None else size
            for axis, size in enumerate(sizes)
        ]
    sizes = [-1 if size is None else size for size in sizes]
    if sum(isinstance(size, int) and size == -1 for size in sizes) > 1:
        raise UnsupportedError("a shape with several open sizes")
    return x.reshape(*sizes)


@lower("Ravel", part="ops")
def ravel(op: Any, x: torch.Tensor) -> torch.Tensor:
    """Make one axis of all."""
    return x.flatten()


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
        return x.squeeze(tuple(axis for axis in range(x.ndim) if static_size(x, axis) == 1))
    return x.squeeze(tuple(op.axis) if isinstance(op.axis, list | tuple) else op.axis)


@lower("Rearrange", part="ops")
def rearrange(op: Any, tensor: torch.Tensor, *, pattern: str, **axes_lengths: int) -> torch.Tensor:
    """Reshape, exchange axes and reshape again, as a pattern of einops says: "b (h p) c -> b h (p c)"."""
    before, after = (_groups(side) for side in pattern.split("->"))
    sizes: dict[str, Any] = dict(axes_lengths)
    for axis, group in enumerate(before):
        unknown = [name for name in group if name not in sizes]
        known = product(sizes[name] for name in group if name in sizes)
        if unknown:
            sizes[unknown[0]] = tensor.size(axis) // known if len(group) > 1 else tensor.size(axis)
    names = [name for group in before for name in group]
    order = [names.index(name) for group in after for name in group]
    x = tensor.reshape([sizes[name] for name in names]) if any(len(group) > 1 for group in before) else tensor
    x = x.permute(order)
    if all(len(group) == 1 for group in after):
        return x
    return x.reshape([product(sizes[name] for name in group) for group in after])


def _groups(side: str) -> list[list[str]]:
    """Return the names of the axes that each axis consists of."""
    return [part.strip("()").split() for part in re.findall(r"\([^)]*\)|\w+", side)]


@lower("Concatenate", part="ops", layout=any_order)
def concatenate(op: Any, xs: Sequence[torch.Tensor]) -> torch.Tensor:
    """Put tensors one after the other along an axis."""
    return torch.cat(list(xs), axis_here(op.axis, xs[0].ndim))


@lower("Append", part="ops")
def append(op: Any, x1: torch.Tensor, *, x2: torch.Tensor) -> torch.Tensor:
    """Put one tensor after another along an axis, or all numbers after all others."""
    return torch.cat([x1.flatten(), x2.flatten()]) if op.axis is None else torch.cat([x1, x2], op.axis)


@lower("Stack", part="ops")
def stack(op: Any, xs: Sequence[torch.Tensor]) -> torch.Tensor:
    """Put tensors one after the other along a new axis."""
    return torch.stack(alike(*xs), op.axis)


def _register_join(name: str, function: Callable[..., Any]) -> None:
    @lower(name, part="ops")
    def row(op: Any, xs: Sequence[torch.Tensor]) -> Any:
        return function(list(xs))


_register_join("Dstack", torch.dstack)
_register_join("Hstack", torch.hstack)
_register_join("Vstack", torch.vstack)


# The axis that is cut, of a tensor of a number of axes.
_CUT_AXES: dict[str, Callable[[int], int]] = {
    "Dsplit": lambda rank: 2,
    "Hsplit": lambda rank: 0 if rank == 1 else 1,
    "Vsplit": lambda rank: 0,
}


@lower("ArraySplit", "Dsplit", "Hsplit", "Split", "Vsplit", part="ops")
def split(op: Any, x: torch.Tensor) -> list[torch.Tensor]:
    """Cut into equal parts, or at indices."""
    name = type(op).__name__
    axis = _CUT_AXES[name](x.ndim) if name in _CUT_AXES else op.axis
    cuts = op.indices_or_sections
    cuts = cuts if isinstance(cuts, int) else [int(cut) for cut in cuts]
    return list(torch.tensor_split(x, cuts, axis))


@lower("Unstack", part="ops")
def unstack(op: Any, x: torch.Tensor) -> list[torch.Tensor]:
    """Take the slices along an axis.

    Limits: an axis whose size is known.
    """
    if static_size(x, op.axis) is None:
        raise UnsupportedError("an axis whose size is open")
    return list(torch.unbind(x, op.axis))


@lower("Pad", part="ops")
def pad(op: Any, x: torch.Tensor, *, constant_values: Any = None) -> torch.Tensor:
    """Put a constant around, or what is inside turned round."""
    pairs = list(op.pad_width) if len(op.pad_width) == x.ndim else list(op.pad_width) * x.ndim
    if op.mode == "constant":
        amounts = [int(amount) for pair in reversed(pairs) for amount in pair]
        return F.pad(x, amounts, value=0 if constant_values is None else constant_values)
    if op.mode not in ("reflect", "symmetric"):
        raise UnsupportedError(f"padding in the mode {op.mode}")
    # Reflection leaves the first and last number out.
    out = int(op.mode == "reflect")
    for axis, (before, after) in enumerate(pairs):
        parts = [x]
        if before:
            parts.insert(0, torch.flip(_sliced(x, axis, slice(out, before + out)), [axis]))
        if after:
            parts.append(torch.flip(_sliced(x, axis, slice(-after - out, -out if out else None)), [axis]))
        x = torch.cat(parts, axis) if len(parts) > 1 else x
    return x


def _sliced(x: torch.Tensor, axis: int, part: slice) -> torch.Tensor:
    return x[(*[slice(None)] * axis, part)]


@lower("Flip", part="ops")
def flip(op: Any, x: torch.Tensor) -> torch.Tensor:
    """Turn the order of elements along axes round."""
    return torch.flip(x, axes_of(op.axis, x.ndim))


@lower("Fliplr", part="ops")
def fliplr(op: Any, x: torch.Tensor) -> torch.Tensor:
    """Turn the order of the columns round."""
    return torch.fliplr(x)


@lower("Flipud", part="ops")
def flipud(op: Any, x: torch.Tensor) -> torch.Tensor:
    """Turn the order of the rows round."""
    return torch.flipud(x)


@lower("Rot90", part="ops")
def rot90(op: Any, array: torch.Tensor) -> torch.Tensor:
    """Turn by right angles."""
    return torch.rot90(array, op.k, tuple(op.axes))


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


@lower("BroadcastTo", part="ops")
def broadcast_to(op: Any, x: torch.Tensor) -> torch.Tensor:
    """Repeat along axes of size one; of a first axis whose size is open, once for each sample.

    Limits: other axes of known sizes, or of that which they have.
    """
    lacking = len(op.shape) - x.ndim
    sizes = []
    for axis, size in enumerate(op.shape):
        own = x.size(axis - lacking) if axis >= lacking else 1
        if size is None:
            size = own if isinstance(own, Value) else _batch() if axis == 0 else None
        if size is None:
            raise UnsupportedError("a shape that is open")
        sizes.append(size)
    return torch.broadcast_to(x, sizes)


def _batch() -> Any:
    """Return the number of samples in what the layer, or the model, is called with."""
    for flow in here().walk.known[-1].values():
        value = flow.ordered(identity(flow.rank)) if isinstance(flow, Flow) else None
        if value is not None and value.ndim and static_size(value, 0) is None:
            return value.size(0)
    raise UnsupportedError("a size that is open")


@lower("Ndim", part="ops", own_dtype=True)
def ndim(op: Any, x: torch.Tensor) -> Any:
    """Return the number of axes."""
    return record(torch.tensor, x.ndim)


@lower("Size", part="ops")
def size(op: Any, x: torch.Tensor) -> Any:
    """Return the number of elements."""
    return record(torch.tensor, product(x.shape), dtype=torch.int32)


@lower("GetItem", part="ops")
def get_item(op: Any, x: torch.Tensor, *, key: Any) -> torch.Tensor:
    """Index as numpy does.

    Limits: numbers, slices, `None` and `...`.
    """
    keys = list(key) if isinstance(key, tuple | list) else [key]
    if not all(one is None or one is Ellipsis or isinstance(one, int | slice) for one in keys):
        raise UnsupportedError("an index that is a tensor")
    skipped = x.ndim - sum(one is not None and one is not Ellipsis for one in keys)
    axis = 0
    for number, one in enumerate(keys):
        if isinstance(one, slice) and one.step is not None and one.step < 0:
            # PyTorch's slices go forward only.
            x = torch.flip(x, [axis])
            keys[number] = _turned(one, static_size(x, axis))
        axis += skipped if one is Ellipsis else int(one is not None)
    return x[tuple(keys) if len(keys) > 1 else keys[0]]


def _turned(part: slice, size: int | None) -> slice:
    """Return a slice that goes backwards as one of what is turned round."""
    if part.start is None and part.stop is None:
        return slice(None, None, None if part.step == -1 else -part.step)
    if size is None:
        raise UnsupportedError("a slice that goes backwards in a part of an axis whose size is open")
    places = range(*part.indices(size))
    return slice(size - 1 - places.start, size - 1 - places.stop, -part.step)
