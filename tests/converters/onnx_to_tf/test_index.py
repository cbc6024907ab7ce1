"""Reading and writing by index with symbolic sizes, negative indices, other dtypes and gradients."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
import tensorflow as tf

from tests.converters.onnx_to_tf.cases import check, gradients, translated

X = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
BOXES = np.float32([[[0, 0, 1, 1], [0, 0.1, 1, 1.1], [0, 10, 1, 11], [1, 1.1, 0, 0.1]]] * 2)
SCORES = np.float32([[[0.9, 0.75, 0.6, 0.95]] * 2, [[0.1, 0.2, 0.3, 0.4], [0.5, 0.1, 0.5, 0.2]]])


def ints(*values: Any) -> np.ndarray:
    return np.array(values, np.int64)


@pytest.mark.parametrize(
    ("op", "inputs", "attributes", "known"),
    [
        ("Gather", [X, ints([0, -1], [2, 1])], {"axis": 1}, []),
        ("Gather", [X, ints([0, -1], [2, 1])], {"axis": -2}, [1]),
        ("Gather", [X, np.int64(-1)], {"axis": 2}, [1]),
        ("Gather", [X, np.int64(-1)], {"axis": 1}, []),
        ("Gather", [X, np.int32([1])], {}, [1]),
        ("Gather", [X.astype(np.float16), ints(1, -2)], {}, []),
        ("Gather", [X.astype(np.int8), ints(1, -2)], {"axis": 1}, []),
        ("GatherElements", [X, np.int32([[[0, -1, 1, 2]], [[1, 1, -3, 0]]])], {"axis": 1}, []),
        ("GatherND", [X, ints([0, -1], [-2, 1])], {}, []),
        ("GatherND", [X, ints([-1], [0])], {"batch_dims": 1}, []),
        ("GatherND", [X, ints([-1], [0])], {"batch_dims": 1}, [1]),
        ("ScatterElements", [X, ints([[0, -1]]), -np.ones([1, 1, 2], np.float32)], {"axis": 2}, []),
        ("ScatterElements", [X, ints([[0, -1]]), -np.ones([1, 1, 2], np.float32)], {"reduction": "add"}, []),
        ("ScatterElements", [X.astype(np.int64), ints([[-1]]), ints([[99]])], {"reduction": "max", "axis": 1}, []),
        ("ScatterND", [X, ints([-1], [0]), -X], {}, []),
        ("ScatterND", [X, ints([-1], [-1]), X], {"reduction": "mul"}, []),
        ("ScatterND", [X[..., :0], ints([-1]), X[:1, ..., :0]], {}, [0, 1, 2]),
        ("ScatterND", [X.astype(np.float16), ints([0], [0]), X.astype(np.float16)], {"reduction": "add"}, [1]),
        ("ScatterND", [X > 3, ints([-1, 1]), np.ones([1, 4], bool)], {}, []),
    ],
)
def test_reference(op: str, inputs: list[Any], attributes: dict[str, Any], known: list[int]) -> None:
    check(op, [np.asarray(array) for array in inputs], attributes, known=known)


def written(place: Any, values: Any) -> np.ndarray:
    result = X.copy()
    result[place] = values
    return result


# What the reference implementation does not do, or not as the specification says.
@pytest.mark.parametrize("known", [[], [1]])
@pytest.mark.parametrize(
    ("op", "inputs", "attributes", "expected"),
    [
        ("Gather", [X > 3, ints()], {"axis": 1}, np.zeros([2, 0, 4], bool)),
        ("GatherElements", [X, ints([[0, -1]])], {"axis": 2}, X[:1, :1, [0, -1]]),
        ("GatherElements", [X, ints(*[[[0, -1]] * 3] * 2)], {"axis": -1}, X[:, :, [0, -1]]),
        (
            "ScatterElements",
            [X, ints([[1, 1]]), np.full([1, 1, 2], 3, np.float32)],
            {"reduction": "mul"},
            written((1, 0, [0, 1]), 3 * X[1, 0, [0, 1]]),
        ),
        (
            "ScatterND",
            [X, ints([-1, 1], [0, 2]), -X[:, 0]],
            {"reduction": "min"},
            written(([1, 0], [1, 2]), [np.minimum(X[1, 1], -X[0, 0]), np.minimum(X[0, 2], -X[1, 0])]),
        ),
    ],
)
def test_specification(
    op: str, inputs: list[Any], attributes: dict[str, Any], expected: np.ndarray, known: list[int]
) -> None:
    check(op, inputs, attributes, known=known, expected=[expected])


@pytest.mark.parametrize("mode", ["linear", "circular"])
def test_tensor_scatter(mode: str) -> None:
    start = ints(1, 4 if mode == "circular" else 3)
    cache, update = np.zeros([2, 3, 5, 2], np.float32), np.arange(24, dtype=np.float32).reshape(2, 3, 2, 2)
    expected = cache.copy()
    for b in range(2):
        for step in range(2):
            expected[b, :, (start[b] + step) % 5] = update[b, :, step]
    check("TensorScatter", [cache, update, start], {"mode": mode}, 24, expected=[expected])


@pytest.mark.parametrize("score_threshold", [None, np.float32(0.3)])
def test_non_max_suppression(score_threshold: np.ndarray | None) -> None:
    """Of boxes 0, 1 and 3, which lie over each other, the best is left; box 2 is alone."""
    expected = [[0, 0, 3], [0, 0, 2], [0, 1, 3], [0, 1, 2], [1, 0, 3], [1, 0, 2], [1, 1, 0], [1, 1, 2]]
    if score_threshold is not None:
        # Higher than the threshold, not as high.
        expected.remove([1, 0, 2])
        score_threshold = np.asarray(score_threshold)
    inputs = [BOXES, SCORES, np.asarray(np.int64(3)), np.asarray(np.float32(0.5)), score_threshold]
    check("NonMaxSuppression", inputs, expected=[ints(*expected)])


def test_non_max_suppression_of_no_boxes() -> None:
    check("NonMaxSuppression", [BOXES, SCORES], expected=[np.zeros([0, 3], np.int64)])


@pytest.mark.parametrize(
    ("op", "inputs", "attributes", "position", "expected"),
    [
        ("Gather", [X[0, 0], ints(1, -3, 0)], {}, 0, [1, 2, 0, 0]),
        ("GatherElements", [X[0, 0], ints(1, -3, 0)], {}, 0, [1, 2, 0, 0]),
        ("GatherND", [X[0, 0], ints([1], [-3])], {}, 0, [0, 2, 0, 0]),
        ("ScatterElements", [X[0, 0], ints(1), np.float32([5])], {}, 0, [1, 0, 1, 1]),
        ("ScatterElements", [X[0, 0], ints(1), np.float32([5])], {"reduction": "add"}, 2, [1]),
        ("ScatterND", [X[0, 0], ints([1], [1]), np.float32([5, 6])], {"reduction": "mul"}, 0, [1, 30, 1, 1]),
        ("ScatterND", [X[0, 0], ints([3], [3]), np.float32([5, 6])], {"reduction": "mul"}, 2, [18, 15]),
    ],
)
def test_gradient(op: str, inputs: list[Any], attributes: dict[str, Any], position: int, expected: list[float]) -> None:
    np.testing.assert_array_equal(gradients(op, inputs, attributes)[position], expected)


def test_a_scalar_index_keeps_static_sizes() -> None:
    model = onnx.parser.parse_model(
        """<ir_version: 10, opset_import: ["" : 18]> g (float[b,4,t] x) => (y) {
             last = Constant<value_int=-1>()
             y = Gather<axis=0>(x, last)
           }"""
    )
    function = translated(model)
    assert function.structured_outputs["y"].shape.as_list() == [4, None]
    np.testing.assert_array_equal(function(tf.ones([3, 4, 2]))["y"], np.ones([4, 2]))
