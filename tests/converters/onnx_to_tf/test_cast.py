"""Casts that the node tests do not show: text, unusual pairs of dtypes, dynamic sizes, refusals."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import onnx
import pytest

from tests.converters.onnx_to_tf.cases import check, gradients, run
from translate.errors import CannotTranslateError

TYPES = ["bool", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64"]
TYPES += ["float16", "bfloat16", "float32", "float64", "int4", "uint4", "float8_e4m3fn", "float8_e5m2"]


def number(dtype: str) -> int:
    return onnx.helper.np_dtype_to_tensor_dtype(np.dtype(getattr(ml_dtypes, dtype, dtype)))


@pytest.mark.parametrize("source", TYPES)
def test_every_pair_of_dtypes(source):
    x = np.array([[0, 1, 2], [3, 5, 7]]).astype(np.dtype(getattr(ml_dtypes, source, source)))
    for target in TYPES:
        expected = x.astype(np.float32).astype(np.dtype(getattr(ml_dtypes, target, target)))
        check("Cast", [x], {"to": number(target)}, 24, expected=[expected])


@pytest.mark.parametrize(
    ("values", "source", "target"),
    [
        ([300, -1], "int16", "uint8"),
        ([200, -129], "int32", "int8"),
        ([9, -9], "int8", "int4"),
        ([-0.0, 0.5, np.nan], "float32", "bool"),
        ([1e6, -1e6, np.inf], "float32", "float16"),
        ([2.7, -2.7], "float64", "int64"),
    ],
)
def test_out_of_range_and_rounding(values, source, target):
    x = np.array(values, np.dtype(getattr(ml_dtypes, source, source)))
    with np.errstate(over="ignore"):
        expected = x.astype(np.dtype(getattr(ml_dtypes, target, target)))
    check("Cast", [x], {"to": number(target)}, 24, expected=[expected])


@pytest.mark.parametrize("target", ["float8_e4m3fn", "float8_e5m2"])
def test_float8_saturates_unless_told_otherwise(target):
    dtype = np.dtype(getattr(ml_dtypes, target))
    x = np.array([1e9, -1e9, np.inf, np.nan, 3.3], np.float64)
    largest = float(ml_dtypes.finfo(dtype).max)
    bounded = np.array([largest, -largest, largest, np.nan, 3.3]).astype(dtype)
    check("Cast", [x], {"to": number(target)}, 24, expected=[bounded])
    check("Cast", [x], {"to": number(target), "saturate": 0}, 24, expected=[x.astype(dtype)])


@pytest.mark.parametrize(
    ("x", "target", "expected"),
    [
        (["3.14", "1e-5", "1E8"], "float32", [3.14, 1e-5, 1e8]),
        (["NaN", "INF", "+INF", "-inf"], "float32", [np.nan, np.inf, np.inf, -np.inf]),
        (["3.14"], "float16", [3.14]),
        (["2.718281828459045"], "float64", [2.718281828459045]),
        (["-12", "9007199254740993"], "int64", [-12, 9007199254740993]),
        (["255"], "uint8", [255]),
    ],
)
def test_numbers_from_text(x, target, expected):
    check("Cast", [np.array(x, object)], {"to": number(target)}, expected=[np.array(expected, target)])


@pytest.mark.parametrize(
    ("x", "expected"),
    [
        (np.array([0.47892547, 1e-7, 1e20, -2], np.float32), ["0.47892547", "1e-07", "1e+20", "-2"]),
        (np.array([np.nan, np.inf, -np.inf], np.float32), ["NaN", "INF", "-INF"]),
        (np.array([0.1], np.float64), ["0.10000000000000001"]),
        (np.array([0.5], np.float16), ["0.5"]),
        (np.array([-5, 2**62], np.int64), ["-5", str(2**62)]),
        (np.array([True, False]), ["1", "0"]),
    ],
)
def test_numbers_to_text(x, expected):
    check("Cast", [x], {"to": onnx.TensorProto.STRING}, expected=[np.array(expected, object)])


def test_gradients_pass_through_halves():
    x = np.array([1.5, -2.0], np.float32)
    (gradient,) = gradients("Cast", [x], {"to": number("float16")})
    np.testing.assert_array_equal(gradient, np.ones(2, np.float32))


def test_cast_like_keeps_saturate():
    x, like = np.array([1e9], np.float32), np.zeros(1, ml_dtypes.float8_e5m2)
    check("CastLike", [x, like], {"saturate": 0}, 24, expected=[np.array([np.inf], ml_dtypes.float8_e5m2)])


@pytest.mark.parametrize("name", ["FLOAT8E4M3FNUZ", "FLOAT8E5M2FNUZ", "FLOAT4E2M1", "FLOAT8E8M0"])
def test_what_tensorflow_cannot_compute_is_refused(name):
    with pytest.raises(CannotTranslateError, match=name.lower()):
        run("Cast", [np.zeros(2, np.float32)], {"to": getattr(onnx.TensorProto, name)}, 24)
