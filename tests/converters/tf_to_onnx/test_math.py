"""Arithmetic, comparisons and products, against TensorFlow."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tests.converters.tf_to_onnx.cases import check, floats, ints, operators

R = tf.raw_ops
ONE_INPUT = [
    "Abs", "Acosh", "Asinh", "Atan", "Ceil", "Cos", "Cosh", "Erf", "Erfc",
    "Exp", "Expm1", "Floor", "Log1p", "Neg", "Rint", "Round", "Rsqrt", "Sigmoid",
    "Sign", "Sin", "Sinh", "Sqrt", "Square", "Tan", "Tanh", "Reciprocal", "IsNan",
    "IsInf", "IsFinite",
]  # fmt: skip
TWO_INPUTS = [
    "Add", "AddV2", "Sub", "Mul", "Maximum", "Minimum", "SquaredDifference", "Div", "FloorDiv",
    "FloorMod",
]  # fmt: skip


@pytest.mark.parametrize("name", ONE_INPUT)
def test_one_number_each(name: str) -> None:
    special = np.asarray([-np.inf, -2.5, -1.5, -0.5, 0.0, 1e-6, 0.5, 1.5, 2.5, 30.0, np.inf, np.nan], np.float32)
    # onnxruntime's Erf gives numbers for NaN.
    special = special[:-1] if name.startswith("Erf") else special
    check(lambda x: getattr(R, name)(x=x), special, rtol=3e-5, atol=1e-7)
    check(lambda x: getattr(R, name)(x=x), floats("n", 3, low=0.1, high=0.9), rtol=3e-5)


@pytest.mark.parametrize("name", TWO_INPUTS)
@pytest.mark.parametrize("dtype", ["float32", "int32", "int64"])
def test_two_numbers_each(name: str, dtype: str) -> None:
    x = np.asarray([[-7], [7], [0], [5]], dtype)
    y = np.asarray([[2, -2, 3, -3]], dtype)
    check(lambda x, y: getattr(R, name)(x=x, y=y), x, y)


@pytest.mark.parametrize("name", ["TruncateDiv", "TruncateMod"])
def test_division_towards_zero(name: str) -> None:
    check(lambda x, y: getattr(R, name)(x=x, y=y), np.asarray([-7, 7, -6], np.int32), np.asarray([2, -2, 3], np.int32))


@pytest.mark.parametrize("name", ["RealDiv", "DivNoNan", "MulNoNan", "Xlogy", "Xdivy", "Pow", "Atan2"])
def test_two_real_numbers_each(name: str) -> None:
    x, y = np.asarray([[0.0], [2.0], [0.3]], np.float32), np.asarray([[0.0, 2.0, 0.5]], np.float32)
    if name == "Atan2":
        x, y = x - 1, y - 1
        check(lambda x, y: R.Atan2(y=y, x=x), x, y)
    else:
        check(lambda x, y: getattr(R, name)(x=x, y=y), x, y)


@pytest.mark.parametrize("name", ["Equal", "NotEqual", "Less", "LessEqual", "Greater", "GreaterEqual"])
def test_comparisons(name: str) -> None:
    check(lambda x, y: getattr(R, name)(x=x, y=y), ints("n", 4), ints(4))


@pytest.mark.parametrize(
    "function",
    [
        lambda a, b: tf.matmul(a, b),
        lambda a, b: tf.matmul(a, tf.transpose(b, [0, 2, 1]), transpose_b=True),
        lambda a, b: tf.matmul(tf.transpose(a, [0, 2, 1]), b, transpose_a=True),
        lambda a, b: tf.einsum("bij,bjk->bik", a, b),
        lambda a, b: tf.einsum("...ij,...jk->...ki", a, b),
    ],
)
def test_products(function: Callable[..., Any]) -> None:
    check(function, floats("n", 3, 4), floats("n", 4, 5))


def test_a_product_of_matrices_is_one_operator() -> None:
    model = check(lambda a, b: tf.matmul(a, b), floats("n", 4), floats(4, 5))
    assert operators(model) == ["MatMul", "Identity"]


def test_ranges() -> None:
    check(lambda x: tf.range(tf.shape(x)[0]), floats("n", 2))
    check(lambda x: tf.linspace(x[0], x[1], 5), np.asarray([1.0, 4.0], np.float32))
    check(lambda x: tf.bitwise.left_shift(x, 2), np.asarray([1, 4], np.uint8))
    check(lambda x: tf.clip_by_value(x, -1.0, 1.0), floats("n"))
    check(lambda x: tf.add_n([x, x, x]), floats("n"))


def test_what_hands_on_its_input() -> None:
    check(lambda x: tf.compat.v1.Print(x, [x, x], "seen"), floats("n"))
    check(lambda x: tf.guarantee_const(x), floats("n"))


def test_quotients_of_negative_numbers_without_axes() -> None:
    check(lambda x: tf.reshape(x, [])[None] // 3, np.asarray([-7], np.int32))
    check(lambda x, y: x // y, np.asarray([-7, 7, -6, 0], np.int32), np.asarray([2, -2, 3, -5], np.int32))


def test_products_with_logarithms() -> None:
    check(tf.math.xlog1py, np.float32([0, 1, 0, 2]), np.float32([-1, 2, 3, 0.5]))
