"""Attention and rotary position embedding."""

from __future__ import annotations

from typing import Literal

import numpy as np
import tensorflow as tf

from translate.converters.onnx_to_tf.dtypes import tf_dtype
from translate.converters.onnx_to_tf.shapes import dims, rank
from translate.converters.onnx_to_tf.table import lower
from translate.converters.onnx_to_tf.windows import Size
from translate.converters.operators.attention import allowed

Outputs = tuple[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor]


@lower("Attention", since=23)
def attention(
    q: tf.Tensor,
    k: tf.Tensor,
    v: tf.Tensor,
    attn_mask: tf.Tensor | None = None,
    past_key: tf.Tensor | None = None,
    past_value: tf.Tensor | None = None,
    nonpad_kv_seqlen: tf.Tensor | None = None,
    *,
    is_causal: int = 0,
    kv_num_heads: int | None = None,
    left_window_size: int = -1,
    q_num_heads: int | None = None,
    qk_matmul_output_mode: Literal[0, 1, 2, 3] = 0,
    right_window_size: int = -1,
    scale: float | None = None,
    softcap: float = 0.0,
    softmax_precision: int | None = None,
) -> Outputs:
    """Scaled dot-product attention of q [N, heads, Q, D] on k [N, kv_heads, K, D] and v [N, kv_heads, K, V].

    Or of q [N, Q, heads · D] on k [N, K, kv_heads · D] and v [N, K, kv_heads · V]. Past keys and values come before k
    and v. `attn_mask` broadcasts to [N, heads, Q, K]. Returns y in the form of q; all keys and values
    [N, kv_heads, past + K, D or V]; and the scores [N, heads, Q, past + K] after the step that
    `qk_matmul_output_mode` names. A query that may attend to nothing gives zeros.
    Opset 24 added `nonpad_kv_seqlen`, and 25 the windows.
    """
    packed = rank(q) == 3
    if packed:
        q, k, v = (_split_heads(q, q_num_heads), _split_heads(k, kv_num_heads), _split_heads(v, kv_num_heads))
    past: Size = 0 if past_key is None else dims(past_key)[2]
    k = k if past_key is None else tf.concat([past_key, k], 2)
    v = v if past_value is None else tf.concat([past_value, v], 2)
    batch, heads, queries, depth = dims(q)
    keys, kv_heads = dims(k)[2], dims(k)[1]
    if scale is None:
        scale = 1 / depth**0.5 if isinstance(depth, int) else tf.math.rsqrt(tf.cast(depth, tf.float32))

    # Several heads of queries share one of keys: their queries are stacked, so that nothing has to be repeated.
    stacked = tf.reshape(q, [batch, kv_heads, heads // kv_heads * queries, depth])
    # The specification scales both by the root of this; to scale the queries alone spares the cache of keys a copy.
    scores = tf.matmul(stacked * tf.cast(scale, q.dtype), k, transpose_b=True)
    scores = tf.reshape(scores, [batch, heads, queries, keys])
    exposed = scores
    if softcap > 0:
        scores = softcap * tf.tanh(scores / softcap)
    exposed = scores if qk_matmul_output_mode == 1 else exposed

    end = None if nonpad_kv_seqlen is None else tf.cast(nonpad_kv_seqlen, tf.int32)[:, None, None, None]
    query = tf.range(queries)[:, None] + (past if end is None else end - queries)
    visible = allowed(query, tf.range(keys), end, is_causal, left_window_size, right_window_size)
    bias = _bias(attn_mask, visible, keys, q.dtype)
    scores = scores if bias is None else scores + bias
    exposed = scores if qk_matmul_output_mode == 2 else exposed

    # Only with keys and queries of one length and nothing else masked it is sure that each query attends to something.
    hidden = None
    if bias is not None and not (attn_mask is None and nonpad_kv_seqlen is None and left_window_size < 0):
        hidden = tf.reduce_all(bias == -np.inf, -1, keepdims=True)
        scores = tf.where(hidden, tf.zeros([], q.dtype), scores)
    wide = scores if softmax_precision is None else tf.cast(scores, tf_dtype(softmax_precision))
    weights = tf.cast(tf.nn.softmax(wide), q.dtype)
    weights = weights if hidden is None else tf.where(hidden, tf.zeros([], q.dtype), weights)
    exposed = weights if qk_matmul_output_mode == 3 else exposed

    shared = tf.reshape(weights, [batch, kv_heads, heads // kv_heads * queries, keys])
    y = tf.reshape(tf.matmul(shared, v), [batch, heads, queries, dims(v)[3]])
    return _join_heads(y) if packed else y, k, v, exposed


def _split_heads(x: tf.Tensor, heads: int | None) -> tf.Tensor:
    """Return x [N, S, heads · D] as [N, heads, S, D]."""
    assert heads is not None, "the specification demands the number of heads with three axes"
    batch, length, size = dims(x)
    return tf.transpose(tf.reshape(x, [batch, length, heads, size // heads]), [0, 2, 1, 3])


def _join_heads(x: tf.Tensor) -> tf.Tensor:
    """Return x [N, heads, S, D] as [N, S, heads · D]."""
    batch, heads, length, size = dims(x)
    return tf.reshape(tf.transpose(x, [0, 2, 1, 3]), [batch, length, heads * size])


def _bias(mask: tf.Tensor | None, visible: tf.Tensor | None, keys: Size, dtype: tf.DType) -> tf.Tensor | None:
    """Return what is added to the scores: zero or -inf for bools, and the mask itself where it is a number."""
    if mask is not None:
        known = dims(mask)[-1]
        if not (isinstance(known, int) and isinstance(keys, int) and known == keys):
            # A mask may be shorter than the keys; what it does not reach is not attended to.
            padding = [(0, 0)] * (rank(mask) - 1) + [(0, keys - known)]
            mask = tf.pad(
                mask, padding, constant_values=False if mask.dtype == tf.bool else tf.cast(-np.inf, mask.dtype)
            )
        if mask.dtype == tf.bool:
            visible, mask = mask if visible is None else visible & mask, None
    if visible is None:
        return mask
    nothing = tf.zeros([], dtype) if mask is None else mask
    return tf.where(visible, nothing, tf.cast(-np.inf, dtype))


@lower("RotaryEmbedding", since=23)
def rotary_embedding(
    x: tf.Tensor,
    cos_cache: tf.Tensor,
    sin_cache: tf.Tensor,
    position_ids: tf.Tensor | None = None,
    *,
    interleaved: int = 0,
    num_heads: int | None = None,
    rotary_embedding_dim: int = 0,
) -> tf.Tensor:
    """Rotate pairs of features of x [N, heads, S, D] or [N, S, heads · D] by angles that grow with the position.

    The caches are [positions, rotated / 2], looked up at position_ids [N, S]; without these, [N, S, rotated / 2].
    After Su et al., "RoFormer", 2021.
    """
    packed = rank(x) == 3
    shape = dims(x)
    # The axis of heads is the third with three axes given, and the second with four.
    apart = tf.reshape(x, [*shape[:2], num_heads, shape[2] // (num_heads or 1)]) if packed else x
    cos, sin = (
        tf.expand_dims(cache if position_ids is None else tf.gather(cache, position_ids), 2 if packed else 1)
        for cache in (cos_cache, sin_cache)
    )
    rotated = rotary_embedding_dim or dims(apart)[-1]
    head, rest = apart[..., :rotated], apart[..., rotated:]
    if interleaved:
        one, other = head[..., ::2], head[..., 1::2]
    else:
        one, other = tf.split(head, 2, -1)
    real, imaginary = cos * one - sin * other, sin * one + cos * other
    if interleaved:
        turned = tf.reshape(tf.stack([real, imaginary], -1), dims(head))
    else:
        turned = tf.concat([real, imaginary], -1)
    y = turned if rotary_embedding_dim == 0 else tf.concat([turned, rest], -1)
    return tf.reshape(y, shape) if packed else y
