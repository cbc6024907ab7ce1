"""Matrix products and determinants."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from translate.converters.onnx_to_torch.layers import layer
from translate.converters.onnx_to_torch.table import FUSED, LAYERS, lower
from translate.converters.onnx_to_torch.values import Weight
from translate.converters.onnx_to_torch.widen import UNSIGNED, widened


@lower("MatMul")
@widened(*UNSIGNED)
def matmul(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Multiply matrices, [..., M, K] by [..., K, N], broadcasting the leading axes; 1-D inputs are vectors [K]."""
    return torch.matmul(a, b)


@lower("MatMul", domain=FUSED)
@widened(*UNSIGNED)
def transposed_matmul(a: torch.Tensor, b: torch.Tensor, *, transA: int = 0, transB: int = 0) -> torch.Tensor:
    """Multiply matrices as MatMul does, after swapping the last two axes of those that are to be transposed."""
    return torch.matmul(a.transpose(-2, -1) if transA else a, b.transpose(-2, -1) if transB else b)


@lower("Linear", domain=LAYERS)
def linear(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None = None, *, transB: int) -> torch.Tensor:
    """Return x · weight + bias for x [..., in], weight [in, out] ([out, in] with transB), bias [out]: [..., out]."""
    fan_out, fan_in = weight.shape if transB else reversed(weight.shape)
    y = layer(
        lambda: nn.Linear(fan_in, fan_out, bias is not None, dtype=weight.dtype),
        x,
        weight=weight,
        bias=bias,
        stored={} if transB else {"weight": torch.t},
    )
    if y is not None:
        return y
    if transB:
        return F.linear(x, weight, bias)
    y = torch.matmul(x, weight)
    return y if bias is None else y + bias


@lower("Gemm")
@widened(*UNSIGNED)
def gemm(
    a: torch.Tensor,
    b: torch.Tensor,
    c: torch.Tensor | None = None,
    *,
    alpha: float = 1.0,
    beta: float = 1.0,
    transA: int = 0,
    transB: int = 0,
) -> torch.Tensor:
    """Return alpha·A·B + beta·C for A [M, K] and B [K, N], transposed first if asked; C broadcasts to [M, N]."""
    a = a.t() if transA else a
    bias = c is None or (c.ndim == 1 and c.shape[0] == b.shape[0 if transB else 1])
    if alpha == 1.0 and beta == 1.0 and bias and isinstance(b, Weight):
        return linear(a, b, c, transB=transB)
    product = _scaled(torch.matmul(a, b.t() if transB else b), alpha)
    return product if c is None or beta == 0 else product + _scaled(c, beta)


def _scaled(x: torch.Tensor, factor: float) -> torch.Tensor:
    if factor == 1.0:
        return x
    return x * factor if x.dtype.is_floating_point else (x.to(torch.float64) * factor).to(x.dtype)


@lower("Einsum")
@widened(*UNSIGNED)
def einsum(*xs: torch.Tensor, equation: str) -> torch.Tensor:
    """Sum products of elements over the indices that `equation` leaves out on its right."""
    return torch.einsum(equation.replace(" ", ""), *xs)


@lower("Det")
def determinant(x: torch.Tensor) -> torch.Tensor:
    """Return the determinants [...] of square matrices [..., M, M]."""
    return torch.linalg.det(x)
