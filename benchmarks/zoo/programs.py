"""SavedModels of plain TensorFlow: control flow of `tf.Module`s, and graphs as TensorFlow 1 wrote them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.zoo.entry import Entry

# x is float32[batch, time, 4], w float32[4, 4] and b float32[4] are variables.
Program = Callable[[Any, Any, Any, Any], Mapping[str, Any]]


def _while_loop(tf: Any, x: Any, w: Any, b: Any) -> Mapping[str, Any]:
    """A recurrence over a length that only running tells."""

    def step(t: Any, state: Any) -> tuple[Any, Any]:
        return t + 1, tf.tanh(state @ w + x[:, t] + b)

    _, state = tf.while_loop(lambda t, _: t < tf.shape(x)[1], step, [tf.constant(0), tf.zeros_like(x[:, 0])])
    return {"state": state}


def _until(tf: Any, x: Any, w: Any, b: Any) -> Mapping[str, Any]:
    """A loop that the data end."""
    norm, count = tf.while_loop(
        lambda value, _: tf.reduce_sum(value * value) > 1.0,
        lambda value, n: (value * 0.5, n + 1),
        [tf.reduce_sum(x @ w + b, 1), tf.constant(0)],
    )
    return {"norm": norm, "count": count}


def _cond(tf: Any, x: Any, w: Any, b: Any) -> Mapping[str, Any]:
    y = tf.cond(tf.reduce_mean(x) > 0.5, lambda: x @ w + b, lambda: tf.nn.relu(x @ tf.transpose(w)))
    return {"y": y}


def _case(tf: Any, x: Any, w: Any, b: Any) -> Mapping[str, Any]:
    choice = tf.shape(x)[0] % 3
    return {"y": tf.switch_case(choice, [lambda: x @ w, lambda: x + b, lambda: tf.tanh(x)])}


def _map_fn(tf: Any, x: Any, w: Any, b: Any) -> Mapping[str, Any]:
    return {"y": tf.map_fn(lambda row: tf.reduce_max(row @ w + b, 0), x)}


def _vectorized_map(tf: Any, x: Any, w: Any, b: Any) -> Mapping[str, Any]:
    return {"y": tf.vectorized_map(lambda row: tf.nn.softmax(row @ w + b), x)}


def _scan(tf: Any, x: Any, w: Any, b: Any) -> Mapping[str, Any]:
    steps = tf.transpose(x, [1, 0, 2])
    return {"y": tf.transpose(tf.scan(lambda state, step: tf.tanh(state @ w + step), steps), [1, 0, 2]) + b}


def _tensor_array(tf: Any, x: Any, w: Any, b: Any) -> Mapping[str, Any]:
    """Every second step, gathered in a list that the loop fills."""
    length = tf.shape(x)[1] // 2
    array = tf.TensorArray(tf.float32, size=length, element_shape=[None, 4])
    array = tf.while_loop(
        lambda t, _: t < length, lambda t, a: (t + 1, a.write(t, x[:, 2 * t] @ w + b)), [tf.constant(0), array]
    )[1]
    return {"y": tf.transpose(array.stack(), [1, 0, 2])}


def _nested(tf: Any, x: Any, w: Any, b: Any) -> Mapping[str, Any]:
    """A condition in a loop."""

    def step(t: Any, state: Any) -> tuple[Any, Any]:
        return t + 1, tf.cond(t % 2 == 0, lambda: tf.tanh(state @ w), lambda: state + b)

    return {"y": tf.while_loop(lambda t, _: t < tf.shape(x)[1], step, [tf.constant(0), x[:, 0]])[1]}


def _segments(tf: Any, x: Any, w: Any, b: Any) -> Mapping[str, Any]:
    """Scores of the best steps: top-k, gather with a batch axis, segment sums."""
    scores, places = tf.math.top_k(tf.reduce_sum(x @ w + b, -1), 2)
    chosen = tf.gather(x, places, batch_dims=1)
    return {
        "scores": scores,
        "places": places,
        "sums": tf.math.unsorted_segment_sum(tf.reduce_sum(chosen, 0), [0, 0], 2),
    }


def _strided(tf: Any, x: Any, w: Any, b: Any) -> Mapping[str, Any]:
    """Slices of every kind, and shapes that depend on the input's."""
    y = tf.reshape(x[:, ::-1, 1:3], [tf.shape(x)[0], -1])
    return {
        "y": y,
        "z": tf.concat([x[..., -1:], (x @ w)[:, :, tf.newaxis, 0]], -1),
        "b": tf.tile(b[None], [tf.shape(x)[0], 2]),
    }


