"""Losses of classification."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F

from translate.converters.onnx_to_torch.table import lower
from translate.converters.onnx_to_torch.widen import HALVES, widened


@lower("NegativeLogLikelihoodLoss")
@widened(*HALVES)
def negative_log_likelihood_loss(
    x: torch.Tensor,
    target: torch.Tensor,
    weight: torch.Tensor | None = None,
    *,
    ignore_index: int | None = None,
    reduction: Literal["none", "mean", "sum"] = "mean",
) -> torch.Tensor:
    """Return minus the log-probability of the target class.

    `x` [N, C, *spatial] holds log-probabilities, `target` [N, *spatial] the classes, `weight` [C] how much each class
    counts. The result is [N, *spatial], or its sum, or its mean weighted by the classes' weights. A target equal to
    `ignore_index` counts nothing.
    """
    target = target.to(torch.int64)
    if ignore_index is None:
        return F.nll_loss(x, target, weight, reduction=reduction)
    return F.nll_loss(x, target, weight, ignore_index=ignore_index, reduction=reduction)


@lower("SoftmaxCrossEntropyLoss")
@widened(*HALVES)
def softmax_cross_entropy_loss(
    scores: torch.Tensor,
    labels: torch.Tensor,
    weights: torch.Tensor | None = None,
    *,
    ignore_index: int | None = None,
    reduction: Literal["none", "mean", "sum"] = "mean",
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the negative log-likelihood of `labels` under softmax of `scores`, and the log-probabilities.

    `scores` and the second result are [N, C, *spatial]; the rest is as in NegativeLogLikelihoodLoss.
    """
    log_prob = F.log_softmax(scores, 1)
    loss = negative_log_likelihood_loss(log_prob, labels, weights, ignore_index=ignore_index, reduction=reduction)
    return loss, log_prob
