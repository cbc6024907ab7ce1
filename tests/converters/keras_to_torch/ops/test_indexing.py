"""Operations that take numbers from places, or put them there."""

from __future__ import annotations

import numpy as np
import pytest
from keras import ops

from tests.converters.keras_to_torch.ops.operations import assert_operation, ints, normal

A = normal(2, 3, 4)


def test_taking():
    assert_operation(lambda x, j: ops.take(x, j, axis=1), A, ints(2, 2, high=3))
    assert_operation(lambda x, j: ops.take(x, j, axis=1), A, ints(2, low=-3, high=3))
    assert_operation(lambda x: ops.take(x, [0, 2], axis=2), A)
    assert_operation(lambda x: ops.take(x, 1, axis=2), A)
    assert_operation(lambda x, j: ops.take(x, j), A, ints(5, high=20))
    assert_operation(lambda x, j: ops.take_along_axis(x, j, axis=1), A, ints(2, 2, 4, low=-3, high=3))
    assert_operation(lambda x, j: ops.take_along_axis(x, j), A, ints(5, high=20))


def test_vectors_of_classes():
    assert_operation(lambda x: ops.one_hot(x, 5), ints(2, 3))
    assert_operation(lambda x: ops.one_hot(x, 5, axis=1, dtype="int32"), ints(2, 3))
    assert_operation(lambda x: ops.multi_hot(x, 5), ints(2, 3, high=5))
    assert_operation(lambda x: ops.multi_hot(x, 5), ints(2, 3, 2, high=5))


def test_places():
    assert_operation(ops.nonzero, ints(3, 4, high=3))
    assert_operation(lambda x: ops.unravel_index(x, (3, 4)), ints(5, high=12))


def test_scattering():
    assert_operation(lambda j, v: ops.scatter(j, v, (5, 4)), ints(3, 1, high=5), normal(3, 4))
    assert_operation(lambda j, v: ops.scatter(j, v, (5, 4)), ints(3, 2, high=4), normal(3))
    at = np.array([[0, 1], [2, 3]])
    assert_operation(lambda x, v: ops.scatter_update(x, at, v), normal(4, 5), normal(2))
    assert_operation(ops.scatter_update, normal(4, 5), np.array([[0], [2]], "int32"), normal(2, 5))
    twice = np.array([[0], [0]], "int32")
    assert_operation(lambda x, j, v: ops.scatter_update(x, j, v, reduction="add"), normal(4, 5), twice, normal(2, 5))


def test_blocks():
    start = np.array([1, 1, 0], "int32")
    assert_operation(lambda x: ops.slice(x, (0, 1, 0), (2, 2, 3)), A)
    assert_operation(lambda x, s: ops.slice(x, s, (1, 2, 3)), A, start)
    assert_operation(lambda x, y: ops.slice_update(x, (0, 1, 1), y), A, normal(1, 2, 3))
    assert_operation(ops.slice_update, A, start, normal(1, 2, 3))


@pytest.mark.parametrize("name", ["segment_sum", "segment_max", "segment_min", "segment_prod"])
def test_segments(name):
    # Segment 4 is empty, and -1 is none.
    ids = np.array([0, 3, 0, -1, 2, 3], "int32")
    assert_operation(lambda x, s: getattr(ops, name)(x, s, num_segments=5), normal(6, 3), ids)
