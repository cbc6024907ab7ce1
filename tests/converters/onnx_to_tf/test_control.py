"""If, Loop and Scan: shapes that change, conditions, captured values, gradients, and what is refused.

Models are in ONNX's text form.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tests.converters.onnx_to_tf.cases import translated
from tests.converters.subgraphs import CHOOSE, DEEPEN, GROW, PRODUCT, SUM, parse
from translate.errors import CannotTranslateError

# Branches whose results have different numbers of axes, and an operator that does not mind.
RANKS = """g (bool c, float[1,n] x) => (float[] y) {
  z = If (c) <
    then_branch = t () => (float[m] a) { axis = Constant<value_ints=[0]> ()\n a = Squeeze (x, axis) },
    else_branch = e () => (float[1,m] a) { a = Neg (x) }>
  y = Abs (z)
}"""
X = np.float32([1, -2, 3])


@pytest.mark.parametrize(
    ("text", "inputs", "expected"),
    [
        (SUM, [np.int64(3), np.array(True), X, np.float32(100)], [4 * X, np.stack([2 * X, 3 * X, 4 * X])]),
        (SUM, [np.int64(9), np.array(True), X, np.float32(5)], [3 * X, np.stack([2 * X, 3 * X])]),
        (SUM, [np.int64(2**62), np.array(True), X, np.float32(5)], [3 * X, np.stack([2 * X, 3 * X])]),
        # Of what no step ever made, a size that is not static is 0.
        (SUM, [np.int64(4), np.array(False), X, np.float32(5)], [X, np.zeros([0, 0])]),
        (GROW, [np.int64(3), X], [np.array([*X, 0, 1, 2])]),
        (GROW, [np.int64(0), X], [X]),
        (PRODUCT, [X[:2], np.float32([[1, 2, 3], [4, 5, 6]])], [X[:2] * [6, 120], [[6, 6, 3], [-240, -60, -12]]]),
        (CHOOSE, [np.array(True), X], [np.array([*-X, *-X])]),
        (CHOOSE, [np.array(False), X], [abs(X)]),
        (RANKS, [np.array(True), X[None]], [abs(X)]),
        (RANKS, [np.array(False), X[None]], [abs(X[None])]),
        # TensorFlow's loop cannot carry a tensor that gets more axes: it is unrolled.
        (DEEPEN % 2, [X], [X[None, None]]),
    ],
)
def test_run(text: str, inputs: list[Any], expected: list[Any]) -> None:
    results = translated(parse(text))(*(tf.constant(value) for value in inputs))
    for actual, wanted in zip(results.values(), expected, strict=True):
        np.testing.assert_allclose(actual, wanted)


def test_a_known_condition_leaves_one_branch() -> None:
    model = parse(
        """g (float[n] x) => (float[n] y) {
             c = Constant<value_int=0> ()
             d = Cast<to=9> (c)
             y = If (d) < then_branch = t () => (float[n] a) { a = Nonsense (x) },
                          else_branch = e () => (float[n] a) { a = Neg (x) } >
           }"""
    )
    function = translated(model)
    np.testing.assert_array_equal(function(tf.constant(X))["y"], -X)
    assert not any("If" in operation.type for operation in function.graph.get_operations())


def test_gradient_through_loop_and_branch() -> None:
    model = parse(
        """g (int64 m, bool c, float[n] x) => (float[n] y) {
             z = If (c) < then_branch = t () => (float[n] a) { a = Mul (x, x) },
                          else_branch = e () => (float[n] a) { a = Neg (x) } >
             y = Loop (m, , z) <
               body = b (int64 i, bool going, float[n] s) => (bool on, float[n] t) {
                 on = Identity (going)
                 t = Mul (s, x)
               }>
           }"""
    )
    function, x = translated(model), tf.constant(X)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = function(tf.constant(2, tf.int64), tf.constant(True), x)["y"]
    np.testing.assert_allclose(y, X**4)
    np.testing.assert_allclose(tape.gradient(y, x), 4 * X**3)


def test_gradient_through_scan() -> None:
    function = translated(parse(PRODUCT))
    start, x = tf.constant(X[:2]), tf.constant([[1.0, 2, 3], [4, 5, 6]])
    with tf.GradientTape() as tape:
        tape.watch(x)
        last = function(start, x)["last"]
    np.testing.assert_allclose(tape.gradient(last, x), last.numpy()[:, None] / x.numpy())


# A list cannot be carried through TensorFlow's loop: it is written out where that is possible.
COLLECT = """g (%s float[n] x) => (float[k] y) {
  %s
  empty = SequenceEmpty ()
  list = Loop (m, , empty) <
    body = b (int64 i, bool going, seq(float[n]) s) => (bool on, seq(float[n]) t) {
      on = Identity (going)
      f = Cast<to=1> (i)
      e = Add (x, f)
      t = SequenceInsert (s, e)
    }>
  y = ConcatFromSequence<axis=0> (list)
}"""


def test_a_sequence_through_a_loop_of_known_length() -> None:
    model = parse(COLLECT % ("", "m = Constant<value_int=3> ()"))
    np.testing.assert_array_equal(translated(model)(tf.constant(X))["y"], np.concatenate([X, X + 1, X + 2]))


def test_a_sequence_that_a_loop_of_unknown_length_fills_and_that_is_joined() -> None:
    function = translated(parse(COLLECT % ("int64 m,", "")))
    for steps in (1, 3):
        y = function(tf.constant(steps, tf.int64), tf.constant(X))["y"]
        np.testing.assert_array_equal(y, np.concatenate([X + i for i in range(steps)]))


def test_any_other_sequence_through_a_loop_of_unknown_length_is_refused() -> None:
    text = COLLECT.replace("y = ConcatFromSequence<axis=0> (list)", "last = Sub (m, one)  y = SequenceAt (list, last)")
    with pytest.raises(CannotTranslateError, match="how often it runs is not known") as caught:
        translated(parse(text % ("int64 m,", "one = Constant<value_int=1> ()")))
    assert [problem.operator for problem in caught.value.problems if problem.operator == "Loop"] == ["Loop"]


def test_a_problem_in_a_loop_is_counted_once() -> None:
    text = SUM.replace("t = Add (s, x)", "t = Nonsense (s, x)")
    with pytest.raises(CannotTranslateError) as caught:
        translated(parse(text))
    assert [(problem.operator, problem.count) for problem in caught.value.problems] == [("Nonsense", 1)]
