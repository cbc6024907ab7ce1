"""Diagonals and searches, against TensorFlow."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from tests.converters.tf_to_onnx.cases import check, check_in_torch, floats, refuses


@pytest.mark.parametrize("k", [0, 1, -2])
def test_diagonals(k: int) -> None:
    check(lambda x: tf.linalg.diag(x, k=k), floats("n", 4))
    check(lambda x: tf.linalg.diag(x, k=k, padding_value=3.0), floats("n", 4))
    check(lambda x: tf.linalg.diag_part(x, k=k), floats("b", "n", "m"))
    check(lambda x: tf.linalg.diag_part(x, k=k), floats("b", "n", "m"), sizes=[{"b": 2, "n": 6, "m": 4}])
    check(lambda x: tf.linalg.set_diag(x, tf.linalg.diag_part(-x, k=k), k=k), floats("b", "n", "m"))
    refuses(lambda x: tf.linalg.diag_part(x, k=(-1, 1)), floats("n", "m"), match="several diagonals")


def test_products_and_determinants() -> None:
    check(tf.linalg.det, floats("n", 3, 3), rtol=1e-4)
    check(tf.linalg.cross, floats("n", 3), floats("n", 3))
    check(tf.linalg.trace, floats("n", 3, 3))


def test_searches() -> None:
    rising = np.asarray([[0.0, 1.0, 1.0, 2.0]], np.float32)
    values = np.asarray([[-1.0, 0.0, 0.5, 1.0, 2.0, 3.0]], np.float32)
    for side in ("left", "right"):
        check(lambda v, side=side: tf.searchsorted(rising, v, side), values)
    check(lambda x: tf.raw_ops.Bucketize(input=x, boundaries=[0.0, 1.0, 2.0]), values)


@pytest.mark.parametrize("size", [2, 3, 4])
def test_inverses_of_small_matrices(size: int) -> None:
    apart = 3 * np.eye(size, dtype=np.float32)
    check(lambda x: tf.linalg.inv(x + apart), floats("batch", size, size), rtol=1e-4, atol=1e-5)
    check(lambda x: tf.linalg.inv(x + apart, adjoint=True), floats("batch", size, size), rtol=1e-4, atol=1e-5)
    check(lambda x, y: tf.linalg.solve(x + apart, y), floats(size, size), floats(size, "columns"), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("size", [1, 5, 7])
def test_inverses_of_other_matrices(size: int) -> None:
    apart = 5 * np.eye(size, dtype=np.float32)
    matrix = floats("batch", size, size)
    check_in_torch(lambda x: tf.linalg.inv(x + apart, adjoint=True), matrix, rtol=1e-4, atol=1e-5)
    check_in_torch(lambda x, y: tf.linalg.solve(x + apart, y), matrix, floats("batch", size, 2), rtol=1e-4, atol=1e-5)
