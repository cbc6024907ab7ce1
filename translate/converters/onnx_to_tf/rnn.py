"""Recurrent networks: LSTM, GRU and the simple RNN, in one loop over time for each direction."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import tensorflow as tf

from translate.converters.onnx_to_tf.shapes import dims
from translate.converters.onnx_to_tf.table import lower
from translate.converters.onnx_to_tf.time import State, over_time
from translate.converters.operators.rnn import BACKWARDS, Direction, named_activations

Activation = Callable[[tf.Tensor], tf.Tensor]
# From the share of the input in the gates at one time, [N, gates * hidden], and the state before, to the state after.
# The hidden state, [N, hidden], comes first in it.
Step = Callable[[tf.Tensor, State], State]

# Activations by name in lower case, of a tensor, alpha and beta.
_ACTIVATIONS: dict[str, Callable[..., tf.Tensor]] = {
    "relu": tf.nn.relu,
    "tanh": tf.tanh,
    "sigmoid": tf.sigmoid,
    "softsign": tf.nn.softsign,
    "softplus": tf.nn.softplus,
    "leakyrelu": tf.nn.leaky_relu,
    "thresholdedrelu": lambda x, alpha: tf.where(x > alpha, x, tf.zeros_like(x)),
    "elu": lambda x, alpha: tf.where(x > 0, x, alpha * tf.math.expm1(tf.minimum(x, 0))),
    "affine": lambda x, alpha, beta: alpha * x + beta,
    "scaledtanh": lambda x, alpha, beta: alpha * tf.tanh(beta * x),
    "hardsigmoid": lambda x, alpha, beta: tf.clip_by_value(alpha * x + beta, 0, 1),
}


@lower("LSTM", since=7)
def lstm(
    x: tf.Tensor,
    w: tf.Tensor,
    r: tf.Tensor,
    b: tf.Tensor | None = None,
    sequence_lens: tf.Tensor | None = None,
    initial_h: tf.Tensor | None = None,
    initial_c: tf.Tensor | None = None,
    p: tf.Tensor | None = None,
    *,
    activation_alpha: Sequence[float] | None = None,
    activation_beta: Sequence[float] | None = None,
    activations: Sequence[str] | None = None,
    clip: float | None = None,
    direction: Direction = "forward",
    hidden_size: int | None = None,
    input_forget: int = 0,
    layout: int = 0,
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Run long short-term memory, with peepholes where `p` is given.

    `x` is [T, N, I] ([N, T, I] in layout 1), `w` [D, 4H, I], `r` [D, 4H, H] and `b` [D, 8H] with the gates in the
    order input, output, forget, cell; `p` is [D, 3H]. Returns [T, D, N, H] and the last two states, [D, N, H].
    `clip` bounds what goes into the gates and the cell, and not the cell's state, as in onnxruntime.
    """
    directions = BACKWARDS[direction]
    names = activations or ("Sigmoid", "Tanh", "Tanh") * len(directions)
    functions = named_activations(_ACTIVATIONS, names, activation_alpha, activation_beta)

    def cell(d: int) -> tuple[tf.Tensor, Step]:
        gate, candidate, output = functions[3 * d : 3 * d + 3]
        gate, candidate = _clipped(gate, clip), _clipped(candidate, clip)
        bias = None if b is None else tf.add_n(tf.split(b[d], 2))
        recurrent = tf.transpose(r[d])
        size = dims(r)[2]

        def step(projected: tf.Tensor, state: State) -> State:
            hidden, memory = state
            gates, c = tf.split(projected + tf.matmul(hidden, recurrent), [3 * size, size], axis=1)
            i, o, f = tf.split(gate(gates), 3, axis=1)
            memory = (1 - i if input_forget else f) * memory + i * candidate(c)
            return o * output(memory), memory

        def step_with_peepholes(projected: tf.Tensor, state: State) -> State:
            hidden, memory = state
            i, o, f, c = tf.split(projected + tf.matmul(hidden, recurrent), 4, axis=1)
            i = gate(i + p_i * memory)
            f = 1 - i if input_forget else gate(f + p_f * memory)
            memory = f * memory + i * candidate(c)
            return gate(o + p_o * memory) * output(memory), memory

        projected = _project(x, w[d], bias)
        if p is None:
            return projected, step
        p_i, p_o, p_f = tf.split(p[d], 3)
        return projected, step_with_peepholes

    y, (hidden, memory) = _run(cell, directions, r, x, sequence_lens, (initial_h, initial_c), layout)
    return y, hidden, memory


