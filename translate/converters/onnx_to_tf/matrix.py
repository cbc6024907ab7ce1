"""Matrix products and determinants."""

from __future__ import annotations

import tensorflow as tf

from translate.converters.onnx_to_tf.shapes import dims, rank
from translate.converters.onnx_to_tf.table import FUSED, lower
from translate.converters.onnx_to_tf.widen import HALVES, SMALL_INTEGERS, widened

# Dtypes that TensorFlow has no matrix product for.
NO_PRODUCT = (*SMALL_INTEGERS, tf.uint32, tf.uint64)


@lower("MatMul")
def matmul(a: tf.Tensor, b: tf.Tensor) -> tf.Tensor:
    """Multiply matrices, [..., M, K] by [..., K, N], broadcasting the leading axes; 1-D inputs are vectors [K]."""
    return transposed_matmul(a, b)


@lower("MatMul", domain=FUSED)
@widened(*NO_PRODUCT)
def transposed_matmul(a: tf.Tensor, b: tf.Tensor, *, transA: int = 0, transB: int = 0) -> tf.Tensor:
    """Multiply matrices as MatMul does, after swapping the last two axes of those that are to be transposed."""
    if rank(a) == 1 or rank(b) == 1:
        product = transposed_matmul(
            a[tf.newaxis, :] if rank(a) == 1 else a,
            b[:, tf.newaxis] if rank(b) == 1 else b,
            transA=transA if rank(a) > 1 else 0,
            transB=transB if rank(b) > 1 else 0,
        )
        return tf.squeeze(product, ([-2] if rank(a) == 1 else []) + ([-1] if rank(b) == 1 else []))
    if rank(a) > 2 and rank(b) == 2 and not transA and a.shape[-1] and b.shape.is_fully_defined():
        # One large product is up to a quarter faster than a batch of small ones.
        rows = tf.matmul(tf.reshape(a, [-1, a.shape[-1]]), b, transpose_b=bool(transB))
        return tf.reshape(rows, [*_leading_dims(a), rows.shape[-1]])
    return tf.matmul(a, b, transpose_a=bool(transA), transpose_b=bool(transB))


def _leading_dims(x: tf.Tensor) -> list[int | tf.Tensor]:
    """Return the sizes of all axes but the last, a single unknown one as -1: nothing need be computed for it then."""
    static = x.shape.as_list()[:-1]
    if static.count(None) == 1 and 0 not in static:
        return [-1 if size is None else size for size in static]
    return dims(x)[:-1]


@lower("Gemm")
@widened(*NO_PRODUCT)
def gemm(
    a: tf.Tensor,
    b: tf.Tensor,
    c: tf.Tensor | None = None,
    *,
    alpha: float = 1.0,
    beta: float = 1.0,
    transA: int = 0,
    transB: int = 0,
) -> tf.Tensor:
    """Return alpha·A·B + beta·C for A [M, K] and B [K, N], transposed first if asked; C broadcasts to [M, N]."""
    product = _scaled(tf.matmul(a, b, transpose_a=bool(transA), transpose_b=bool(transB)), alpha)
    if c is None or beta == 0:
        return product
    c = _scaled(c, beta)
    columns = product.shape[1]
    if columns is not None and c.dtype.is_floating and c.shape.as_list() in ([columns], [1, columns]):
        # What C nearly always is: a bias, which TensorFlow fuses with the product. The reshape is not for nothing: on
        # CPU it also fuses A's transposed product with a C of [1, N], and then refuses that for having two axes.
        return tf.nn.bias_add(product, tf.reshape(c, [columns]))
    return product + c


def _scaled(x: tf.Tensor, factor: float) -> tf.Tensor:
    if factor == 1.0:
        return x
    return x * factor if x.dtype.is_floating else tf.cast(tf.cast(x, tf.float64) * factor, x.dtype)


@lower("Einsum")
@widened(*NO_PRODUCT)
def einsum(*xs: tf.Tensor, equation: str) -> tf.Tensor:
    """Sum products of elements over the indices that `equation` leaves out on its right."""
    return tf.einsum(equation, *xs)


@lower("Det")
@widened(*HALVES)
def determinant(x: tf.Tensor) -> tf.Tensor:
    """Return the determinants [...] of square matrices [..., M, M]."""
    return tf.linalg.det(x)
