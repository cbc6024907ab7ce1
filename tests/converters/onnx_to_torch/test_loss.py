"""Losses against ONNX's reference, also where a class is ignored."""

from __future__ import annotations

import numpy as np
import pytest

from tests.converters.onnx_to_torch.cases import check

GENERATOR = np.random.default_rng(0)
SCORES = GENERATOR.standard_normal((4, 3, 2), np.float32)
LABELS = GENERATOR.integers(0, 3, (4, 2))
WEIGHTS = np.float32([0.5, 1, 2])


@pytest.mark.parametrize("weights", [None, WEIGHTS])
@pytest.mark.parametrize("ignored", [None, 1, -5])
@pytest.mark.parametrize("reduction", ["none", "sum", "mean"])
def test_cross_entropy(reduction, ignored, weights):
    labels = LABELS.copy()
    labels[0, 0] = 1 if ignored is None else ignored
    attributes = {"reduction": reduction} | ({} if ignored is None else {"ignore_index": ignored})
    log_prob = SCORES - np.log(np.exp(SCORES).sum(1, keepdims=True))
    masked = np.ones(labels.shape) if ignored is None else (labels != ignored).astype(np.float64)
    classes = np.where(masked > 0, labels, 0)
    counts = masked * (1 if weights is None else weights[classes])
    loss = -np.take_along_axis(log_prob, classes[:, None], 1)[:, 0] * counts
    expected = {"none": loss, "sum": loss.sum(), "mean": loss.sum() / counts.sum()}[reduction].astype(np.float32)
    arrays = [SCORES, labels] + ([] if weights is None else [weights])
    check("SoftmaxCrossEntropyLoss", arrays, attributes, expected=[expected, log_prob], outputs=2)
    arrays[0] = log_prob
    check("NegativeLogLikelihoodLoss", arrays, attributes, expected=[expected])
