"""Operations on each number for itself, with Keras's dtypes."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import ops

from tests.converters.keras_to_torch.ops.operations import assert_operation, bools, ints, normal, uniform, with_nan
from translate.converters.keras_to_torch import convert

A, B = normal(2, 3, 4), normal(2, 3, 4, seed=1)
POSITIVE = ints(2, 3, 4, low=1)

ANY_NUMBER = [
    "abs",
    "absolute",
    "angle",
    "arcsinh",
    "arctan",
    "cbrt",
    "ceil",
    "conj",
    "copy",
    "cos",
    "cosh",
    "deg2rad",
    "erf",
    "exp",
    "exp2",
    "expm1",
    "floor",
    "imag",
    "isfinite",
    "isinf",
    "isnan",
    "isposinf",
    "isneginf",
    "isreal",
    "logical_not",
    "negative",
    "ones_like",
    "rad2deg",
    "real",
    "round",
    "sign",
    "signbit",
    "sin",
    "sinc",
    "sinh",
    "square",
    "stop_gradient",
    "tan",
    "tanh",
    "trunc",
    "zeros_like",
]
BETWEEN_0_AND_1 = [
    "arccos",
    "arcsin",
    "arctanh",
    "erfinv",
    "log",
    "log10",
    "log1p",
    "log2",
    "reciprocal",
    "rsqrt",
    "sqrt",
]


@pytest.mark.parametrize("name", ANY_NUMBER)
def test_of_one_tensor(name):
    assert_operation(getattr(ops, name), A)
    assert_operation(getattr(ops, name), A.astype("float16"))


@pytest.mark.parametrize("name", BETWEEN_0_AND_1)
def test_of_one_tensor_of_numbers_between_0_and_1(name):
    assert_operation(getattr(ops, name), uniform(2, 3, 4))


def test_of_numbers_that_are_more_than_1():
    assert_operation(ops.arccosh, uniform(2, 3) + 1)


@pytest.mark.parametrize(
    "name", ["abs", "ceil", "cos", "exp", "floor", "log", "negative", "round", "sign", "sqrt", "square", "tanh"]
)
@pytest.mark.parametrize("dtype", ["int32", "int64", "int8"])
def test_ints_become_what_keras_makes_of_them(name, dtype):
    assert_operation(getattr(ops, name), ints(2, 3, low=1, dtype=dtype))


def test_bits_turned_round():
    assert_operation(ops.bitwise_not, ints(2, 3))
    assert_operation(ops.bitwise_invert, ints(2, 3, dtype="uint8"))


BINARY = [
    "add",
    "subtract",
    "multiply",
    "divide",
    "true_divide",
    "floor_divide",
    "mod",
    "equal",
    "not_equal",
    "greater",
    "greater_equal",
    "less",
    "less_equal",
    "arctan2",
    "divide_no_nan",
    "fmax",
    "fmin",
    "fmod",
    "logaddexp",
    "logical_and",
    "logical_or",
    "logical_xor",
    "maximum",
    "minimum",
]


@pytest.mark.parametrize("name", BINARY)
def test_of_two_tensors(name):
    call = getattr(ops, name)
    assert_operation(call, A, B)
    assert_operation(call, POSITIVE, ints(2, 3, 4, low=1, seed=1))
    assert_operation(call, POSITIVE, B)
    assert_operation(call, A.astype("float16"), B)


@pytest.mark.parametrize("name", BINARY)
def test_of_a_tensor_and_a_number(name):
    call = getattr(ops, name)
    assert_operation(lambda x: call(x, 0.5), A)
    assert_operation(lambda x: call(x, 2.5), POSITIVE)
    assert_operation(lambda x: call(x, 2), POSITIVE)


@pytest.mark.parametrize("name", ["heaviside", "hypot", "logaddexp2", "nextafter"])
def test_of_two_tensors_of_floats(name):
    assert_operation(getattr(ops, name), A, B)


@pytest.mark.parametrize("dtypes", [("int8", "int32"), ("uint8", "int8"), ("int32", "int64"), ("bool", "float32")])
def test_two_dtypes_are_promoted_as_in_keras(dtypes):
    x, y = (ints(2, 3, high=2).astype(dtype) for dtype in dtypes)
    assert_operation(ops.add, x, y)
    assert_operation(ops.multiply, x, y)


@pytest.mark.parametrize(
    "name", ["bitwise_and", "bitwise_or", "bitwise_xor", "left_shift", "right_shift", "gcd", "lcm"]
)
def test_of_two_tensors_of_ints(name):
    assert_operation(getattr(ops, name), ints(2, 3, low=1), ints(2, 3, low=1, high=4, seed=1))


def test_powers():
    assert_operation(ops.power, uniform(2, 3), normal(2, 3))
    assert_operation(ops.power, ints(2, 3, low=1, high=4), ints(2, 3, high=4))
    assert_operation(lambda x: ops.power(2, x), A)
    assert_operation(ops.ldexp, A, ints(2, 3, 4, high=3))


def test_dtypes():
    assert_operation(lambda x: ops.cast(x, "int32"), A)
    assert_operation(lambda x: ops.saturate_cast(x, "uint8"), A * 300)
    assert_operation(lambda x: ops.saturate_cast(x, "int8"), ints(2, 3, low=-300, high=300))
    assert_operation(lambda x: ops.convert_to_tensor(x, "float16"), A)
    assert_operation(lambda x: ops.view(x, "int32"), A)
    assert_operation(lambda x: ops.view(x, "uint8"), A)


def test_bounds():
    assert_operation(lambda x: ops.clip(x, -0.3, np.float32(0.5)), A)
    assert_operation(lambda x: ops.clip(x, 1, 3), ints(2, 3))
    assert_operation(lambda x: ops.nan_to_num(x, nan=1.5), with_nan(2, 3))


def test_decimals():
    assert_operation(lambda x: ops.round(x, 2), A)
    assert_operation(lambda x: ops.round(x, -1), ints(2, 3, high=99))


def test_choices():
    assert_operation(ops.where, bools(2, 3, 4), A, B)
    assert_operation(lambda c, x: ops.where(c, x, 1.5), bools(2, 3), ints(2, 3))
    assert_operation(lambda x: ops.select([x > 0.5, x < -0.5], [x, x * 2], 3.0), A)


def test_closeness():
    assert_operation(lambda x, y: ops.isclose(x, y, rtol=0.5, atol=0.5), A, B)
    assert_operation(lambda x, y: ops.allclose(x, y, rtol=9, atol=9), A, B)


def test_one_number_everywhere():
    assert_operation(lambda x: ops.full_like(x, 2), A)
    assert_operation(lambda x: ops.full_like(x, 2.5, dtype="int32"), A)
    assert_operation(ops.empty_like, np.zeros((2, 3), "float32"))


def test_complex_numbers():
    assert_operation(lambda x, y: ops.view_as_real(ops.polar(x, y) * ops.polar(y, x)), uniform(3), normal(3))
    assert_operation(lambda x, y: ops.angle(ops.polar(x, y)), uniform(3), normal(3))


def test_images_stay_in_the_order_of_the_convolution_before():
    x = keras.Input((5, 6, 3))
    y = keras.layers.Conv2D(4, 3)(x)
    model = keras.Model(x, keras.layers.Conv2D(2, 1)(ops.maximum(ops.exp(y), 0.5)))
    assert convert(model).code.count(".permute(") == 2
