"""Products of tensors, and linear algebra."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from translate.converters.keras_to_torch.ops.dtypes import alike, floating
from translate.converters.keras_to_torch.table import lower
from translate.errors import UnsupportedError

_UNARY: dict[str, Callable[..., Any]] = {
    "Det": torch.linalg.det,
    "Eigh": lambda x: tuple(torch.linalg.eigh(x)),
    "Inv": torch.linalg.inv,
    "Logdet": torch.logdet,
    "Slogdet": lambda x: tuple(torch.linalg.slogdet(x)),
}


def _register_unary(name: str, function: Callable[..., Any]) -> None:
    @lower(name, part="ops")
    def row(op: Any, x: torch.Tensor) -> Any:
        return function(floating(x))


for _name, _function in _UNARY.items():
    _register_unary(_name, _function)


def _factors(x: torch.Tensor, y: torch.Tensor) -> list[torch.Tensor]:
    """Return two tensors in one dtype in which their products add up without overflow."""
    x, y = alike(x, y)
    return [x.to(torch.int32), y.to(torch.int32)] if x.dtype in (torch.int8, torch.bool) else [x, y]


@lower("Matmul", part="ops")
def matmul(op: Any, x1: torch.Tensor, *, x2: torch.Tensor) -> torch.Tensor:
    """Multiply matrices, as numpy does."""
    return torch.matmul(*_factors(x1, x2))


@lower("Einsum", part="ops")
def einsum(op: Any, first: Any, **others: Any) -> torch.Tensor:
    """Multiply and add up as the subscripts say."""
    operands = first if isinstance(first, tuple | list) else (first,)
    return torch.einsum(op.subscripts, *alike(*operands))


@lower("Dot", part="ops")
def dot(op: Any, x1: torch.Tensor, *, x2: torch.Tensor) -> torch.Tensor:
    """Multiply as numpy's dot does: the last axis of one and the last but one of the other are summed over."""
    x, y = _factors(x1, x2)
    if x.ndim == 0 or y.ndim == 0:
        return x * y
    return torch.matmul(x, y) if y.ndim <= 2 else torch.tensordot(x, y, ([x.ndim - 1], [y.ndim - 2]))


@lower("Tensordot", part="ops")
def tensordot(op: Any, x1: torch.Tensor, *, x2: torch.Tensor) -> Any:
    """Multiply, and add up along axes of both."""
    x, y = _factors(x1, x2)
    if isinstance(op.axes, int):
        return torch.tensordot(x, y, op.axes)
    mine, other = ([one] if isinstance(one, int) else list(one) for one in op.axes)
    return torch.tensordot(x, y, (mine, other))


@lower("Inner", part="ops")
def inner(op: Any, x1: torch.Tensor, *, x2: torch.Tensor) -> torch.Tensor:
    """Multiply, and add up along the last axes."""
    x, y = _factors(x1, x2)
    return x * y if x.ndim == 0 or y.ndim == 0 else torch.tensordot(x, y, ([x.ndim - 1], [y.ndim - 1]))


@lower("Vdot", part="ops")
def vdot(op: Any, x1: torch.Tensor, *, x2: torch.Tensor) -> torch.Tensor:
    """Multiply number by number and add all up."""
    x, y = _factors(x1, x2)
    return torch.sum(x.flatten() * y.flatten())


@lower("Outer", part="ops")
def outer(op: Any, x1: torch.Tensor, *, x2: torch.Tensor) -> torch.Tensor:
    """Multiply each number of one with each of the other."""
    return x1.reshape(-1, 1) * x2.reshape(1, -1)


@lower("Kron", part="ops")
def kron(op: Any, x1: torch.Tensor, *, x2: torch.Tensor) -> torch.Tensor:
    """Put a multiple of one tensor in the place of each number of the other."""
    return torch.kron(x1, x2)


@lower("Cross", part="ops")
def cross(op: Any, x1: torch.Tensor, *, x2: torch.Tensor) -> torch.Tensor:
    """Return what is perpendicular to two vectors; of two vectors in a plane, its only component."""
    x, y = alike(x1, x2)
    x, y = torch.movedim(x, op.axisa, -1), torch.movedim(y, op.axisb, -1)
    flat = x.shape[-1] == 2 and y.shape[-1] == 2
    x, y = (torch.nn.functional.pad(one, [0, 1]) if one.shape[-1] == 2 else one for one in (x, y))
    z: Any = torch.linalg.cross(x, y)
    return z[..., 2] if flat else torch.movedim(z, -1, op.axisc)


@lower("CDist", part="ops")
def cdist(op: Any, x: torch.Tensor, *, y: torch.Tensor) -> Any:
    """Return the distances of points [..., N, C] to others [..., M, C]."""
    return torch.linalg.vector_norm(x.unsqueeze(-2) - y.unsqueeze(-3), dim=-1)


