"""A model seen with the source's order of axes gives the source's numbers, gradients too."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from translate.models import open_model
from translate.models.permuted import Permuted

FIRST = (0, 3, 1, 2)


@pytest.fixture
def pair() -> tuple[Permuted, nn.Module]:
    torch.manual_seed(0)
    net = nn.Conv2d(3, 2, 3).eval()
    own = open_model(net, inputs=["batch,3,height+2,width+2"])
    return Permuted(own, {own.inputs[0].name: FIRST}, {own.outputs[0].name: FIRST}), net


def test_the_interface_is_the_sources(pair: tuple[Permuted, nn.Module]) -> None:
    model, _ = pair
    assert model.inputs[0].shape == ("batch", "height+2", "width+2", 3)
    assert model.outputs[0].shape is not None and model.outputs[0].shape[-1] == 2


def test_numbers_and_gradients(pair: tuple[Permuted, nn.Module]) -> None:
    model, net = pair
    x = np.random.default_rng(0).normal(size=(2, 5, 6, 3)).astype(np.float32)
    name, output = model.inputs[0].name, model.outputs[0].name
    inside = torch.tensor(x.transpose(0, 3, 1, 2), requires_grad=True)
    y = net(inside)
    np.testing.assert_allclose(model.run({name: x})[output], y.detach().numpy().transpose(0, 2, 3, 1), rtol=1e-6)
    weight = np.arange(y.numel(), dtype=np.float32).reshape(2, 3, 4, 2)
    found = model.gradients({name: x}, lambda outputs: (float((outputs[output] * weight).sum()), {output: weight}))
    (y * torch.from_numpy(weight).permute(0, 3, 1, 2)).sum().backward()
    assert found is not None and inside.grad is not None
    np.testing.assert_allclose(found.inputs[name], inside.grad.numpy().transpose(0, 2, 3, 1), rtol=1e-5)
    noisy = model.run_perturbed({name: x}, seed=1)[output]
    assert noisy.shape == (2, 3, 4, 2) and not np.array_equal(noisy, model.run({name: x})[output])
