"""What recurrent language models are made of: linear attention, and the short causal convolution before it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import tensorflow as tf

from translate.converters.onnx_to_tf.shapes import dims
from translate.converters.onnx_to_tf.table import lower
from translate.converters.onnx_to_tf.time import State, over_time
from translate.converters.onnx_to_tf.widen import HALVES, widen
from translate.errors import UnsupportedError


@lower("CausalConvWithState", since=27)
def causal_conv_with_state(
    x: tf.Tensor,
    weight: tf.Tensor,
    bias: tf.Tensor | None = None,
    past_state: tf.Tensor | None = None,
    *,
    activation: Literal["none", "silu", "swish"] = "none",
) -> tuple[tf.Tensor, tf.Tensor]:
    """Convolve each channel of x [N, C, L] with its own kernel, weight [C, 1, k], over the past alone.

    `past_state`, [N, C, k - 1], is what came before, else zeros. Returns [N, C, L] and the state to come.
    Limits: k must be known when translating.
    """
    size = weight.shape[2]
    if size is None:
        raise UnsupportedError("the size of the kernel is not known")
    batch, channels, length = dims(x)
    past = tf.zeros([batch, channels, size - 1], x.dtype) if past_state is None else past_state
    padded = tf.concat([past, x], 2)
    # Kernels are short, and so shifted sums beat a convolution, which would have to be channels last.
    wide, kernel = widen(padded, *HALVES), widen(weight[:, 0], *HALVES)
    result = tf.add_n([wide[:, :, i : i + length] * kernel[:, i, tf.newaxis] for i in range(size)])
    if bias is not None:
        result += widen(bias, *HALVES)[:, tf.newaxis]
    if activation != "none":
        result = tf.nn.silu(result)
    return tf.cast(result, x.dtype), padded[:, :, length:]


@lower("LinearAttention", since=27)
def linear_attention(
    query: tf.Tensor,
    key: tf.Tensor,
    value: tf.Tensor,
    past_state: tf.Tensor | None = None,
    decay: tf.Tensor | None = None,
    beta: tf.Tensor | None = None,
    *,
    chunk_size: int = 64,
    kv_num_heads: int,
    q_num_heads: int,
    scale: float = 0.0,
    update_rule: Literal["linear", "gated", "delta", "gated_delta"] = "gated_delta",
) -> tuple[tf.Tensor, tf.Tensor]:
    """Read a matrix of memory with each query, after it has decayed and taken up the key's value.

    `query` is [N, T, Hq * K], `key` [N, T, H * K], `value` [N, T, H * V], `past_state` [N, H, K, V], `decay` (the
    logarithm of what is kept) [N, T, H] or [N, T, H * K], `beta` (how much is taken up) [N, T, H] or [N, T, 1].
    Returns [N, T, Hq * V] and the last state. The steps are computed one after another, in float32 at least;
    `chunk_size` is a hint for other implementations. `decay` and `beta` are given as the update rule needs them.
    """
    heads, group = kv_num_heads, q_num_heads // kv_num_heads
    batch, times, _ = dims(query)
    dtype = query.dtype

    def time_major(x: tf.Tensor, *sizes: int) -> tf.Tensor:
        return tf.transpose(
            widen(tf.reshape(x, [batch, times, *sizes, -1]), *HALVES), [1, 0, *range(2, len(sizes) + 3)]
        )

    queries = time_major(query, heads, group)
    inputs = [queries, time_major(key, heads), time_major(value, heads)]
    inputs += [] if decay is None else [time_major(decay, heads)]
    inputs += [] if beta is None else [time_major(beta, dims(beta)[2])]
    key_size, value_size = dims(inputs[1])[3], dims(inputs[2])[3]
    factor = scale or tf.math.rsqrt(tf.cast(key_size, queries.dtype))

    def step(time: int | tf.Tensor, now: Sequence[tf.Tensor], state: State) -> tuple[tf.Tensor, State]:
        (memory,), (q, k, v) = state, now[:3]
        if decay is not None:
            memory *= tf.exp(now[3])[..., tf.newaxis]
        if beta is not None:
            v = now[-1] * (v - tf.linalg.matvec(memory, k, transpose_a=True))
        memory += k[..., :, tf.newaxis] * v[..., tf.newaxis, :]
        return factor * tf.matmul(q, memory), (memory,)

    if past_state is None:
        start = tf.zeros([batch, heads, key_size, value_size], queries.dtype)
    else:
        start = widen(past_state, *HALVES)
    sizes = [batch, heads, group, dims(inputs[2])[3]]
    result, (memory,) = over_time(step, inputs, (start,), sizes)
    result = tf.reshape(tf.transpose(result, [1, 0, 2, 3, 4]), [batch, times, q_num_heads * value_size])
    return tf.cast(result, dtype), tf.cast(memory, dtype if past_state is None else past_state.dtype)
