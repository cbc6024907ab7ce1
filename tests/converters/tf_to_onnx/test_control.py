"""Branches, loops and lists, against TensorFlow."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from tests.converters.tf_to_onnx.cases import check, floats, operators


def test_branches() -> None:
    for value in (1.0, -1.0):
        x = np.full((2, 3), value, np.float32)
        check(lambda x: tf.cond(tf.reduce_sum(x) > 0.0, lambda: x + 1.0, lambda: x * 2.0), x)
    for number in range(-1, 4):
        check(lambda i: tf.switch_case(i, [lambda: 1.0, lambda: 2.0, lambda: 3.0]), np.asarray(number, np.int32))


def test_a_loop_of_known_length_has_no_condition() -> None:
    model = check(lambda x: tf.while_loop(lambda i, x: i < 5, lambda i, x: (i + 1, x * 1.5), [0, x])[1], floats("n"))
    (loop,) = (node for node in model.graph if node.op_type == "Loop")
    assert loop.inputs[1] is None


def test_a_loop_until_a_condition() -> None:
    check(lambda x: tf.while_loop(lambda x: tf.reduce_sum(x) < 100.0, lambda x: [x * 2.0], [x]), floats("n", low=0.5))


def test_arrays() -> None:
    model = check(lambda x: tf.map_fn(lambda row: tf.cumsum(row) * 2.0, x), floats("n", 3))
    assert "ScatterND" not in operators(model)
    check(lambda x: tf.scan(lambda a, row: a + row, x), floats("n", 3))

    def last_two(x: tf.Tensor) -> tf.Tensor:
        array = tf.TensorArray(tf.float32, 2)
        array = array.write(0, x[0]).write(1, x[1])
        return array.stack()

    check(last_two, floats("n", 3))