def _einsum(tf: Any, x: Any, w: Any, b: Any) -> Mapping[str, Any]:
    return {"y": tf.einsum("btc,bsc,cd->btsd", x, x, w) + b}


def _fft(tf: Any, x: Any, w: Any, b: Any) -> Mapping[str, Any]:
    """A magnitude spectrogram."""
    frames = tf.signal.stft(tf.reshape(x @ w + b, [tf.shape(x)[0], -1]), 8, 4, fft_length=8)
    return {"spectrum": tf.abs(frames)}


_PROGRAMS: dict[str, Program] = {
    "while_loop": _while_loop,
    "until": _until,
    "cond": _cond,
    "switch_case": _case,
    "map_fn": _map_fn,
    "vectorized_map": _vectorized_map,
    "scan": _scan,
    "tensor_array": _tensor_array,
    "cond_in_loop": _nested,
    "segments": _segments,
    "strided": _strided,
    "einsum": _einsum,
    "stft": _fft,
}


def _save(program: Program, folder: Path) -> Path:
    import tensorflow as tf

    class Module(tf.Module):
        def __init__(self) -> None:
            generator = tf.random.Generator.from_seed(0)
            self.w = tf.Variable(generator.normal([4, 4]), name="w")
            self.b = tf.Variable(generator.normal([4]), name="b")

        @tf.function(input_signature=[tf.TensorSpec([None, None, 4], tf.float32, "x")], autograph=False)
        def run(self, x):  # type: ignore[no-untyped-def]
            return program(tf, x, self.w, self.b)

    module = Module()
    tf.saved_model.save(module, str(folder / "model"), signatures=module.run)
    return folder / "model"


def _save_graph(program: Callable[[Any, Any], Any], folder: Path) -> Path:
    """Save what code for TensorFlow 1 builds, as TensorFlow 1 did: in a session, with its own control flow."""
    import tensorflow.compat.v1 as v1

    v1.disable_control_flow_v2()
    with v1.Graph().as_default(), v1.Session() as session:
        x = v1.placeholder(v1.float32, [None, 8], name="x")
        y = program(v1, x)
        session.run(v1.global_variables_initializer())
        v1.saved_model.simple_save(session, str(folder / "model"), inputs={"x": x}, outputs={"y": y})
    return folder / "model"


def _weight(v1: Any, name: str, shape: list[int]) -> Any:
    return v1.get_variable(name, shape, initializer=v1.random_normal_initializer(seed=1), use_resource=False)


def _two_layers(v1: Any, x: Any) -> Any:
    """The network of the old tutorials."""
    hidden = v1.nn.relu(v1.matmul(x, _weight(v1, "h1", [8, 16])) + _weight(v1, "b1", [16]))
    return v1.matmul(hidden, _weight(v1, "out", [16, 3])) + _weight(v1, "bout", [3])


def _v1_cond(v1: Any, x: Any) -> Any:
    """Switch and Merge."""
    w = _weight(v1, "w", [8, 8])
    return v1.cond(v1.reduce_sum(x) > 0, lambda: v1.matmul(x, w), lambda: -x)


def _v1_loop(v1: Any, x: Any) -> Any:
    """Enter, NextIteration and Exit."""
    w = _weight(v1, "w", [8, 8])
    return v1.while_loop(lambda n, _: n < 3, lambda n, y: (n + 1, v1.tanh(v1.matmul(y, w))), [v1.constant(0), x])[1]


_GRAPHS = {"two_layers": _two_layers, "cond": _v1_cond, "while_loop": _v1_loop}

PROGRAMS = {
    **{f"program/{name}": Entry("tf.Module", partial(_save, program)) for name, program in _PROGRAMS.items()},
    **{f"tf1/{name}": Entry("TensorFlow 1", partial(_save_graph, program)) for name, program in _GRAPHS.items()},
}
