"""TensorFlow functions in float64: every part of a graph is, but for what has to stay float32."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from translate.models.tf_double import DoubleFunction

SPEC = tf.TensorSpec([None, 4], tf.float32)
WEIGHT = np.random.default_rng(0).standard_normal([4, 4]).astype(np.float32)
BIAS = np.float32(0.1)
# Its last digits are lost where any step is computed in float32.
X = np.random.default_rng(1).standard_normal([3, 4]).astype(np.float32)


def with_variable(x: Any) -> Any:
    return tf.matmul(x, VARIABLE) + BIAS


def with_a_call(x: Any) -> Any:
    return INNER(x)[1] * 3.0


def with_a_loop(x: Any) -> Any:
    return tf.while_loop(lambda i, _: i < 3, lambda i, y: (i + 1, tf.tanh(tf.matmul(y, VARIABLE))), (0, x))[1]


def with_a_branch(x: Any) -> Any:
    return tf.cond(tf.reduce_sum(x) > 1e9, lambda: x, lambda: tf.exp(x * BIAS))


def with_a_list(x: Any) -> Any:
    return tf.map_fn(lambda row: tf.sin(row) + row, x)


def with_a_gathered_weight(x: Any) -> Any:
    return tf.sqrt(tf.nn.embedding_lookup(VARIABLE, [2, 1, 0]) ** 2) * x


def with_a_weight_read_twice(x: Any) -> Any:
    weight = VARIABLE.read_value()
    return tf.matmul(tf.matmul(x, weight), weight)


def with_a_cast(x: Any) -> Any:
    return tf.cast(tf.shape(x)[0], tf.float32) / 7 * x


VARIABLE = tf.Variable(WEIGHT)
INNER = tf.function(lambda x: (x, tf.nn.softmax(tf.matmul(x, VARIABLE))), autograph=False)
WIDE, WIDE_X = WEIGHT.astype(np.float64), X.astype(np.float64)


def softmax(x: np.ndarray) -> np.ndarray:
    return np.exp(x) / np.exp(x).sum(-1, keepdims=True)


def looped() -> np.ndarray:
    y = WIDE_X
    for _ in range(3):
        y = np.tanh(y @ WIDE)
    return y


CASES: dict[str, tuple[Callable[[Any], Any], np.ndarray]] = {
    "variable": (with_variable, WIDE_X @ WIDE + np.float64(BIAS)),
    "call": (with_a_call, 3 * softmax(WIDE_X @ WIDE)),
    "loop": (with_a_loop, looped()),
    "branch": (with_a_branch, np.exp(WIDE_X * np.float64(BIAS))),
    "list": (with_a_list, np.sin(WIDE_X) + WIDE_X),
    "gathered weight": (with_a_gathered_weight, np.abs(WIDE[[2, 1, 0]]) * WIDE_X),
    "weight read twice": (with_a_weight_read_twice, WIDE_X @ WIDE @ WIDE),
    "cast": (with_a_cast, 3 / 7 * WIDE_X),
}


@pytest.mark.parametrize(("function", "expected"), CASES.values(), ids=CASES)
def test_a_function_is_computed_in_float64(function: Callable[[Any], Any], expected: np.ndarray) -> None:
    concrete = tf.function(function, input_signature=[SPEC], autograph=False).get_concrete_function()
    results = DoubleFunction(concrete)([tf.constant(X)])
    assert results is not None and results[0].dtype == tf.float64
    np.testing.assert_allclose(results[0].numpy(), expected, rtol=1e-14, atol=1e-15)


def test_what_has_no_kernel_for_float64_is_computed_in_float32() -> None:
    def normalised(x: Any) -> Any:
        scale = tf.ones([2])
        image = tf.reshape(x, [-1, 1, 2, 2])
        return tf.compat.v1.nn.fused_batch_norm(image, scale, scale, scale, scale, is_training=False)[0] + 1e-12

    concrete = tf.function(normalised, input_signature=[SPEC], autograph=False).get_concrete_function()
    results = DoubleFunction(concrete)([tf.constant(X)])
    assert results is not None and results[0].dtype == tf.float64
    expected = concrete(tf.constant(X)).numpy().astype(np.float64)
    np.testing.assert_array_equal(results[0].numpy() - 1e-12, (expected + 1e-12) - 1e-12)


def test_random_numbers_stay_those_of_the_source() -> None:
    def noisy(x: Any) -> Any:
        return tf.random.stateless_normal(tf.shape(x), [1, 2])

    concrete = tf.function(noisy, input_signature=[SPEC], autograph=False).get_concrete_function()
    results = DoubleFunction(concrete)([tf.constant(X)])
    assert results is not None
    np.testing.assert_array_equal(results[0].numpy(), concrete(tf.constant(X)).numpy())


def test_integers_keep_their_dtype() -> None:
    concrete = tf.function(lambda x: tf.argmax(x, 1), input_signature=[SPEC]).get_concrete_function()
    results = DoubleFunction(concrete)([tf.constant(X)])
    assert results is not None and results[0].dtype == tf.int64


def test_a_weight_is_cast_when_what_it_is_multiplied_with_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[Any] = []
    load = tf.graph_util.import_graph_def

    def recorded(definition: Any, name: str) -> Any:
        written.append(definition)
        return load(definition, name=name)

    monkeypatch.setattr(tf.graph_util, "import_graph_def", recorded)

    def layers(x: Any) -> Any:
        return tf.matmul(tf.nn.relu(tf.matmul(x, VARIABLE, name="first"), name="relu"), VARIABLE, name="second")

    concrete = tf.function(layers, input_signature=[SPEC], autograph=False).get_concrete_function()
    results = DoubleFunction(concrete)([tf.constant(X)])
    assert results is not None
    nodes = {node.name: node for node in written[0].node}
    # TensorFlow computes whatever waits for nothing: all weights would be there at once.
    for reader, waited_for in (("first", "x"), ("second", "relu")):
        cast = nodes[nodes[reader].input[1].partition(":")[0]]
        assert cast.op == "Cast" and f"^{waited_for}" in cast.input
