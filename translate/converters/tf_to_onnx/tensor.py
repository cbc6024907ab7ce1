"""Joins, cuts, borders and orders of axes."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import onnx_ir as ir

from translate.converters.tf_to_onnx.build import Host, cast, dims, like, op, rank
from translate.converters.tf_to_onnx.table import lower
from translate.errors import UnsupportedError

# Beyond every size: the end of a slice that goes to the end.
_LAST = 2**31 - 1


@lower("Cast")
def cast_(x: ir.Value, *, DstT: int, Truncate: int = 0) -> ir.Value:
    """To another dtype."""
    return cast(x, DstT)


@lower("Transpose")
def transpose(x: ir.Value, perm: Host) -> ir.Value:
    """Permute the axes."""
    return op.Transpose(x, perm=[int(axis.item()) for axis in perm])


@lower("ConjugateTranspose")
def conjugate_transpose(x: ir.Value, perm: Host) -> ir.Value:
    """Permute the axes of real numbers."""
    y: ir.Value = transpose(x, perm)
    return y


@lower("ConcatV2")
def concat(*xs: ir.Value | Host) -> ir.Value:
    """Join along an axis, the last input."""
    *parts, axis = xs
    if not isinstance(axis, np.ndarray):
        raise UnsupportedError("the axis must be known when translating")
    values = [op.value(part) for part in parts]
    return op.Concat(*values, axis=int(axis.item())) if len(values) > 1 else op.Identity(values[0])


@lower("Concat")
def concat_v1(axis: Host, *xs: ir.Value) -> ir.Value:
    """Join along `axis`."""
    return op.Concat(*xs, axis=int(axis.item()))


@lower("Pack")
def pack(*xs: ir.Value, axis: int = 0) -> ir.Value:
    """Join tensors of one shape on a new axis."""
    axis = axis % (rank(xs[0]) + 1)
    return op.Concat(*(op.Unsqueeze(x, [axis]) for x in xs), axis=axis)


@lower("Unpack")
def unpack(x: ir.Value, *, num: int, axis: int = 0) -> Any:
    """The parts of an axis, each without it."""
    return tuple(op.Gather(x, np.int64(i), axis=axis) for i in range(num))


@lower("Split")
def split(axis: Host, x: ir.Value, *, num_split: int) -> Any:
    """Cut an axis into equal parts."""
    return op.node("Split", x, outputs=num_split, axis=int(axis.item()), num_outputs=num_split)


@lower("SplitV")
def split_v(x: ir.Value, sizes: ir.Value | Host, axis: Host, *, num_split: int) -> Any:
    """Cut an axis into parts of the given sizes."""
    if isinstance(sizes, np.ndarray) and -1 in sizes:
        length = dims(x)[int(axis.item())]
        if length is None:
            raise UnsupportedError("a part is what is left over of an open size")
        sizes = np.where(sizes == -1, length - (sizes.sum() + 1), sizes)
    wide = cast(op.value(sizes), ir.DataType.INT64)
    return op.node("Split", x, wide, outputs=num_split, axis=int(axis.item()))


@lower("Tile")
def tile(x: ir.Value, multiples: ir.Value) -> ir.Value:
    """Repeat along each axis."""
    return op.Tile(x, cast(multiples, ir.DataType.INT64))


@lower("Pad")
def pad(x: ir.Value, paddings: ir.Value) -> ir.Value:
    """Zeros around; `paddings` [rank, 2]."""
    return op.Pad(x, _pads(paddings), like(x, 0))


@lower("PadV2")
def pad_v2(x: ir.Value, paddings: ir.Value, value: ir.Value) -> ir.Value:
    """One value around; `paddings` [rank, 2]."""
    return op.Pad(x, _pads(paddings), value)


@lower("MirrorPad")
def mirror_pad(x: ir.Value, paddings: ir.Value | Host, *, mode: Literal["REFLECT", "SYMMETRIC"]) -> ir.Value:
    """The mirrored inside around, without the border itself or with it; `paddings` [rank, 2].

    Limits: with the border (`SYMMETRIC`), `paddings` must be known.
    """
    if mode == "REFLECT":
        return op.Pad(x, _pads(op.value(paddings)), mode="reflect")
    if not isinstance(paddings, np.ndarray):
        raise UnsupportedError("how much is mirrored must be known when translating")
    for axis, (low, high) in enumerate(paddings.tolist()):
        parts = [x]
        if low:
            # The first `low` elements, backwards.
            parts.insert(0, op.Slice(x, [low - 1], [-_LAST], [axis], [-1]))
        if high:
            parts.append(op.Slice(x, [-1], [-high - 1], [axis], [-1]))
        x = op.Concat(*parts, axis=axis) if len(parts) > 1 else x
    return x


def _pads(paddings: ir.Value) -> ir.Value:
    """Return `[rank, 2]` as ONNX has it: all low ones, then all high ones."""
    return op.Reshape(op.Transpose(cast(paddings, ir.DataType.INT64), perm=[1, 0]), [-1])


@lower("Roll")
def roll(x: ir.Value, shift: Host, axis: Host) -> ir.Value:
    """Move along axes; what falls off one end comes in at the other."""
    for by, along in zip(shift.reshape(-1).tolist(), axis.reshape(-1).tolist(), strict=True):
        along %= rank(x)
        size = dims(x)[along]
        if size is not None:
            start: Any = [(-by) % size] if size else [0]
        else:
            length = op.Shape(x, start=along, end=along + 1)
            start = op.Mod(op.value([-by]), op.Max(length, [1]))
        x = op.Concat(op.Slice(x, start, [_LAST], [along]), op.Slice(x, [0], start, [along]), axis=along)
    return x


@lower("ReverseSequence")
def reverse_sequence(x: ir.Value, lengths: ir.Value, *, seq_dim: int, batch_dim: int = 0) -> ir.Value:
    """The first `lengths` elements of each row backwards, the others as they are."""
    order = [batch_dim, seq_dim, *(axis for axis in range(rank(x)) if axis not in (batch_dim, seq_dim))]
    # No element backwards is one element backwards: runtimes disagree about 0.
    wide = op.Max(cast(lengths, ir.DataType.INT64), np.int64(1))
    y = op.ReverseSequence(op.Transpose(x, perm=order), wide, batch_axis=0, time_axis=1)
    return op.Transpose(y, perm=np.argsort(order).tolist())


@lower("ReverseV2")
def reverse(x: ir.Value, axes: Host) -> ir.Value:
    """Backwards along axes."""
    along = [int(axis.item()) for axis in axes.reshape(-1)]
    if not along:
        return op.Identity(x)
    count = len(along)
    return op.Slice(x, [_LAST] * count, [-_LAST] * count, along, [-1] * count)


@lower("Reverse")
def reverse_v1(x: ir.Value, chosen: Host) -> ir.Value:
    """Turn the order along the axes of which `chosen` says so."""
    result: ir.Value = reverse(x, np.flatnonzero(chosen))
    return result


@lower("Select")
def select_v1(condition: ir.Value, x: ir.Value, y: ir.Value) -> ir.Value:
    """`x` where the condition holds, else `y`; a condition of one axis chooses whole rows."""
    if 0 < rank(condition) < rank(x):
        condition = op.Unsqueeze(condition, list(range(1, rank(x))))
    return op.Where(condition, x, y)


@lower("SelectV2")
def select(condition: ir.Value, x: ir.Value, y: ir.Value) -> ir.Value:
    """`x` where the condition holds, else `y`."""
    return op.Where(condition, x, y)


@lower("MatrixBandPart")
def matrix_band_part(x: ir.Value, low: ir.Value | Host, high: ir.Value | Host) -> ir.Value:
    """Zeros outside `low` diagonals below and `high` above the main one; negative means all."""
    if isinstance(low, ir.Value):
        x = op.Trilu(x, op.Neg(_diagonals(x, low)), upper=1)
    elif int(low) >= 0:
        x = op.Trilu(x, np.int64(-int(low)), upper=1)
    if isinstance(high, ir.Value):
        return op.Trilu(x, _diagonals(x, high), upper=0)
    return op.Trilu(x, np.int64(int(high)), upper=0) if int(high) >= 0 else x


def _diagonals(x: ir.Value, count: ir.Value) -> ir.Value:
    """Return a computed number of diagonals, where negative means all."""
    count = op.Cast(count, to=int(ir.DataType.INT64))
    return op.Where(op.Less(count, np.int64(0)), op.ReduceSum(op.Shape(x), keepdims=0), count)
