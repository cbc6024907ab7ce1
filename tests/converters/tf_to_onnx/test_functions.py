"""Functions that ONNX has not: TensorFlow against PyTorch, and what is written where only ONNX would do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tests.converters.tf_to_onnx.cases import check_in_torch, exported, floats, refuses
from translate.converters.onnx_file import save_onnx
from translate.errors import CannotTranslateError

R = tf.raw_ops
POSITIVE = floats("n", 3, low=0.2, high=4)
SQUARE = floats("n", 4, 4)


def positive_definite(x: Any) -> Any:
    return x @ tf.linalg.matrix_transpose(x) + tf.eye(4)


NAMES = (
    *("BesselI0", "BesselI0e", "BesselI1", "BesselI1e", "BesselJ0", "BesselJ1", "BesselK0", "BesselK0e", "BesselK1"),
    *("BesselK1e", "BesselY0", "BesselY1", "Digamma", "Lgamma"),
)


@pytest.mark.parametrize("name", NAMES)
def test_functions_of_a_number(name: str) -> None:
    check_in_torch(lambda x: getattr(R, name)(x=x), POSITIVE, rtol=1e-4, atol=1e-5)


def test_inverse_functions() -> None:
    check_in_torch(tf.math.erfinv, floats("n", low=-0.9, high=0.9), rtol=1e-4)
    check_in_torch(tf.math.ndtri, floats("n", low=0.05, high=0.95), rtol=1e-4)


def test_functions_of_two_numbers() -> None:
    check_in_torch(tf.math.igamma, POSITIVE, floats(3, low=0.2, high=4), rtol=1e-4)
    check_in_torch(tf.math.igammac, POSITIVE, floats("n", 1, low=0.2, high=4), rtol=1e-4, atol=1e-5)
    check_in_torch(tf.math.zeta, floats("n", 3, low=1.5, high=4), POSITIVE, rtol=1e-4)
    check_in_torch(tf.math.nextafter, POSITIVE, POSITIVE, rtol=0, atol=0)


def test_decompositions() -> None:
    check_in_torch(lambda x: tf.linalg.cholesky(positive_definite(x)), SQUARE, rtol=1e-4, atol=1e-5)
    check_in_torch(lambda x: tf.linalg.slogdet(x), SQUARE, rtol=1e-4, atol=1e-5)
    check_in_torch(lambda x: tf.linalg.eigvalsh(positive_definite(x)), SQUARE, rtol=1e-4, atol=1e-5)
    check_in_torch(lambda x: tf.linalg.svd(x, compute_uv=False), floats("n", 4, 3), rtol=1e-4, atol=1e-5)
    refuses(tf.linalg.eigh, SQUARE, match="either sign")
    refuses(tf.linalg.svd, SQUARE, match="either sign")


@pytest.mark.parametrize("lower", [True, False])
@pytest.mark.parametrize("adjoint", [True, False])
def test_triangles(lower: bool, adjoint: bool) -> None:
    def function(x: Any, y: Any) -> Any:
        return tf.linalg.triangular_solve(x + 4 * tf.eye(4), y, lower=lower, adjoint=adjoint)

    check_in_torch(function, SQUARE, floats("n", 4, 2), rtol=1e-4, atol=1e-5)


def test_bits_of_another_dtype() -> None:
    check_in_torch(lambda x: tf.bitcast(x, tf.int32), floats("n", 3))
    refuses(lambda x: tf.bitcast(x, tf.uint8), floats("n", 3), match="changes the shape")


def test_onnx_refuses_them_by_name(tmp_path: Path) -> None:
    model, _ = exported(lambda x: (tf.linalg.cholesky(x), tf.math.lgamma(x), tf.math.lgamma(x + 1)), [SQUARE])
    with pytest.raises(CannotTranslateError, match="2 operators \\(3 nodes\\) cannot be translated to ONNX") as caught:
        save_onnx(model, tmp_path / "model.onnx")
    assert {problem.operator for problem in caught.value.problems} == {"Cholesky", "Lgamma"}
    assert not (tmp_path / "model.onnx").exists()


def test_known_numbers_stay_in_the_graph() -> None:
    # No evaluator of ONNX knows these operators, so that nothing may be folded.
    constant = np.asarray([1.5, 2.5], np.float32)
    check_in_torch(lambda x: x + tf.math.lgamma(tf.constant(constant)), floats("n", 2))
