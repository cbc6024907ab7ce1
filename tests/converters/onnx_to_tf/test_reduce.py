"""Reductions: axes of every form, empty sets, float16, and positions of extrema."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest

from tests.converters.onnx_to_tf.cases import check, gradients

INF = np.inf


@pytest.mark.parametrize("constant", [False, True])
@pytest.mark.parametrize("noop", [0, 1])
@pytest.mark.parametrize("keepdims", [0, 1])
@pytest.mark.parametrize("axes", [[1], [0, -1], []])
@pytest.mark.parametrize(("op", "function"), [("ReduceSum", np.sum), ("ReduceMax", np.max), ("ReduceMean", np.mean)])
def test_axes(op: str, function: Any, axes: list[int], keepdims: int, noop: int, constant: bool) -> None:
    x = np.random.default_rng(0).standard_normal((2, 3, 4)).astype(np.float32)
    over = tuple(axes) if axes or noop else None
    expected = x if over == () else np.asarray(function(x, axis=over, keepdims=bool(keepdims)))
    attributes = {"keepdims": keepdims, "noop_with_empty_axes": noop}
    check(op, [x, np.array(axes, np.int64)], attributes, expected=[expected], known=[1] if constant else ())


def test_composite_reductions_over_no_axes_still_do_their_other_steps() -> None:
    x = np.array([[-2.0, 3.0]], np.float32)
    check("ReduceSumSquare", [x], {"noop_with_empty_axes": 1}, expected=[x * x])
    check("ReduceL1", [x], {"noop_with_empty_axes": 1}, expected=[np.abs(x)])


@pytest.mark.parametrize(
    ("op", "dtype", "expected"),
    [
        ("ReduceSum", "float32", 0),
        ("ReduceProd", "float32", 1),
        ("ReduceMax", "float32", -INF),
        ("ReduceMin", "float32", INF),
        ("ReduceL1", "float32", 0),
        ("ReduceL2", "float32", 0),
        ("ReduceSumSquare", "float32", 0),
        ("ReduceLogSum", "float32", -INF),
        ("ReduceLogSumExp", "float32", -INF),
        ("ReduceMax", "int32", -(2**31)),
        ("ReduceMin", "int8", 127),
        ("ReduceMin", "bool", True),
        ("ReduceMax", "bool", False),
    ],
)
def test_the_empty_set_gives_the_identity(op: str, dtype: str, expected: Any) -> None:
    x = np.zeros((2, 0, 3), dtype)
    check(op, [x, np.array([1])], opset=20, known=[1], expected=[np.full((2, 1, 3), expected, dtype)])


@pytest.mark.parametrize("dtype", ["float16", ml_dtypes.bfloat16])
@pytest.mark.parametrize(("shape", "axes"), [((20000, 3), [0]), ((3, 20000), [1]), ((25, 3, 20, 20), [0, 2, 3])])
@pytest.mark.parametrize("op", ["ReduceSum", "ReduceMean", "ReduceL2"])
def test_half_floats_are_added_up_in_float32(op: str, shape: tuple[int, ...], axes: list[int], dtype: Any) -> None:
    count = np.prod([shape[axis] for axis in axes])
    value = {"ReduceSum": count, "ReduceMean": 1, "ReduceL2": np.sqrt(count)}[op]
    expected = np.full([1 if axis in axes else size for axis, size in enumerate(shape)], value).astype(dtype)
    check(op, [np.ones(shape, dtype), np.array(axes)], expected=[expected], known=[1])


@pytest.mark.parametrize("dtype", ["int32", "int64", "uint32", "uint64"])
@pytest.mark.parametrize(
    ("op", "expected"), [("ReduceL1", 7), ("ReduceL2", 5), ("ReduceSumSquare", 25), ("ReduceMean", 3)]
)
def test_integers_stay_integers(op: str, expected: int, dtype: str) -> None:
    check(op, [np.array([3, 4], dtype)], {"keepdims": 0}, expected=[np.array(expected, dtype)])


def test_log_sum_exp_of_extremes() -> None:
    x = np.array([[1000, 0, -1000], [-INF, -INF, -INF], [1000, 1000, -INF]], np.float32)
    expected = np.array([[1000], [-INF], [1000 + np.log(2)]], np.float32)
    check("ReduceLogSumExp", [x, np.array([1])], expected=[expected])


@pytest.mark.parametrize("last", [0, 1])
@pytest.mark.parametrize("keepdims", [0, 1])
@pytest.mark.parametrize("op", ["ArgMax", "ArgMin"])
def test_position_among_equals(op: str, keepdims: int, last: int) -> None:
    x = np.array([[1, 3, 3, 1], [2, 2, 2, 2]], np.float32)
    check(op, [x], {"axis": -1, "keepdims": keepdims, "select_last_index": last})


def test_gradient_of_the_euclidean_norm() -> None:
    x = np.array([[3.0, 4.0]], np.float32)
    np.testing.assert_allclose(gradients("ReduceL2", [x])[0], [[0.6, 0.8]], rtol=1e-6)


@pytest.mark.parametrize("op", ["ReduceMean", "ReduceSum"])
def test_sums_around_an_axis_that_stays_do_not_lose_digits(op: str) -> None:
    # In one step TensorFlow is off by 90 units in the last place here.
    x = np.random.default_rng(0).standard_normal((1, 56, 56, 4, 16)).astype(np.float32) ** 2
    expected = x.astype(np.float64).mean((1, 2, 4)) if op == "ReduceMean" else x.astype(np.float64).sum((1, 2, 4))
    inputs = [x, np.array([-1, 2, 1])]
    check(op, inputs, {"keepdims": 0}, expected=[expected.astype(np.float32)], rtol=5e-7, atol=0, known=(1,))
