"""Elementwise operators: dtypes, edges and dynamic sizes that ONNX's node tests do not show."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest

from tests.converters.onnx_to_tf.cases import check, gradients

SIGNED = ["int8", "int16", "int32", "int64"]
UNSIGNED = ["uint8", "uint16", "uint32", "uint64"]
FLOATS = ["float16", "float32", "float64"]
EDGES = np.array([[-np.inf, -1, 0], [np.nan, np.inf, 2]], np.float32)


@pytest.mark.parametrize("dtype", SIGNED)
@pytest.mark.parametrize(
    ("op", "attributes", "expected"),
    [
        ("Div", {}, [-3, -3, 3, 3]),
        ("Mod", {}, [1, -1, -1, 1]),
        ("Mod", {"fmod": 1}, [-1, 1, -1, 1]),
    ],
)
def test_signs_of_integer_quotients_and_remainders(
    op: str, attributes: dict[str, Any], expected: list[int], dtype: str
) -> None:
    x, y = np.array([-7, 7, -7, 7], dtype), np.array([2, -2, -2, 2], dtype)
    check(op, [x, y], attributes, expected=[np.array(expected, dtype)])


@pytest.mark.parametrize("dtype", UNSIGNED)
@pytest.mark.parametrize(
    ("op", "expected"),
    [
        ("Div", lambda x, y: x // y),
        ("Mod", lambda x, y: x % y),
        ("Max", np.maximum),
        ("Less", np.less),
        ("Sub", np.subtract),
        ("Mul", np.multiply),
    ],
)
def test_the_largest_unsigned_integers(op: str, expected: Any, dtype: str) -> None:
    x, y = np.array([np.iinfo(dtype).max, 1, 9], dtype), np.array([2, 3, 4], dtype)
    check(op, [x, y], expected=[expected(x, y)])


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize(("fmod", "expected"), [(0, np.mod), (1, np.fmod)])
def test_remainders_of_floats(fmod: int, expected: Any, dtype: str) -> None:
    x = np.array([-7.5, 7.5, -7, 7, np.inf, 3, 3, 3], dtype)
    y = np.array([2, -2, 2, -2, 2, 0, np.inf, -np.inf], dtype)
    with np.errstate(invalid="ignore"):
        check("Mod", [x, y], {"fmod": fmod}, expected=[expected(x, y)])


@pytest.mark.parametrize("base", ["float16", "float32", "float64", "int32", "int64"])
@pytest.mark.parametrize("exponent", ["float32", "float64", "uint8", "int32", "int64"])
def test_a_power_has_the_dtype_of_its_base(base: str, exponent: str) -> None:
    x, y = np.array([[2, 3, 4]], base), np.array([2, 3, 2], exponent)
    check("Pow", [x, y], expected=[np.array([[4, 27, 16]], base)])


def test_a_power_of_an_integer_is_cut_only_at_the_end() -> None:
    x, y = np.array([9, 16], np.int32), np.array([0.5, 0.5], np.float32)
    check("Pow", [x, y], expected=[np.array([3, 4], np.int32)])


@pytest.mark.parametrize(
    ("op", "others", "expected"),
    [
        ("Max", [0], np.maximum(EDGES, 0)),
        ("Min", [0], np.minimum(EDGES, 0)),
        ("Clip", [-1, 1], np.clip(EDGES, -1, 1)),
        ("Clip", [0, 6], np.clip(EDGES, 0, 6)),
        ("Clip", [3, 1], np.minimum(np.maximum(EDGES, 3), 1)),
        ("Sign", [], np.sign(EDGES)),
        ("Relu", [], np.maximum(EDGES, 0)),
    ],
)
@pytest.mark.parametrize("constant", [False, True])
def test_what_is_not_a_number_stays_so(op: str, others: list[float], expected: Any, constant: bool) -> None:
    inputs = [EDGES, *(np.array(other, np.float32) for other in others)]
    check(op, inputs, expected=[expected], known=range(1, len(inputs)) if constant else ())


@pytest.mark.parametrize(
    ("direction", "dtype", "x", "y", "expected"),
    [
        ("LEFT", "uint8", [255, 1, 1], [1, 7, 9], [254, 128, 0]),
        ("RIGHT", "uint8", [255, 1, 255], [1, 1, 9], [127, 0, 0]),
        ("RIGHT", "uint64", [2**64 - 1, 2**63], [63, 64], [1, 0]),
    ],
)
def test_shifts_beyond_the_last_bit(
    direction: str, dtype: str, x: list[int], y: list[int], expected: list[int]
) -> None:
    inputs = [np.array(x, dtype), np.array(y, dtype)]
    check("BitShift", inputs, {"direction": direction}, expected=[np.array(expected, dtype)])


@pytest.mark.parametrize("dtype", ["float16", ml_dtypes.bfloat16])
def test_half_floats_are_added_up_in_float32(dtype: Any) -> None:
    check("CumSum", [np.ones(3000, dtype), np.array(0)], expected=[np.arange(1, 3001).astype(dtype)])


def test_text_can_be_compared() -> None:
    x, y = np.array(["a", "b"], object), np.array(["a", "c"], object)
    check("Equal", [x, y], opset=19, expected=[np.array([True, False])])


def test_where_broadcasts_all_three() -> None:
    condition = np.array([[True], [False]])
    check("Where", [condition, np.arange(3.0), np.arange(2.0)[:, None, None]])


@pytest.mark.parametrize(
    ("op", "inputs", "expected"),
    [
        ("Pow", [[2.0, 3.0], [2.0, 2.0]], [4.0, 6.0]),
        ("Div", [[2.0, 3.0], [2.0, 4.0]], [0.5, 0.25]),
        ("Clip", [[-1.0, 3.0, 9.0]], [1.0, 1.0, 1.0]),
        ("Erf", [[0.0]], [2 / np.sqrt(np.pi)]),
    ],
)
def test_gradients(op: str, inputs: list[list[float]], expected: list[float]) -> None:
    first = gradients(op, [np.array(x, np.float32) for x in inputs])[0]
    np.testing.assert_allclose(first, expected, rtol=1e-6)


@pytest.mark.parametrize("fmod", [0, 1])
def test_remainders_have_gradients(fmod: int) -> None:
    x, y = np.float32([-2.5, 2.5, 0.0, 7.0]), np.float32([0.75, -0.75, 2.0, 2.0])
    dx, dy = gradients("Mod", [x, y], {"fmod": fmod})
    np.testing.assert_array_equal(dx, np.ones(4))
    # x - quotient · y, the quotient being cut toward zero or rounded down.
    np.testing.assert_array_equal(dy, -(np.trunc(x / y) if fmod else np.floor(x / y)))


def test_a_cumulative_sum_does_not_gather_rounding() -> None:
    terms = np.random.default_rng(0).standard_normal(20_000).astype(np.float32) ** 2
    expected = np.cumsum(terms.astype(np.float64)).astype(np.float32)
    check("CumSum", [terms, np.array(0)], expected=[expected], rtol=1.5e-7, atol=0)
