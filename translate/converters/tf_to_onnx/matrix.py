"""Diagonals, determinants and inverses. Matrices are in the last two axes."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import onnx_ir as ir

from translate.converters.tf_to_onnx.build import Host, cast, dims, like, op, rank
from translate.converters.tf_to_onnx.functions import call, product_shape
from translate.converters.tf_to_onnx.table import lower, one_to_one
from translate.errors import UnsupportedError

Align = Literal["LEFT_RIGHT", "RIGHT_LEFT", "LEFT_LEFT", "RIGHT_RIGHT"]

one_to_one({"MatrixDeterminant": "Det"})


def _count_to(size: ir.Value) -> ir.Value:
    """Return the numbers from 0 up to before `size` [1]."""
    return op.Range(np.int64(0), op.Squeeze(size, [0]), np.int64(1))


def _on_diagonal(rows: ir.Value, columns: ir.Value, k: int) -> ir.Value:
    """Return which elements of a matrix are on its diagonal `k`; its sizes are int64 [1]."""
    numbers = op.Unsqueeze(_count_to(columns), [0]), op.Unsqueeze(_count_to(rows), [1])
    return op.Equal(op.Sub(*numbers), np.int64(k))


def _spread(diagonal: ir.Value, rows: ir.Value, k: int) -> ir.Value:
    """Return a diagonal as `[..., rows, 1]`, each element in its row."""
    last = op.Sub(op.Shape(diagonal, start=-1), [1])
    number = op.Max(op.Sub(_count_to(rows), np.int64(max(-k, 0))), np.int64(0))
    return op.Unsqueeze(op.Gather(diagonal, op.Min(number, last), axis=-1), [-1])


def _single(k: Host) -> int:
    if k.size != 1:
        raise UnsupportedError(f"several diagonals at once, {k.tolist()}")
    return int(k.reshape(-1)[0])


@lower("MatrixDiag")
def matrix_diag(diagonal: ir.Value) -> ir.Value:
    """Square matrices with the given diagonals."""
    size = op.Shape(diagonal, start=-1)
    return op.Where(_on_diagonal(size, size, 0), op.Unsqueeze(diagonal, [-1]), like(diagonal, 0))


@lower("MatrixDiagV2", "MatrixDiagV3")
def matrix_diag_v3(
    diagonal: ir.Value, k: Host, rows: Host, columns: Host, padding: ir.Value, *, align: Align = "RIGHT_LEFT"
) -> ir.Value:
    """Matrices with the given diagonal `k`, `padding` elsewhere. Limits: one diagonal."""
    number, length = _single(k), op.Shape(diagonal, start=-1)
    square = int(rows) < 0 and int(columns) < 0
    below, above = (abs(number), abs(number)) if square else (max(-number, 0), max(number, 0))
    height = op.value([int(rows)]) if int(rows) >= 0 else op.Add(length, [below])
    width = op.value([int(columns)]) if int(columns) >= 0 else op.Add(length, [above])
    return op.Where(_on_diagonal(height, width, number), _spread(diagonal, height, number), padding)


def _part(x: ir.Value, k: int) -> ir.Value:
    rows, columns = op.Shape(x, start=-2, end=-1), op.Shape(x, start=-1)
    picked = op.ReduceSum(op.Where(_on_diagonal(rows, columns, k), x, like(x, 0)), [-1], keepdims=0)
    first = max(-k, 0)
    length = op.Min(op.Sub(rows, [first]), op.Sub(columns, [max(k, 0)]))
    return op.Slice(picked, [first], op.Add(length, [first]), [-1])


@lower("MatrixDiagPart")
def matrix_diag_part(x: ir.Value) -> ir.Value:
    """The main diagonals."""
    return _part(x, 0)


@lower("MatrixDiagPartV2", "MatrixDiagPartV3")
def matrix_diag_part_v3(x: ir.Value, k: Host, padding: ir.Value, *, align: Align = "RIGHT_LEFT") -> ir.Value:
    """The diagonals `k`. Limits: one diagonal of each matrix."""
    return _part(x, _single(k))


def _set(x: ir.Value, diagonal: ir.Value, k: int) -> ir.Value:
    rows, columns = op.Shape(x, start=-2, end=-1), op.Shape(x, start=-1)
    return op.Where(_on_diagonal(rows, columns, k), _spread(diagonal, rows, k), x)


@lower("MatrixSetDiag")
def matrix_set_diag(x: ir.Value, diagonal: ir.Value) -> ir.Value:
    """Replace the main diagonals."""
    return _set(x, diagonal, 0)


@lower("MatrixSetDiagV2", "MatrixSetDiagV3")
def matrix_set_diag_v3(x: ir.Value, diagonal: ir.Value, k: Host, *, align: Align = "RIGHT_LEFT") -> ir.Value:
    """Replace the diagonals `k`. Limits: one diagonal of each matrix."""
    return _set(x, diagonal, _single(k))


@lower("Diag")
def diag(x: ir.Value) -> ir.Value:
    """A square matrix with the given diagonal. Limits: of a vector."""
    if rank(x) != 1:
        raise UnsupportedError("a diagonal with more than one axis")
    y: ir.Value = matrix_diag(x)
    return y


@lower("DiagPart")
def diag_part(x: ir.Value) -> ir.Value:
    """The diagonal of a square matrix. Limits: of two axes."""
    if rank(x) != 2:
        raise UnsupportedError("more than two axes")
    return _part(x, 0)


@lower("Cross")
def cross(a: ir.Value, b: ir.Value) -> ir.Value:
    """The vector product along the last axis, of size 3."""

    def turned(x: ir.Value, by: int) -> ir.Value:
        return op.Gather(x, [by % 3, (by + 1) % 3, (by + 2) % 3], axis=-1)

    return op.Sub(op.Mul(turned(a, 1), turned(b, 2)), op.Mul(turned(a, 2), turned(b, 1)))


@lower("LowerBound")
def lower_bound(rising: ir.Value, values: ir.Value, *, out_type: int = int(ir.DataType.INT32)) -> ir.Value:
    """How many of `rising` [B, N] are less than each of `values` [B, M]."""
    return _count(op.Less(op.Unsqueeze(rising, [1]), op.Unsqueeze(values, [2])), out_type)


@lower("UpperBound")
def upper_bound(rising: ir.Value, values: ir.Value, *, out_type: int = int(ir.DataType.INT32)) -> ir.Value:
    """How many of `rising` [B, N] are not greater than each of `values` [B, M]."""
    return _count(op.LessOrEqual(op.Unsqueeze(rising, [1]), op.Unsqueeze(values, [2])), out_type)


@lower("Bucketize")
def bucketize(x: ir.Value, *, boundaries: Any) -> ir.Value:
    """How many of `boundaries` are not greater than each number."""
    # TensorFlow compares as float32.
    wide = cast(op.Unsqueeze(x, [-1]), ir.DataType.FLOAT)
    return _count(op.GreaterOrEqual(wide, np.asarray(boundaries, np.float32)), int(ir.DataType.INT32))


def _count(truth: ir.Value, dtype: int) -> ir.Value:
    return op.ReduceSum(cast(truth, dtype), [-1], keepdims=0)


@lower("MatrixInverse", deterministic=False)
def matrix_inverse(x: ir.Value, *, adjoint: int = 0) -> ir.Value:
    """The inverse `[..., n, n]`; up to n = 4 by the determinants of its minors (Cramer's rule)."""
    inverse = _inverse(x) if _is_small(x) else call("MatrixInverse", x, shape=x.shape)
    return _transposed(inverse) if adjoint else inverse


@lower("MatrixSolve", deterministic=False)
def matrix_solve(x: ir.Value, y: ir.Value, *, adjoint: int = 0) -> ir.Value:
    """The product of the inverse of `x` `[..., n, n]` and `y`."""
    x = _transposed(x) if adjoint else x
    return op.MatMul(_inverse(x), y) if _is_small(x) else call("MatrixSolve", x, y, shape=product_shape(x, y))


def _is_small(x: ir.Value) -> bool:
    """Say whether ONNX, which inverts no matrices, has what the inverse is written with."""
    return dims(x)[-1] in (2, 3, 4)


def _inverse(x: ir.Value) -> ir.Value:
    size = dims(x)[-1]
    assert size is not None
    without = [np.delete(np.arange(size), place) for place in range(size)]
    rows = []
    for column in range(size):
        minors = [op.Gather(op.Gather(x, rest, axis=-2), without[column], axis=-1) for rest in without]
        signed = [op.Mul(op.Det(minor), like(x, (-1) ** (row + column))) for row, minor in enumerate(minors)]
        rows.append(op.Concat(*(op.Unsqueeze(value, [-1]) for value in signed), axis=-1))
    adjugate = op.Concat(*(op.Unsqueeze(row, [-2]) for row in rows), axis=-2)
    return op.Div(adjugate, op.Unsqueeze(op.Det(x), [-2, -1]))


def _transposed(x: ir.Value) -> ir.Value:
    axes = list(range(rank(x)))
    return op.Transpose(x, perm=[*axes[:-2], axes[-1], axes[-2]])