@lower("GRU", since=7)
def gru(
    x: tf.Tensor,
    w: tf.Tensor,
    r: tf.Tensor,
    b: tf.Tensor | None = None,
    sequence_lens: tf.Tensor | None = None,
    initial_h: tf.Tensor | None = None,
    *,
    activation_alpha: Sequence[float] | None = None,
    activation_beta: Sequence[float] | None = None,
    activations: Sequence[str] | None = None,
    clip: float | None = None,
    direction: Direction = "forward",
    hidden_size: int | None = None,
    layout: int = 0,
    linear_before_reset: int = 0,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Run gated recurrent units.

    `x` is [T, N, I] ([N, T, I] in layout 1), `w` [D, 3H, I], `r` [D, 3H, H] and `b` [D, 6H] with the gates in the
    order update, reset, hidden. Returns [T, D, N, H] and the last state, [D, N, H].
    """
    directions = BACKWARDS[direction]
    names = activations or ("Sigmoid", "Tanh") * len(directions)
    functions = named_activations(_ACTIVATIONS, names, activation_alpha, activation_beta)
    size = dims(r)[2]

    def cell(d: int) -> tuple[tf.Tensor, Step]:
        gate, candidate = (_clipped(function, clip) for function in functions[2 * d : 2 * d + 2])
        recurrent = tf.transpose(r[d])
        bias, candidate_bias = None, None
        if b is not None:
            bias, recurrent_bias = tf.split(b[d], 2)
            gate_bias, candidate_bias = tf.split(recurrent_bias, [2 * size, size])
            # Before a reset, the candidate's recurrent bias cannot be added ahead of the loop.
            bias += tf.concat([gate_bias, tf.zeros_like(candidate_bias)], 0) if linear_before_reset else recurrent_bias

        def step_reset_after(projected: tf.Tensor, state: State) -> State:
            (hidden,) = state
            zr, c = tf.split(projected, [2 * size, size], axis=1)
            recurrent_zr, recurrent_c = tf.split(tf.matmul(hidden, recurrent), [2 * size, size], axis=1)
            z, reset = tf.split(gate(zr + recurrent_zr), 2, axis=1)
            if candidate_bias is not None:
                recurrent_c += candidate_bias
            new = candidate(c + reset * recurrent_c)
            return (new + z * (hidden - new),)

        recurrent_gates, recurrent_candidate = recurrent[:, : 2 * size], recurrent[:, 2 * size :]

        def step_reset_before(projected: tf.Tensor, state: State) -> State:
            (hidden,) = state
            zr, c = tf.split(projected, [2 * size, size], axis=1)
            z, reset = tf.split(gate(zr + tf.matmul(hidden, recurrent_gates)), 2, axis=1)
            new = candidate(c + tf.matmul(reset * hidden, recurrent_candidate))
            return (new + z * (hidden - new),)

        return _project(x, w[d], bias), step_reset_after if linear_before_reset else step_reset_before

    y, (hidden,) = _run(cell, directions, r, x, sequence_lens, (initial_h,), layout)
    return y, hidden


@lower("RNN", since=7)
def rnn(
    x: tf.Tensor,
    w: tf.Tensor,
    r: tf.Tensor,
    b: tf.Tensor | None = None,
    sequence_lens: tf.Tensor | None = None,
    initial_h: tf.Tensor | None = None,
    *,
    activation_alpha: Sequence[float] | None = None,
    activation_beta: Sequence[float] | None = None,
    activations: Sequence[str] = ("Tanh", "Tanh"),
    clip: float | None = None,
    direction: Direction = "forward",
    hidden_size: int | None = None,
    layout: int = 0,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Run a simple recurrent network.

    `x` is [T, N, I] ([N, T, I] in layout 1), `w` [D, H, I], `r` [D, H, H] and `b` [D, 2H]. Returns [T, D, N, H] and
    the last state, [D, N, H].
    """
    directions = BACKWARDS[direction]
    functions = named_activations(_ACTIVATIONS, activations, activation_alpha, activation_beta)

    def cell(d: int) -> tuple[tf.Tensor, Step]:
        function = _clipped(functions[d], clip)
        bias = None if b is None else tf.add_n(tf.split(b[d], 2))
        recurrent = tf.transpose(r[d])

        def step(projected: tf.Tensor, state: State) -> State:
            return (function(projected + tf.matmul(state[0], recurrent)),)

        return _project(x, w[d], bias), step

    y, (hidden,) = _run(cell, directions, r, x, sequence_lens, (initial_h,), layout)
    return y, hidden


def _run(
    cell: Callable[[int], tuple[tf.Tensor, Step]],
    directions: Sequence[bool],
    r: tf.Tensor,
    x: tf.Tensor,
    sequence_lens: tf.Tensor | None,
    initial: Sequence[tf.Tensor | None],
    layout: int,
) -> tuple[tf.Tensor, list[tf.Tensor]]:
    """Run `cell` along time in each direction, and return all its hidden states and each of its last states."""
    time_axis, batch_axis = (1, 0) if layout else (0, 1)
    batch, size = dims(x)[batch_axis], dims(r)[2]
    outputs, lasts = [], []
    for d, backwards in enumerate(directions):
        projected, step = cell(d)
        if layout:
            projected = tf.transpose(projected, [1, 0, 2])
        state = tuple(
            tf.zeros([batch, size], x.dtype) if value is None else (value[:, d] if layout else value[d])
            for value in initial
        )
        output, last = _loop(step, projected, state, sequence_lens, backwards)
        outputs.append(output)
        lasts.append(last)
    # In layout 0 the directions follow time, in layout 1 they follow batch and time.
    y = tf.stack([tf.transpose(output, [1, 0, 2]) for output in outputs], 2) if layout else tf.stack(outputs, 1)
    return y, [tf.stack(states, time_axis and 1) for states in zip(*lasts, strict=True)]


def _loop(
    step: Step, projected: tf.Tensor, state: State, sequence_lens: tf.Tensor | None, backwards: bool
) -> tuple[tf.Tensor, State]:
    """Run `step` over `projected`, [T, N, gates * H]; return the hidden states, [T, N, H], and the last state.

    Where a sequence has ended, the output is zero and the state stays as it is. A backward run meets these steps
    first, so that it starts at the sequence's own end.
    """

    def masked(time: int | tf.Tensor, now: Sequence[tf.Tensor], before: State) -> tuple[tf.Tensor, State]:
        after = step(now[0], before)
        if sequence_lens is None:
            return after[0], after
        running = (tf.cast(time, sequence_lens.dtype) < sequence_lens)[:, tf.newaxis]
        output = tf.where(running, after[0], tf.zeros_like(after[0]))
        return output, tuple(tf.where(running, new, old) for new, old in zip(after, before, strict=True))

    return over_time(masked, [projected], state, dims(state[0]), backwards=backwards)


def _project(x: tf.Tensor, w: tf.Tensor, bias: tf.Tensor | None) -> tf.Tensor:
    """Multiply `x`, [.., .., I], by `w`, [gates * H, I], for all times at once, and add `bias`."""
    first, second, size = dims(x)
    flat = tf.matmul(tf.reshape(x, [-1, size]), w, transpose_b=True)
    if bias is not None:
        flat = tf.nn.bias_add(flat, bias)
    return tf.reshape(flat, [first, second, dims(w)[0]])


def _clipped(function: Activation, clip: float | None) -> Activation:
    return function if clip is None else lambda x: function(tf.clip_by_value(x, -clip, clip))
