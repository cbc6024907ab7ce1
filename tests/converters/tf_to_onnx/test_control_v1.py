"""Branches, loops and lists of TensorFlow 1: what they become computes what a session computes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tests.converters.tf_to_onnx.cases import operators, run
from translate.converters.tf_to_onnx.models import from_model
from translate.errors import CannotTranslateError
from translate.models.tf_graph import GraphModel

v1 = tf.compat.v1
W = np.random.default_rng(0).normal(size=(4, 4)).astype(np.float32) / 2


@pytest.fixture(autouse=True)
def control_flow_of_version_1() -> Iterator[None]:
    v1.disable_control_flow_v2()
    yield
    v1.enable_control_flow_v2()


def check(build: Callable[[Any], Any], *sizes: int | None) -> list[str]:
    """Compare the exported function of x `[batch, *sizes, 4]` with a session, and return its operators."""
    with tf.Graph().as_default() as graph:
        x = v1.placeholder(tf.float32, [None, *sizes, 4], name="x")
        outputs = [tf.identity(y, name=f"y{place}") for place, y in enumerate(tf.nest.flatten(build(x)))]
        names = [tensor.op.name for tensor in outputs]
    model = from_model(GraphModel(graph.as_graph_def(), ["x"], names))
    generator = np.random.default_rng(1)
    with v1.Session(graph=graph) as session:
        # Signs change from one to the next: each branch is taken.
        for batch, sign in ((1, 1), (3, -1), (4, 1), (2, -1)):
            shape = [batch, *(batch + 2 if size is None else size for size in sizes), 4]
            fed = sign * np.abs(generator.normal(size=shape)).astype(np.float32)
            expected = session.run(outputs, {x: fed})
            for ours, theirs in zip(run(model, {"x": fed}), expected, strict=True):
                assert ours.dtype == theirs.dtype and ours.shape == theirs.shape
                np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)
    return operators(model)


def positive(x: Any) -> Any:
    return tf.reduce_sum(x) > 0


def two_results(x: Any) -> Any:
    return v1.cond(positive(x), lambda: (x @ W, tf.constant(1.0)), lambda: (-x, tf.constant(2.0)))


def nested(x: Any) -> Any:
    inner = v1.cond(x[0, 0] > 0.5, lambda: x * 2.0, lambda: x + 1.0)
    return v1.cond(
        positive(x),
        lambda: v1.cond(x[0, 0] > 0.8, lambda: inner * 2.0, lambda: x),
        lambda: v1.cond(x[0, 0] < -0.8, lambda: tf.zeros_like(x), lambda: inner),
    )


def one_condition_twice(x: Any) -> Any:
    condition = positive(x)
    y = v1.cond(condition, lambda: x * 2.0, lambda: x + 1.0)
    return v1.cond(condition, lambda: y * x, lambda: y - x), y


def counted(x: Any) -> Any:
    return v1.while_loop(lambda n, _: n < 3, lambda n, y: (n + 1, tf.tanh(y @ W)), [tf.constant(0), x])


def ended_by_data(x: Any) -> Any:
    return v1.while_loop(lambda n, y: tf.reduce_sum(y * y) > 0.5, lambda n, y: (n + 1, y * 0.5), [tf.constant(0), x])


def branch_in_loop(x: Any) -> Any:
    def step(n: Any, y: Any) -> Any:
        return n + 1, v1.cond(tf.equal(n % 2, 0), lambda: tf.tanh(y @ W), lambda: y + x)

    return v1.while_loop(lambda n, _: n < 5, step, [tf.constant(0), x])[1]


def loop_in_loop(x: Any) -> Any:
    def outer(i: Any, y: Any) -> Any:
        return i + 1, v1.while_loop(lambda j, _: j < i, lambda j, z: (j + 1, z @ W + x), [tf.constant(0), y])[1]

    return v1.while_loop(lambda i, _: i < 4, outer, [tf.constant(0), x])[1]


def loops_in_branches(x: Any) -> Any:
    return v1.cond(positive(x), lambda: counted(x)[1], lambda: ended_by_data(x)[1])


def growing(x: Any) -> Any:
    shape = tf.TensorShape([None, 4])
    return v1.while_loop(
        lambda n, _: n < 3,
        lambda n, y: (n + 1, tf.concat([y, y[:1]], 0)),
        [tf.constant(0), x],
        [tf.TensorShape([]), shape],
    )[1]


@pytest.mark.parametrize(
    "build",
    [
        *(two_results, nested, one_condition_twice, counted, ended_by_data),
        *(branch_in_loop, loop_in_loop, loops_in_branches, growing),
    ],
)
def test_branches_and_loops(build: Callable[[Any], Any]) -> None:
    assert {"If", "Loop"} & set(check(build))


def test_a_known_condition_leaves_no_branch() -> None:
    assert "If" not in check(lambda x: v1.cond(tf.constant(value=False), lambda: x * 2.0, lambda: x + 1.0))


@pytest.mark.parametrize("length", [5, None])
def test_a_recurrence_over_lists(length: int | None) -> None:
    def recurrence(x: Any) -> Any:
        count = tf.shape(x)[1]
        given = tf.TensorArray(tf.float32, size=count).unstack(tf.transpose(x, [1, 0, 2]))

        def step(t: Any, state: Any, made: Any) -> Any:
            state = tf.tanh(given.read(t) @ W + state)
            return t + 1, state, made.write(t, state)

        start = [tf.constant(0), tf.zeros_like(x[:, 0]), tf.TensorArray(tf.float32, size=count)]
        _, state, made = v1.while_loop(lambda t, *_: t < count, step, start)
        return tf.transpose(made.stack(), [1, 0, 2]), state, made.size()

    check(recurrence, length)


def test_map_fn() -> None:
    check(lambda x: v1.map_fn(lambda row: tf.reduce_max(row @ W, 0), x), 3)


def test_some_elements_of_a_list() -> None:
    def chosen(x: Any) -> Any:
        return tf.TensorArray(tf.float32, size=3).unstack(tf.transpose(x, [1, 0, 2])).gather([2, 0])

    check(chosen, 3)


def test_a_switch_that_belongs_to_nothing_is_refused() -> None:
    with tf.Graph().as_default() as graph:
        x = v1.placeholder(tf.float32, [], name="x")
        tf.raw_ops.Switch(data=x, pred=x > 0.0, name="lonely")
    model = GraphModel(graph.as_graph_def(), ["x"], ["lonely:1"])
    with pytest.raises(CannotTranslateError, match="TensorFlow 1's"):
        from_model(model)


def test_a_circle_that_is_no_loop_is_refused_at_once() -> None:
    """A frame without a condition, as no TensorFlow wrote it."""
    graph = v1.GraphDef()
    with tf.Graph().as_default() as made:
        x = v1.placeholder(tf.float32, [], name="x")
        entered = tf.raw_ops.Enter(data=x, frame_name="frame", name="enter")
        merged, _ = tf.raw_ops.Merge(inputs=[entered, entered], name="merge")
        tf.raw_ops.Exit(data=tf.raw_ops.NextIteration(data=merged + 1.0, name="next"), name="exit")
    graph.CopyFrom(made.as_graph_def())
    next(node for node in graph.node if node.name == "merge").input[1] = "next"
    with pytest.raises(CannotTranslateError, match="TensorFlow 1's"):
        from_model(GraphModel(graph, ["x"], ["exit"]))
