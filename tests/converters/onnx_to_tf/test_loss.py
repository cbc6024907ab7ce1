"""Losses against PyTorch's, values and gradients."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from tests.converters.onnx_to_tf.cases import check, gradients

WEIGHT = np.array([1, 2, 3, 0.5], np.float32)


@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
@pytest.mark.parametrize("ignore_index", [None, -1, 2])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("shape", [(5, 4), (2, 4, 3), (2, 4, 3, 2)])
def test_losses_are_pytorchs(shape: tuple[int, ...], weighted: bool, ignore_index: int | None, reduction: str) -> None:
    random = np.random.default_rng(0)
    scores = random.standard_normal(shape).astype(np.float32)
    target = random.integers(0, 4, (shape[0], *shape[2:]))
    attributes: dict[str, object] = {"reduction": reduction}
    if ignore_index is not None:
        target.flat[0] = attributes["ignore_index"] = ignore_index
    weight = torch.tensor(WEIGHT) if weighted else None
    x = torch.tensor(scores, requires_grad=True)
    ignored = -100 if ignore_index is None else ignore_index
    log_prob = torch.log_softmax(x, 1)
    loss = F.nll_loss(log_prob, torch.tensor(target), weight, ignore_index=ignored, reduction=reduction)
    loss.sum().backward()

    others = [target, *([WEIGHT] if weighted else [])]
    values = [loss.detach().numpy(), log_prob.detach().numpy()]
    check("NegativeLogLikelihoodLoss", [values[1], *others], attributes, expected=values[:1])
    check("SoftmaxCrossEntropyLoss", [scores, *others], attributes, expected=values, outputs=2)
    gradient = gradients("SoftmaxCrossEntropyLoss", [scores, *others], attributes, outputs=2)[0]
    np.testing.assert_allclose(gradient, x.grad.numpy(), rtol=1e-5, atol=1e-6)
