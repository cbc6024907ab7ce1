"""Joining, cutting, padding and sorting with symbolic sizes, other dtypes, gradients and refusals."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
import tensorflow as tf

from tests.converters.onnx_to_tf.cases import check, gradients, run, translated
from translate.errors import CannotTranslateError

X = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
INT64_MAX, INT64_MIN = np.iinfo(np.int64).max, np.iinfo(np.int64).min


def ints(*values: int) -> np.ndarray:
    return np.array(values, np.int64)


@pytest.mark.parametrize(
    ("op", "inputs", "attributes", "options"),
    [
        ("Concat", [X, X[:, :1]], {"axis": -2}, {}),
        ("Concat", [ints(1, 2), ints(3)], {"axis": 0}, {"known": [1]}),
        ("Split", [X], {"axis": 2, "num_outputs": 3}, {"outputs": 3}),
        ("Split", [X], {"axis": -1, "num_outputs": 2}, {"outputs": 2}),
        ("Split", [X, ints(1, 0, 2)], {"axis": 1}, {"outputs": 3, "known": [1]}),
        ("Slice", [X, ints(0, -3), ints(1, INT64_MAX), ints(0, -1)], {}, {"known": [1, 2, 3]}),
        ("Slice", [X, ints(-1, 1), ints(INT64_MIN, 100), ints(2, 1), ints(-2, 1)], {}, {"known": [1, 2, 3, 4]}),
        ("Slice", [X, ints(-1, 1), ints(INT64_MIN, 100), ints(2, 1), ints(-2, 1)], {}, {}),
        ("Slice", [X, ints(1, 0, -2), ints(2, 2, INT64_MAX)], {}, {}),
        ("Slice", [X, np.int32([1]), np.int32([2**31 - 1])], {}, {"known": [1, 2]}),
        ("Transpose", [X], {}, {}),
        ("Transpose", [X], {"perm": [1, 0, 2]}, {}),
        ("Tile", [X, ints(1, 2, 3)], {}, {}),
        ("Pad", [X, ints(2, 3), None, ints(-1)], {"mode": "edge"}, {"known": [1, 3]}),
        ("Pad", [X, ints(2, 3), None, ints(-1)], {"mode": "edge"}, {}),
        ("Pad", [X, ints(1, 0, 2, 2), None, ints(1, 2)], {"mode": "reflect"}, {"known": [1, 3]}),
        ("Pad", [X, ints(1, 0, 2, 2), None, ints(1, 2)], {"mode": "reflect"}, {}),
        ("Pad", [X, ints(0, 5, 0, 0, 0, 9)], {"mode": "wrap"}, {"known": [1], "opset": 19}),
        ("Pad", [X, ints(0, 5, 0, 0, 0, 9)], {"mode": "wrap"}, {"opset": 19}),
        ("Pad", [X > 3, ints(0, 1, 0, 0, 0, 1), np.array(True)], {}, {"known": [1]}),
        ("Trilu", [X, np.int64(-1)], {"upper": 0}, {}),
        ("Trilu", [X > 3, np.int64(1)], {}, {"known": [1]}),
        ("ReverseSequence", [X, ints(1, 3)], {"time_axis": 1, "batch_axis": 0}, {}),
        ("Compress", [X, np.array([False, True])], {"axis": 2}, {}),
        ("Compress", [X, np.array([False, True, True])], {}, {}),
        ("OneHot", [np.int32([[0, 2]]), np.float32(3), ints(-1, 1)], {"axis": 1}, {}),
        ("NonZero", [X % 5], {}, {}),
        ("Unique", [ints(3, 1, 3, -2)], {}, {"outputs": 4}),
        ("Unique", [np.float32([[2, 1], [1, 5], [2, 1], [1, 2]])], {"axis": 0}, {"outputs": 4}),
        ("Unique", [np.float32([3, 1, 3, 2])], {"sorted": 0}, {"outputs": 4}),
        ("Unique", [np.array([True, False, True])], {}, {"outputs": 4}),
        ("Tile", [X.astype(np.uint16), ints(1, 1, 2)], {}, {}),
        ("NonZero", [X.astype(np.float16)], {}, {}),
    ],
)
def test_reference(op: str, inputs: list[Any], attributes: dict[str, Any], options: dict[str, Any]) -> None:
    inputs = [None if array is None else np.asarray(array) for array in inputs]
    check(op, inputs, attributes, **options)


# What numpy, and so ONNX's reference implementation, does not do as the specification says.
@pytest.mark.parametrize("known", [[], [1]])
@pytest.mark.parametrize(
    ("op", "inputs", "attributes", "expected"),
    [
        (
            "Pad",
            [X, ints(0, 1, -1, 1, -2, 2), np.float32(7)],
            {},
            np.pad(X[:, :1, 1:], ((0, 1), (1, 0), (0, 2)), constant_values=7),
        ),
        (
            "OneHot",
            [ints(0, -1, 5), np.int64(3), np.float32([0, 2])],
            {"axis": 0},
            np.float32([[2, 0, 0], [0, 0, 0], [0, 2, 0]]),
        ),
        ("CenterCropPad", [X, ints(1, 6)], {"axes": [1, 2]}, np.pad(X[:, 1:2], ((0, 0), (0, 0), (1, 1)))),
    ],
)
def test_specification(
    op: str, inputs: list[Any], attributes: dict[str, Any], expected: np.ndarray, known: list[int]
) -> None:
    check(op, [np.asarray(array) for array in inputs], attributes, known=known, expected=[expected])


@pytest.mark.parametrize("dtype", [np.float32, np.float16, np.int64, np.int32, np.uint8, np.int8])
@pytest.mark.parametrize("largest", [0, 1])
@pytest.mark.parametrize("axis", [0, -1])
def test_top_k_takes_the_first_of_equals(dtype: type, largest: int, axis: int) -> None:
    x = np.array([[3, 1, 3, 2], [1, 2, 1, 0], [3, 2, 1, 2]], dtype)
    if np.issubdtype(dtype, np.integer):
        # Negating the smallest integer would overflow.
        x[0, 1], x[0, 3] = np.iinfo(dtype).min, np.iinfo(dtype).max
    keys = x.astype(np.float64) if x.dtype.itemsize < 8 else x.astype(object)
    order = np.argsort(-keys if largest else keys, axis=axis, kind="stable").astype(np.int64)
    order = np.take(order, [0, 1], axis)
    check(
        "TopK",
        [x, ints(2)],
        {"axis": axis, "largest": largest},
        outputs=2,
        expected=[np.take_along_axis(x, order, axis), order],
    )


@pytest.mark.parametrize(
    ("op", "inputs", "attributes", "expected"),
    [
        ("Slice", [X[0, 0], ints(3), ints(0), ints(0), ints(-2)], {}, [0, 1, 0, 1]),
        ("Pad", [X[0, 0], ints(2, 1)], {"mode": "edge"}, [3, 1, 1, 2]),
        ("Pad", [X[0, 0], ints(2, 1)], {"mode": "reflect"}, [1, 2, 3, 1]),
        ("TopK", [X[0, 0], ints(2)], {"largest": 0}, [1, 1, 0, 0]),
        ("Compress", [X[0, 0], np.array([True, False, True])], {}, [1, 0, 1, 0]),
    ],
)
def test_gradient(op: str, inputs: list[np.ndarray], attributes: dict[str, Any], expected: list[float]) -> None:
    known = range(1, len(inputs)) if op != "Compress" else ()
    outputs = 2 if op == "TopK" else 1
    gradient = gradients(op, inputs, attributes, known=known, outputs=outputs)[0]
    np.testing.assert_array_equal(gradient, expected)


def test_split_into_sizes_that_are_computed() -> None:
    model = onnx.parser.parse_model(
        """<ir_version: 10, opset_import: ["" : 18]> g (float[n] x, int64[2] sizes) => (a, b) {
             a, b = Split(x, sizes)
           }"""
    )
    results = translated(model)(tf.range(5.0), tf.constant([2, 3], tf.int64))
    assert [result.numpy().tolist() for result in results.values()] == [[0, 1], [2, 3, 4]]


def test_sorting_text_is_refused() -> None:
    with pytest.raises(CannotTranslateError, match="sort text"):
        run("Unique", [np.array(["b", "a"], object)], outputs=4)


def test_split_into_an_unknown_number_is_refused() -> None:
    with pytest.raises(CannotTranslateError, match="how many"):
        run("Split", [X, ints(1, 1)], outputs=2)
