"""Rows of numbers, grids, diagonals and triangles."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from translate.converters.keras_to_torch.ops.dtypes import alike, as_tensors, floating
from translate.converters.keras_to_torch.table import lower
from translate.converters.onnx_to_torch.values import record
from translate.errors import UnsupportedError


@lower("Meshgrid", part="ops")
def meshgrid(op: Any, xs: Sequence[torch.Tensor]) -> list[torch.Tensor]:
    """Return the coordinates of a grid."""
    return list(torch.meshgrid(*(x.flatten() for x in alike(*xs)), indexing=op.indexing))


@lower("Full", part="ops")
def full(op: Any, fill_value: torch.Tensor) -> torch.Tensor:
    """Return a tensor that is one number everywhere."""
    sizes = [op.shape] if isinstance(op.shape, int) else list(op.shape)
    return torch.broadcast_to(fill_value, sizes)


def _steps(op: Any, start: Any, stop: Any) -> tuple[Any, Any]:
    """Return evenly spaced numbers, along a new first axis, and the space between them."""
    begin, end = (floating(x) for x in as_tensors(start, stop))
    count = op.num - 1 if op.endpoint else op.num
    width = (end - begin) / max(count, 1)
    rank = max(begin.ndim, end.ndim)
    places = record(torch.arange, op.num).reshape([op.num] + [1] * rank)
    return begin + places * width, width


@lower("Linspace", part="ops")
def linspace(op: Any, start: Any, *, stop: Any) -> Any:
    """Return evenly spaced numbers.

    Limits: without the space between them.
    """
    if op.retstep:
        raise UnsupportedError("the space between the numbers as a result")
    return torch.movedim(_steps(op, start, stop)[0], 0, op.axis)


@lower("Logspace", part="ops")
def logspace(op: Any, start: Any, *, stop: Any) -> torch.Tensor:
    """Return powers of a base, with evenly spaced exponents."""
    return torch.movedim(float(op.base) ** _steps(op, start, stop)[0], 0, op.axis)


@lower("Geomspace", part="ops")
def geomspace(op: Any, start: Any, *, stop: Any) -> torch.Tensor:
    """Return numbers each of which is the one before it times a factor.

    Limits: positive numbers.
    """
    begin, end = (torch.log(floating(x)) for x in as_tensors(start, stop))
    return torch.movedim(torch.exp(_steps(op, begin, end)[0]), 0, op.axis)


@lower("Diag", part="ops")
def diag(op: Any, x: torch.Tensor) -> torch.Tensor:
    """Make a diagonal matrix of a vector, or return the diagonal of a matrix."""
    return torch.diag(x, op.k)


@lower("Diagflat", part="ops")
def diagflat(op: Any, x: torch.Tensor) -> torch.Tensor:
    """Make a diagonal matrix of all numbers."""
    return torch.diagflat(x, op.k)


@lower("Diagonal", part="ops")
def diagonal(op: Any, x: torch.Tensor) -> torch.Tensor:
    """Return the diagonals of matrices."""
    return torch.diagonal(x, op.offset, op.axis1, op.axis2)


@lower("Trace", part="ops")
def trace(op: Any, x: torch.Tensor) -> torch.Tensor:
    """Add up the diagonals of matrices."""
    return torch.sum(torch.diagonal(x, op.offset, op.axis1, op.axis2), -1)


@lower("Tril", part="ops")
def tril(op: Any, x: torch.Tensor) -> torch.Tensor:
    """Set what is above a diagonal to zero."""
    return torch.tril(x, op.k)


@lower("Triu", part="ops")
def triu(op: Any, x: torch.Tensor) -> torch.Tensor:
    """Set what is below a diagonal to zero."""
    return torch.triu(x, op.k)


@lower("Diff", part="ops")
def diff(op: Any, a: torch.Tensor) -> torch.Tensor:
    """Subtract from each number the one before it."""
    return torch.diff(a, op.n, op.axis)


@lower("Vander", part="ops")
def vander(op: Any, x: torch.Tensor) -> torch.Tensor:
    """Return the powers of each number of a vector."""
    return torch.vander(x, op.N, bool(op.increasing))
