"""Reductions and searches, against TensorFlow."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tests.converters.tf_to_onnx.cases import check, floats, ints


@pytest.mark.parametrize("name", ["sum", "mean", "max", "min", "prod", "euclidean_norm", "logsumexp"])
@pytest.mark.parametrize("axis", [None, 1, [0, -1], []])
def test_reductions(name: str, axis: Any) -> None:
    function = getattr(tf.math, f"reduce_{name}")
    if name == "logsumexp" and axis == []:
        return
    check(lambda x: function(x, axis=axis), floats("n", 3, "m"))
    check(lambda x: function(x, axis=axis, keepdims=True), floats("n", 3, "m"))


@pytest.mark.parametrize("function", [tf.reduce_any, tf.reduce_all])
def test_truth(function: Callable[..., Any]) -> None:
    check(lambda x: function(x > 0.0, axis=1), floats("n", 2))


@pytest.mark.parametrize("dtype", [tf.int32, tf.int64])
def test_first_of_equal_ones(dtype: Any) -> None:
    x = np.asarray([[1, 3, 3, 0, 0], [2, 2, 2, 2, 2]], np.float32)
    check(lambda x: (tf.argmax(x, 1, dtype), tf.argmin(x, 1, dtype)), x)
    check(lambda x: tf.math.top_k(x, 3), x)


@pytest.mark.parametrize(("exclusive", "reverse"), [(False, False), (True, False), (False, True), (True, True)])
def test_running_sums(exclusive: bool, reverse: bool) -> None:
    check(lambda x: tf.cumsum(x, 1, exclusive, reverse), floats("n", "m"))


def test_segments() -> None:
    ids = np.asarray([0, 0, 2, 2, 3], np.int32)
    for function in (tf.math.segment_sum, tf.math.segment_mean):
        check(lambda x, function=function: function(x, ids), floats(5, "n"))
    check(lambda x: tf.math.unsorted_segment_sum(x, [3, 0, 1, 0, 1], 5), floats(5, "n"))
    check(lambda x: tf.math.bincount(x, minlength=6, maxlength=6), ints("n"))
    check(lambda p, t: tf.math.in_top_k(t, p, 2), floats("n", 5), ints("n"))


@pytest.mark.parametrize(("exclusive", "reverse"), [(False, False), (True, False), (False, True), (True, True)])
def test_running_products(exclusive: bool, reverse: bool) -> None:
    check(lambda x: tf.math.cumprod(x, 1, exclusive, reverse), floats("n", "m", 2))
    check(lambda x: tf.math.cumprod(x, 0, exclusive, reverse), floats("n"))
    check(lambda x: tf.math.cumulative_logsumexp(x, 1, exclusive, reverse), floats("n", "m"))


def test_different_numbers() -> None:
    x = np.asarray([3, 1, 3, 2, 1], np.int32)
    check(lambda x: tf.unique(x), x)
    check(lambda x: tf.unique_with_counts(x), x)
    check(lambda x: tf.raw_ops.UniqueV2(x=x, axis=[0]), np.asarray([[2, 1], [1, 1], [2, 1]], np.float32))


@pytest.mark.parametrize("name", ["max", "min", "prod", "sum", "mean"])
def test_segments_of_every_kind(name: str) -> None:
    ids = np.asarray([0, 0, 1, 3, 3], np.int32)
    check(lambda x: getattr(tf.math, f"segment_{name}")(x, ids), floats(5, "width"))
    if name != "mean":
        check(lambda x: getattr(tf.math, f"unsorted_segment_{name}")(x, ids[::-1], 6), floats(5, "width"))


def test_segments_of_integers() -> None:
    ids = np.asarray([2, 0, 2], np.int32)
    check(lambda x: tf.math.unsorted_segment_max(x, ids, 4), ints(3, "width", low=-5))


def test_older_versions() -> None:
    R = tf.raw_ops
    check(lambda x, y: R.InTopK(predictions=x, targets=y, k=2), floats("n", 5), ints("n"))
    check(lambda x: R.NthElement(input=x, n=2), floats("n", 5))
    check(lambda x: R.NthElement(input=x, n=1, reverse=True), floats("n", 5))
    check(lambda x: tuple(R.ListDiff(x=x, y=[1, 3])), ints("n"))
    check(lambda x: tuple(R.UniqueWithCountsV2(x=x, axis=[0])), ints("n"))
