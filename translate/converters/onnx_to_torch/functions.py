"""The functions of our own domain that ONNX has not; see `operators/functions.py`."""

from __future__ import annotations

import torch

from translate.converters.onnx_to_torch.dtypes import torch_dtype
from translate.converters.onnx_to_torch.table import TABLE, lower
from translate.converters.operators.functions import FUNCTIONS

TABLE.lower_unary(
    {
        "BesselI0": torch.special.i0,
        "BesselI0e": torch.special.i0e,
        "BesselI1": torch.special.i1,
        "BesselI1e": torch.special.i1e,
        "BesselJ0": torch.special.bessel_j0,
        "BesselJ1": torch.special.bessel_j1,
        "BesselK0": torch.special.modified_bessel_k0,
        "BesselK0e": torch.special.scaled_modified_bessel_k0,
        "BesselK1": torch.special.modified_bessel_k1,
        "BesselK1e": torch.special.scaled_modified_bessel_k1,
        "BesselY0": torch.special.bessel_y0,
        "BesselY1": torch.special.bessel_y1,
        "Cholesky": torch.linalg.cholesky,
        "Digamma": torch.digamma,
        "EigenvaluesOfSymmetric": torch.linalg.eigvalsh,
        "Erfinv": torch.erfinv,
        "Lgamma": torch.lgamma,
        "MatrixInverse": torch.linalg.inv,
        "Ndtri": torch.special.ndtri,
        "SingularValues": torch.linalg.svdvals,
    },
    domain=FUNCTIONS,
)


@lower("Igamma", domain=FUNCTIONS)
def lower_gamma(a: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """Return the regularised lower incomplete gamma function P(a, x)."""
    return torch.special.gammainc(a, x)


@lower("Igammac", domain=FUNCTIONS)
def upper_gamma(a: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """Return the regularised upper incomplete gamma function Q(a, x)."""
    return torch.special.gammaincc(a, x)


@lower("Zeta", domain=FUNCTIONS)
def zeta(x: torch.Tensor, q: torch.Tensor) -> torch.Tensor:
    """Return the sum of (q + k)⁻ˣ over k = 0, 1, ... (Hurwitz)."""
    return torch.special.zeta(x, q)


@lower("NextAfter", domain=FUNCTIONS)
def next_after(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Return the neighbour of `x` in the direction of `y`."""
    return torch.nextafter(x, y)


@lower("MatrixSolve", domain=FUNCTIONS)
def solve(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Return the product [..., n, k] of the inverse of x [..., n, n] and y [..., n, k]."""
    return torch.linalg.solve(x, y)


@lower("MatrixTriangularSolve", domain=FUNCTIONS)
def triangular_solve(x: torch.Tensor, y: torch.Tensor, *, lower: int, adjoint: int) -> torch.Tensor:
    """As MatrixSolve, of the lower or the upper triangle of x, transposed if `adjoint`."""
    if adjoint:
        return torch.linalg.solve_triangular(x.transpose(-2, -1), y, upper=bool(lower))
    return torch.linalg.solve_triangular(x, y, upper=not lower)


@lower("LogMatrixDeterminant", domain=FUNCTIONS)
def log_determinant(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the sign and the logarithm of the size of the determinants [...] of x [..., n, n]."""
    sign, logarithm = torch.linalg.slogdet(x)
    return sign, logarithm


@lower("Bitcast", domain=FUNCTIONS)
def bitcast(x: torch.Tensor, *, to: int) -> torch.Tensor:
    """Return the bits of `x` as another dtype of the same width."""
    return x.view(torch_dtype(to))
