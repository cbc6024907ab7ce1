"""Operators of ONNX's preview domain."""

from __future__ import annotations

import onnx_ir as ir
import tensorflow as tf

from translate.converters.lowering import Context
from translate.converters.onnx_to_tf.dtypes import tf_dtype
from translate.converters.onnx_to_tf.shapes import dims
from translate.converters.onnx_to_tf.table import lower
from translate.errors import UnsupportedError


@lower("FlexAttention", domain="ai.onnx.preview")
def flex_attention(
    q: tf.Tensor,
    k: tf.Tensor,
    v: tf.Tensor,
    *,
    prob_mod: ir.Graph | None = None,
    scale: float | None = None,
    score_mod: ir.Graph | None = None,
    softmax_precision: int | None = None,
    context: Context,
) -> tf.Tensor:
    """Attend with scores and probabilities that go through graphs of the model's own.

    `q` is [N, Hq, L, E], `k` [N, H, S, E], `v` [N, H, S, V], Hq a multiple of H; the graphs take and return
    [N, Hq, L, S]. Returns [N, Hq, L, V].
    Limits: the numbers of heads must be known when translating.
    """
    if q.shape[1] is None or k.shape[1] is None:
        raise UnsupportedError("the number of heads is not known")
    if q.shape[1] != k.shape[1]:
        k, v = (tf.repeat(one, q.shape[1] // k.shape[1], 1) for one in (k, v))
    factor = tf.sqrt(
        tf.cast(scale, tf.float32) if scale is not None else tf.math.rsqrt(tf.cast(dims(q)[3], tf.float32))
    )
    # Half of the scale on each side keeps the product of halves in their range.
    scores = tf.matmul(q * tf.cast(factor, q.dtype), k * tf.cast(factor, k.dtype), transpose_b=True)
    precision = tf.float64 if q.dtype == tf.float64 else tf.float32
    scores = tf.cast(scores, precision if softmax_precision is None else tf_dtype(softmax_precision))
    if score_mod is not None:
        (scores,) = context.run(score_mod, scores)
    probabilities = tf.nn.softmax(scores)
    if prob_mod is not None:
        (probabilities,) = context.run(prob_mod, probabilities)
    return tf.cast(tf.matmul(probabilities, tf.cast(v, probabilities.dtype)), v.dtype)