@lower("Norm", part="ops")
def norm(op: Any, x: torch.Tensor) -> Any:
    """Return the norm of vectors or matrices."""
    axis = tuple(op.axis) if isinstance(op.axis, list | tuple) else op.axis
    if axis is None and op.ord is None:
        axis = tuple(range(x.ndim))
        return torch.linalg.vector_norm(floating(x), 2, axis, bool(op.keepdims))
    return torch.linalg.norm(floating(x), op.ord, axis, bool(op.keepdims))


@lower("Cholesky", part="ops")
def cholesky(op: Any, x: torch.Tensor) -> Any:
    """Take a matrix apart into a triangular one and its transpose."""
    return torch.linalg.cholesky(floating(x), upper=bool(op.upper))


@lower("CholeskyInverse", part="ops")
def cholesky_inverse(op: Any, x: torch.Tensor) -> torch.Tensor:
    """Return the inverse of the matrix that has this Cholesky factor."""
    return torch.cholesky_inverse(floating(x), upper=bool(op.upper))


@lower("Qr", part="ops")
def qr(op: Any, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Take a matrix apart into an orthogonal one and a triangular one."""
    q, r = torch.linalg.qr(floating(x), op.mode)
    return q, r


@lower("SVD", part="ops")
def svd(op: Any, x: torch.Tensor) -> Any:
    """Return the singular values of a matrix, in descending order, with the vectors if they are wanted."""
    if not op.compute_uv:
        return torch.linalg.svdvals(floating(x))
    u, s, v = torch.linalg.svd(floating(x), bool(op.full_matrices))
    return u, s, v


@lower("Solve", part="ops")
def solve(op: Any, a: torch.Tensor, *, b: torch.Tensor) -> Any:
    """Solve linear equations; a vector b [..., N] has one axis less than a [..., N, N]."""
    a, b = alike(floating(a), floating(b))
    return torch.linalg.solve(a, b) if b.ndim == a.ndim else torch.linalg.solve(a, b.unsqueeze(-1)).squeeze(-1)


@lower("SolveTriangular", part="ops")
def solve_triangular(op: Any, a: torch.Tensor, *, b: torch.Tensor) -> torch.Tensor:
    """Solve linear equations with a triangular matrix."""
    a, b = alike(floating(a), floating(b))
    columns = b if b.ndim == a.ndim else b.unsqueeze(-1)
    x: torch.Tensor = torch.linalg.solve_triangular(a, columns, upper=not op.lower)
    return x if b.ndim == a.ndim else x.squeeze(-1)


@lower("Lstsq", part="ops")
def lstsq(op: Any, a: torch.Tensor, *, b: torch.Tensor) -> torch.Tensor:
    """Solve linear equations by least squares, with the shortest of the solutions."""
    a, b = alike(floating(a), floating(b))
    columns = b if b.ndim == a.ndim else b.unsqueeze(-1)
    x = torch.matmul(torch.linalg.pinv(a, rtol=op.rcond), columns)
    return x if b.ndim == a.ndim else x.squeeze(-1)


@lower("Pinv", part="ops")
def pinv(op: Any, x: torch.Tensor) -> Any:
    """Return the pseudo-inverse of a matrix."""
    return torch.linalg.pinv(floating(x), rtol=op.rcond)


@lower("MatrixRank", part="ops")
def matrix_rank(op: Any, x: torch.Tensor) -> Any:
    """Return how many singular values of a matrix are larger than a tolerance."""
    return torch.linalg.matrix_rank(floating(x), **({} if op.tol is None else {"atol": op.tol, "rtol": 0.0}))


@lower("Normalize", part="ops")
def normalize(op: Any, x: torch.Tensor) -> torch.Tensor:
    """Divide by the norm along an axis."""
    axis = op.axis if isinstance(op.axis, int) else tuple(op.axis)
    epsilon = 1e-7 if op.epsilon is None else op.epsilon
    return x / torch.clamp(torch.linalg.vector_norm(x, op.order, axis, True), min=epsilon)


@lower("Correlate", part="ops")
def correlate(op: Any, x1: torch.Tensor, *, x2: torch.Tensor) -> torch.Tensor:
    """Add the products of a sequence [N] with another [M] up, at each place of it.

    Limits: the mode "same" with a second sequence of known size that is not longer than the first.
    """
    x, y = alike(floating(x1), floating(x2))
    size = y.size(0)
    if not isinstance(size, int):
        raise UnsupportedError("a second sequence whose size is open")
    if op.mode == "same" and isinstance(x.size(0), int) and x.size(0) < size:
        raise UnsupportedError("a second sequence that is longer than the first")
    pads = {"valid": (0, 0), "full": (size - 1, size - 1), "same": (size - 1 - (size - 1) // 2, (size - 1) // 2)}
    padded = torch.nn.functional.pad(x, list(pads[op.mode]))
    return torch.nn.functional.conv1d(padded.reshape(1, 1, -1), y.reshape(1, 1, -1)).flatten()
