"""Products of tensors, and linear algebra."""

from __future__ import annotations

import numpy as np
import pytest
from keras import ops

from tests.converters.keras_to_torch.ops.operations import assert_operation, ints, normal, positive_definite

MATRICES = positive_definite(2)


def test_products():
    assert_operation(ops.matmul, normal(2, 3, 4), normal(2, 4, 5))
    assert_operation(ops.matmul, normal(3, 4), ints(4, 5))
    assert_operation(lambda x, y: ops.einsum("abc,acd->abd", x, y), normal(2, 3, 4), normal(2, 4, 5))
    assert_operation(lambda x, y: ops.einsum("bc,cd->bd", x, y), ints(2, 3), normal(3, 4))
    assert_operation(ops.dot, normal(2, 3), normal(3, 4))
    assert_operation(ops.dot, normal(2, 3), normal(5, 3, 4))
    assert_operation(lambda x, y: ops.tensordot(x, y, axes=2), normal(2, 3, 4), normal(3, 4, 5))
    assert_operation(lambda x, y: ops.tensordot(x, y, axes=[[1], [0]]), normal(2, 3, 4), normal(3, 5))
    assert_operation(ops.inner, normal(2, 3), normal(4, 3))
    assert_operation(ops.vdot, normal(2, 3), normal(2, 3, seed=1))
    assert_operation(ops.outer, normal(3), normal(4))
    assert_operation(ops.kron, normal(2, 3), normal(2, 2))


def test_products_of_bytes_do_not_overflow():
    assert_operation(ops.matmul, ints(3, 4, high=100, dtype="int8"), ints(4, 5, high=100, dtype="int8"))


@pytest.mark.parametrize(("first", "second"), [(3, 3), (2, 2), (2, 3)])
def test_cross_products(first, second):
    assert_operation(ops.cross, normal(4, first), normal(4, second, seed=1))


@pytest.mark.parametrize("order", [None, 1, 2, 3, "fro", "nuc", np.inf])
def test_norms(order):
    axis = (1, 2) if order in ("fro", "nuc") else 1
    assert_operation(lambda x: ops.norm(x, ord=order, axis=axis), normal(2, 3, 4))


def test_distances_and_directions():
    assert_operation(ops.cdist, normal(2, 4, 3), normal(2, 5, 3))
    assert_operation(lambda x: ops.normalize(x, axis=1, order=3), normal(2, 3, 4))


@pytest.mark.parametrize(
    "call",
    [
        ops.cholesky,
        lambda x: ops.cholesky(x, upper=True),
        ops.det,
        ops.inv,
        ops.logdet,
        ops.slogdet,
        ops.linalg.pinv,
        ops.linalg.matrix_rank,
        lambda x: ops.eigh(x)[0],
        # Vectors are defined up to their sign.
        lambda x: ops.abs(ops.eigh(x)[1]),
        lambda x: ops.svd(x, compute_uv=False),
        lambda x: [ops.abs(y) for y in ops.svd(x, full_matrices=False)],
        lambda x: [ops.abs(y) for y in ops.qr(x)],
    ],
)
def test_decompositions(call):
    assert_operation(call, MATRICES, rtol=1e-4, atol=1e-5)


def test_equations():
    assert_operation(ops.solve, MATRICES, normal(2, 3, 4))
    assert_operation(ops.solve, MATRICES, normal(2, 3))
    assert_operation(lambda a, b: ops.solve_triangular(a, b, lower=True), np.tril(MATRICES), normal(2, 3, 4))
    assert_operation(ops.lstsq, normal(4, 3), normal(4, 2), rtol=1e-4, atol=1e-5)
    lower = np.linalg.cholesky(positive_definite()).astype("float32")
    assert_operation(ops.linalg.cholesky_inverse, lower)


@pytest.mark.parametrize("mode", ["valid", "same", "full"])
def test_correlation(mode):
    assert_operation(lambda x, y: ops.correlate(x, y, mode=mode), normal(7), normal(4, seed=1))
    assert_operation(lambda x, y: ops.correlate(x, y, mode=mode), normal(7), normal(3, seed=1))
