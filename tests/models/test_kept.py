"""Modules that write to their buffers."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from translate.models.base import Spec
from translate.models.kept import unchanged_buffers
from translate.models.open import open_model


class Counter(nn.Module):
    """Counts its calls."""

    def __init__(self) -> None:
        super().__init__()
        self.count = nn.Buffer(torch.ones(()))
        self.other = nn.Buffer(torch.full((2,), float("nan")))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.count.add_(1)
        return x + self.count


def test_every_run_begins_with_the_buffers_of_the_first_one():
    model = open_model(Counter(), inputs=[Spec("x", "float32", ("batch",))])
    x = np.zeros(3, "float32")
    runs = [next(iter(model.run({"x": x}).values())) for _ in range(3)]
    assert all(np.array_equal(run, np.full(3, 2.0)) for run in runs)


def test_buffers_are_put_back():
    module = Counter()
    with unchanged_buffers(module):
        module(torch.zeros(1))
        assert module.count == 2
    assert module.count == 1
