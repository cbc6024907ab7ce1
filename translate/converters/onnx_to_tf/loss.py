"""Losses of classification."""

from __future__ import annotations

from typing import Literal

import tensorflow as tf

from translate.converters.onnx_to_tf.activation import log_softmax
from translate.converters.onnx_to_tf.shapes import rank
from translate.converters.onnx_to_tf.table import lower
from translate.converters.onnx_to_tf.widen import HALVES, widened


@lower("NegativeLogLikelihoodLoss")
@widened(*HALVES)
def negative_log_likelihood_loss(
    x: tf.Tensor,
    target: tf.Tensor,
    weight: tf.Tensor | None = None,
    *,
    ignore_index: int | None = None,
    reduction: Literal["none", "mean", "sum"] = "mean",
) -> tf.Tensor:
    """Return minus the log-probability of the target class.

    `x` [N, C, *spatial] holds log-probabilities, `target` [N, *spatial] the classes, `weight` [C] how much each class
    counts. The result is [N, *spatial], or its sum, or its mean weighted by the classes' weights. A target equal to
    `ignore_index` counts nothing.
    """
    ignored = None if ignore_index is None else tf.math.equal(target, ignore_index)
    # A class that may be looked up stands in for the ignored ones.
    classes = target if ignored is None else tf.where(ignored, tf.constant(0, target.dtype), target)
    axes = rank(x)
    last = x if axes == 2 else tf.transpose(x, [0, *range(2, axes), 1])
    loss = -tf.gather(last, classes, axis=axes - 1, batch_dims=axes - 1)
    weights = None if weight is None else tf.gather(weight, classes)
    if weights is not None:
        loss *= weights
    if ignored is not None:
        zero = tf.constant(0, x.dtype)
        loss = tf.where(ignored, zero, loss)
        weights = tf.where(ignored, zero, tf.constant(1, x.dtype) if weights is None else weights)
    if reduction == "none":
        return loss
    if reduction == "sum":
        return tf.math.reduce_sum(loss)
    return tf.math.reduce_mean(loss) if weights is None else tf.math.reduce_sum(loss) / tf.math.reduce_sum(weights)


@lower("SoftmaxCrossEntropyLoss")
@widened(*HALVES)
def softmax_cross_entropy_loss(
    scores: tf.Tensor,
    labels: tf.Tensor,
    weights: tf.Tensor | None = None,
    *,
    ignore_index: int | None = None,
    reduction: Literal["none", "mean", "sum"] = "mean",
) -> tuple[tf.Tensor, tf.Tensor]:
    """Return the negative log-likelihood of `labels` under softmax of `scores`, and the log-probabilities.

    `scores` and the second result are [N, C, *spatial]; the rest is as in NegativeLogLikelihoodLoss.
    """
    log_prob = log_softmax(scores, axis=1)
    loss = negative_log_likelihood_loss(log_prob, labels, weights, ignore_index=ignore_index, reduction=reduction)
    return loss, log_prob
