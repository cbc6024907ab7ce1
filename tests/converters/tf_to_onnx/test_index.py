"""Slices, gathers and scatters, against TensorFlow."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tests.converters.tf_to_onnx.cases import check, floats, ints

SLICES: list[Callable[..., Any]] = [
    lambda x: x[0],
    lambda x: x[-1],
    lambda x: x[:, -1],
    lambda x: x[1:3, ..., 2],
    lambda x: x[..., tf.newaxis, ::2],
    lambda x: x[::-1, 1:-1],
    lambda x: x[:, tf.newaxis, ..., -2:],
    lambda x: x[: tf.shape(x)[0] - 1],
    lambda x: x[tf.shape(x)[0] - 1],
    lambda x: x[:, tf.argmax(x[0, :, 0]), tf.newaxis],
    lambda x: x[1:, -tf.argmax(x[0, :, 0], output_type=tf.int32) - 1, ::2],
    lambda x: tf.slice(x, [0, 1, 0], [-1, 2, -1]),
    lambda x: tf.slice(x, [1, 0, 0], tf.stack([tf.shape(x)[0] - 1, -1, 2])),
]


@pytest.mark.parametrize("function", SLICES)
def test_slices(function: Callable[..., Any]) -> None:
    check(function, floats("n", 4, "m"))


def test_gathers() -> None:
    x, i = floats("n", 5, 6), ints("k")
    check(lambda x, i: tf.gather(x, i, axis=1), x, i)
    check(lambda x, i: tf.gather(x, i, axis=-1), x, i)
    check(lambda x, i: tf.gather(x, i, batch_dims=1), x, ints("n", 3))
    check(lambda x, i: tf.gather(x, i, axis=2, batch_dims=1), x, ints("n", 3))
    check(lambda x, i: tf.gather_nd(x, i), x, ints("k", 2, high=4))
    check(lambda x, i: tf.gather_nd(x, i, batch_dims=1), x, ints("n", 2, high=4))


def test_scatters() -> None:
    x, i, u = floats(5, "m"), np.asarray([[1], [3], [1]], np.int32), floats(3, "m")
    check(lambda u: tf.scatter_nd(i, u, [5, tf.shape(u)[1]]), u)
    check(lambda x, u: tf.tensor_scatter_nd_add(x, i, u), x, u)
    check(lambda x, u: tf.tensor_scatter_nd_sub(x, i, u), x, u)
    check(lambda x, u: tf.tensor_scatter_nd_max(x, i, u), x, u)
    check(lambda x, u: tf.tensor_scatter_nd_min(x, i, u), x, u)
    check(lambda x, u: tf.tensor_scatter_nd_update(x, i[:2], u[:2]), x, u)


def test_coordinates() -> None:
    check(lambda x: tf.where(x > 0.0), floats("n", 3))
    check(lambda x: tf.boolean_mask(x, x[:, 0] > 0.0), floats("n", 3))
    check(lambda i: tf.one_hot(i, 4), np.asarray([0, 3, -1, 4], np.int32))
    check(lambda i: tf.one_hot(i, 4, 2.0, -1.0, axis=0), ints("n", "m"))


def test_a_permutation_backwards() -> None:
    check(lambda x: tf.math.invert_permutation(x), np.asarray([3, 0, 2, 1], np.int32))


def test_partition_and_stitch() -> None:
    parts = np.asarray([1, 0, 2, 1], np.int32)
    check(lambda x: tuple(tf.dynamic_partition(x, parts, 3)), floats(4, "width"))
    check(lambda x, y: tf.dynamic_stitch([[3, 0], [[1], [2]]], [x, y]), floats(2, "width"), floats(2, 1, "width"))


def test_coordinates_of_numbers() -> None:
    check(lambda x: tf.unravel_index(x, [3, 4, 5]), ints("n", high=60))
