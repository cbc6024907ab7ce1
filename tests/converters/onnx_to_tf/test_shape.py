"""Shapes stay as static as the source's; what the node tests do not show of operators on shapes."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
import tensorflow as tf

from tests.converters.onnx_to_tf.cases import check, translated

X = np.arange(24, dtype=np.float32).reshape(2, 3, 4)


def ints(*values: int) -> np.ndarray:
    return np.array(values, np.int64)


@pytest.mark.parametrize(
    ("op", "inputs", "attributes", "known"),
    [
        ("Reshape", [X, ints(0, -1)], {}, [1]),
        ("Reshape", [X, ints(-1, 4)], {}, [1]),
        ("Reshape", [X, ints(0, 6, -1)], {}, []),
        ("Reshape", [X[:0], ints(0, 12)], {}, [1]),
        ("Reshape", [X[:0], ints(3, 0)], {"allowzero": 1}, [1]),
        ("Shape", [X], {"start": -2}, []),
        ("Shape", [X], {"start": 1, "end": -1}, []),
        ("Size", [X], {}, []),
        ("Flatten", [X], {"axis": 0}, []),
        ("Flatten", [X], {"axis": -1}, []),
        ("Squeeze", [X[:1, :, :1]], {}, []),
        ("Squeeze", [X[:1, :, :1], ints(-1)], {}, [1]),
        ("Squeeze", [X[:1, :, :1], ints(-1, 0)], {}, []),
        ("Unsqueeze", [X, ints(-1, 0)], {}, [1]),
        ("Unsqueeze", [X, ints(4, 1)], {}, []),
        ("Expand", [X, ints(5, 1, 3, 1)], {}, [1]),
        ("Expand", [X[:, :1], ints(2, 3, 4)], {}, []),
        ("ConstantOfShape", [ints(2, 0, 3)], {}, []),
        ("Range", [np.int16(10), np.int16(-1), np.int16(-3)], {}, []),
        ("Range", [np.float32(0), np.float32(1), np.float32(0.25)], {}, []),
        ("EyeLike", [X[0]], {"k": -1, "dtype": onnx.TensorProto.INT64}, []),
        ("Identity", [X], {}, []),
    ],
)
def test_reference(op: str, inputs: list[np.ndarray], attributes: dict[str, int], known: list[int]) -> None:
    inputs = [np.asarray(array) for array in inputs]
    check(op, inputs, attributes, known=known)


# Each keeps in TensorFlow what is static in the source; `b` and `t` are symbolic.
STATIC = [
    # The sizes of a view travel through Shape, Gather, Unsqueeze and Concat.
    (
        "float[b,t,8] x",
        """s = Shape(x)
           zero = Constant<value_int=0>()
           first = Constant<value_ints=[0]>()
           i = Gather(s, zero)
           n = Unsqueeze(i, first)
           rest = Constant<value_ints=[-1, 2, 8]>()
           target = Concat<axis=0>(n, rest)
           y = Reshape(x, target)""",
        [None, None, 2, 8],
    ),
    # A part of a shape that is static is a number.
    ("float[b,4,8] x", "s = Shape<start=1>(x)\n y = ConstantOfShape(s)", [4, 8]),
    (
        "float[b,4,8] x",
        """s = Shape(x)
           from = Constant<value_ints=[1]>()
           to = Constant<value_ints=[9]>()
           tail = Slice(s, from, to)
           y = Expand(x, tail)""",
        [None, 4, 8],
    ),
    # What is left over is known although an axis that is kept is not.
    ("float[b,4,8] x", "s = Constant<value_ints=[0, -1]>()\n y = Reshape(x, s)", [None, 32]),
    # Size 1 gives way to a known size.
    ("float[b,1,8] x", "s = Constant<value_ints=[1, 5, 1]>()\n y = Expand(x, s)", [None, 5, 8]),
    ("float[b,6,8] x", "y = Flatten(x)", [None, 48]),
    # An axis that is not cut keeps its size, whatever the bounds of another.
    (
        "float[b,t,8] x",
        """s = Shape<start=0, end=1>(x)
           from = Constant<value_ints=[0]>()
           along = Constant<value_ints=[1]>()
           y = Slice(x, from, s, along)""",
        [None, None, 8],
    ),
]


@pytest.mark.parametrize(("source", "nodes", "expected"), STATIC)
def test_static_sizes(source: str, nodes: str, expected: list[int | None]) -> None:
    text = f'<ir_version: 10, opset_import: ["" : 18]> g ({source}) => (y) {{ {nodes} }}'
    model = onnx.parser.parse_model(text)
    assert translated(model).structured_outputs["y"].shape.as_list() == expected


def test_view_needs_no_shape_arithmetic() -> None:
    model = onnx.parser.parse_model(
        """<ir_version: 10, opset_import: ["" : 18]> g (float[b,4,8] x) => (y) {
             s = Shape<start=0, end=1>(x)
             rest = Constant<value_ints=[32]>()
             target = Concat<axis=0>(s, rest)
             y = Reshape(x, target)
           }"""
    )
    function = translated(model)
    reshape = next(op for op in function.graph.get_operations() if op.type == "Reshape")
    assert tf.get_static_value(reshape.inputs[1]).tolist() == [-1, 32]


def test_training_dropout_keeps_the_mean() -> None:
    x = np.ones([100, 1000], np.float32)
    model = onnx.parser.parse_model(
        """<ir_version: 10, opset_import: ["" : 18]> g (float[n,m] x, bool training) => (y, mask) {
             ratio = Constant<value_float=0.25>()
             y, mask = Dropout<seed=7>(x, ratio, training)
           }"""
    )
    function = translated(model)
    result = function(tf.constant(x), tf.constant(True))
    assert set(np.unique(result["y"])) == {0.0, np.float32(1 / 0.75)}
    np.testing.assert_array_equal(result["mask"], result["y"].numpy() != 0)
    np.testing.assert_allclose(result["y"].numpy().mean(), 1, atol=0.01)
    np.testing.assert_array_equal(function(tf.constant(x), tf.constant(False))["y"], x)
