"""Sparse tensors and segments, against TensorFlow."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tests.converters.tf_to_onnx.cases import check, floats, ints

R = tf.raw_ops
PLACES = np.asarray([[0, 1], [3, 0], [2, 4], [2, 1]], np.int64)
ROWS, IDS = np.asarray([4, 0, 2, 2, 1]), np.asarray([0, 0, 1, 3, 3])


def test_dense() -> None:
    check(lambda v: R.SparseToDense(sparse_indices=PLACES, output_shape=[4, 5], sparse_values=v, default_value=7.0,
                                    validate_indices=False), floats(4))  # fmt: skip
    check(lambda v: R.SparseToDense(sparse_indices=[2, 0], output_shape=[4], sparse_values=v, default_value=0,
                                    validate_indices=False), ints(2))  # fmt: skip
    check(lambda v: R.SparseToDense(sparse_indices=3, output_shape=[4], sparse_values=v, default_value=0.0), floats())


@pytest.mark.parametrize("a", [False, True])
@pytest.mark.parametrize("b", [False, True])
def test_products(a: bool, b: bool) -> None:
    inner = 4 if a else 5

    def function(v: Any, y: Any) -> Any:
        sparse = tf.SparseTensor(PLACES, v, [4, 5])
        return tf.sparse.sparse_dense_matmul(sparse, y, adjoint_a=a, adjoint_b=b)

    check(function, floats(4), floats("n", inner) if b else floats(inner, "n"))


def test_order() -> None:
    def function(v: Any) -> Any:
        sparse = tf.sparse.reorder(tf.SparseTensor(PLACES, v, [4, 5]))
        return sparse.indices, sparse.values

    check(function, floats(4))


@pytest.mark.parametrize("name", ["SparseSegmentSum", "SparseSegmentMean", "SparseSegmentSqrtN"])
def test_sums_of_rows(name: str) -> None:
    check(lambda x: getattr(R, name)(data=x, indices=ROWS, segment_ids=IDS), floats(5, "n"))
    check(lambda x: getattr(R, f"{name}WithNumSegments")(data=x, indices=ROWS, segment_ids=IDS, num_segments=6),
          floats(5, "n"))  # fmt: skip


@pytest.mark.parametrize("merge", [False, True])
def test_ctc(merge: bool) -> None:
    def function(x: Any) -> Any:
        (sparse,), log = tf.nn.ctc_greedy_decoder(x, [4, 2, 3], merge_repeated=merge)
        return sparse.indices, sparse.values, sparse.dense_shape, log

    check(function, floats("t", 3, 3))
    check(function, floats("t", 3, 3), sizes=[{"t": 30}])
    first = np.asarray([[[1, 2, 0]], [[1, 2, 0]], [[0, 0, 1]], [[1, 2, 0]]], np.float32)
    check(lambda x: tf.nn.ctc_greedy_decoder(x, [4], merge_repeated=merge)[0][0].values, first)
    check(lambda x: tf.nn.ctc_greedy_decoder(x, [4], merge_repeated=merge, blank_index=0)[0][0].values, first)


@pytest.mark.parametrize("name", ["sum", "prod", "max", "min"])
def test_negative_ids_are_dropped(name: str) -> None:
    check(lambda x: getattr(tf.math, f"unsorted_segment_{name}")(x, [[3, -1], [0, 1], [-5, 1]], 5), floats(3, 2, "n"))


def test_counts() -> None:
    numbers = ints("n", 4, low=0, high=9)
    for binary in (False, True):
        check(lambda x, b=binary: R.DenseBincount(input=x, size=6, weights=tf.zeros([0]), binary_output=b), numbers)
    check(lambda x, w: R.DenseBincount(input=x, size=6, weights=w), numbers, floats("n", 4))
    check(lambda x, w: R.DenseBincount(input=x, size=6, weights=w), ints("n", high=9), floats("n"))


def test_histograms() -> None:
    check(lambda x: tf.histogram_fixed_width(x, [-1.0, 1.5], nbins=7), floats("n", 9, low=-3, high=3))
