"""Matrix products, as layers where they have weights."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from keras import layers, ops

from translate.converters.onnx_to_keras.build import Origin, Weight, builder
from translate.converters.onnx_to_keras.shape import reshaped
from translate.converters.onnx_to_keras.table import FUSED, LAYERS, Array, Tensor, lower
from translate.converters.onnx_to_keras.worlds import Size, fixed


@lower("MatMul")
def matmul(a: Tensor | Array, b: Tensor | Array) -> Tensor:
    """Multiply matrices, [..., M, K] by [..., K, N], broadcasting the leading axes; 1-D inputs are vectors [K]."""
    return transposed_matmul(a, b)


@lower("MatMul", domain=FUSED)
def transposed_matmul(a: Tensor | Array, b: Tensor | Array, *, transA: int = 0, transB: int = 0) -> Tensor:
    """Multiply matrices as MatMul does, after swapping the last two axes of those that are to be transposed."""
    if not transA and isinstance(b, Weight) and len(b.shape) == 2 and len(_shape(a)) > 1:
        return _dense(builder().tensor(a), b, None, bool(transB))
    a, b = builder().tensor(a), builder().tensor(b)
    a = ops.swapaxes(a, -1, -2) if transA and len(a.shape) > 1 else a
    return ops.matmul(a, ops.swapaxes(b, -1, -2) if transB and len(b.shape) > 1 else b)


def _shape(x: Any) -> Any:
    return x.shape


@lower("Linear", domain=LAYERS)
def linear(x: Tensor, weight: Tensor | Array, bias: Tensor | Array | None = None, *, transB: int = 0) -> Tensor:
    """Multiply x [..., in] by weight [in, out], or [out, in] if `transB`, and add bias [out]."""
    return _dense(x, weight, bias, bool(transB))


@lower("Gemm")
def gemm(
    a: Tensor,
    b: Tensor | Array,
    c: Tensor | Array | None = None,
    *,
    alpha: float = 1.0,
    beta: float = 1.0,
    transA: int = 0,
    transB: int = 0,
) -> Tensor:
    """Return alpha·A·B + beta·C for A [M, K] and B [K, N], transposed first if asked; C broadcasts to [M, N]."""
    plain = alpha == 1.0 and beta == 1.0 and not transA
    if plain and isinstance(b, Weight) and (c is None or len(c.shape) == 1):
        return _dense(a, b, c, bool(transB))
    a, b = ops.transpose(a) if transA else a, builder().tensor(b)
    product = ops.matmul(a, ops.transpose(b) if transB else b)
    product = product if alpha == 1.0 else ops.multiply(product, alpha)
    if c is None or beta == 0:
        return product
    c = builder().tensor(c)
    return ops.add(product, c if beta == 1.0 else ops.multiply(c, beta))


def _dense(x: Tensor, weight: Any, bias: Any, transposed: bool) -> Tensor:
    """Multiply x [..., in] by a weight [in, out], or [out, in] if `transposed`, and add bias [out] if there is one."""
    rows = _unflattened(x)
    if rows is not None:
        # The axes that are flattened to rows stay: Keras could not tell them apart again.
        whole, sizes = rows
        y = _dense(whole, weight, bias, transposed)
        flat = ops.reshape(y, (-1, y.shape[-1]))
        every = [*sizes, (y.shape[-1],) * len(sizes[0])]
        builder().keep_origin(flat, [(None,) * len(sizes[0]), every[-1]], y, every)
        return flat
    if isinstance(weight, Weight) and weight.role == "tied" and transposed:
        product = builder().tied(weight)(x, reverse=True)
        return product if bias is None else ops.add(product, builder().tensor(bias))

    def store(kernel: Array, *rest: Array) -> list[Array]:
        return [kernel.T if transposed else kernel, *rest]

    size = weight.shape[0 if transposed else 1]
    layer = builder().layer(layers.Dense, [weight, bias], store, units=size, use_bias=bias is not None)
    if layer is not None:
        return layer(x)
    kernel = builder().tensor(weight)
    product = ops.matmul(x, ops.transpose(kernel) if transposed else kernel)
    return product if bias is None else ops.add(product, builder().tensor(bias))


def _unflattened(x: Tensor) -> tuple[Tensor, Sequence[Size]] | None:
    """Return what x [rows, size] was before its leading axes were flattened, [*leading, size], and their sizes."""
    origin = builder().origin(x) if len(x.shape) == 2 else None
    if origin is None:
        return None
    sizes, width = origin.sizes, x.shape[-1]
    for axis in range(len(sizes) - 1, 1, -1):
        last = [fixed(size) for size in sizes[axis:]]
        if None not in last and math.prod(size or 0 for size in last) == width:
            return _with_leading(origin, sizes[:axis], width), sizes[:axis]
    # Else the first axis, which Keras keeps as it is, and the rows that are left to each of its elements.
    rest = tuple(_quotient(rows, first) for rows, first in zip(origin.after[0], sizes[0], strict=True))
    if None in rest or set(rest) == {1}:
        return None
    return _with_leading(origin, [sizes[0], rest], width), [sizes[0], rest]


def _quotient(whole: int | None, part: int | None) -> int | None:
    return whole // part if whole and part and whole % part == 0 else None


def _with_leading(origin: Origin, leading: Sequence[Size], width: int) -> Tensor:
    return reshaped(origin.tensor, origin.sizes, [*leading, (width,) * len(leading[0])])


@lower("Einsum")
def einsum(*xs: Tensor, equation: str) -> Tensor:
    """Sum products of elements over the indices that `equation` leaves out on its right."""
    return ops.einsum(equation.replace(" ", ""), *xs)


@lower("Det")
def determinant(x: Tensor) -> Tensor:
    """Return the determinants [...] of square matrices [..., M, M]."""
    return ops.det(x)
