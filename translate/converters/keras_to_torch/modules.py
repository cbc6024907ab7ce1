"""Layers of Keras that torch.nn has not, as modules that need PyTorch only.

The writer of Python packages copies their source: it refers to torch, F, nn and Tensor only. A class keeps what its
constructor takes in attributes of the same names.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# The writer looks for it.
STANDALONE = True


class GaussianNoise(nn.Module):
    """Adds noise of a standard deviation, in training."""

    def __init__(self, stddev: float) -> None:
        super().__init__()
        self.stddev = stddev

    def forward(self, x: Tensor) -> Tensor:
        """Return a tensor of the same shape."""
        return x + self.stddev * torch.randn_like(x) if self.training else x


class GaussianDropout(nn.Module):
    """Multiplies by noise around one, with the variance of a dropout of `rate`, in training."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        """Return a tensor of the same shape."""
        deviation: float = (self.rate / (1 - self.rate)) ** 0.5
        return x * (1 + deviation * torch.randn_like(x)) if self.training else x


class SharedDropout(nn.Module):
    """Sets elements to zero with the probability `p`, in training, all along `axes` together."""

    def __init__(self, p: float, axes: int | tuple[int, ...]) -> None:
        super().__init__()
        self.p = p
        self.axes = axes

    def forward(self, x: Tensor) -> Tensor:
        """Return a tensor of the same shape."""
        kept = torch.ones_like(x.amax(self.axes, keepdim=True))
        return x * F.dropout(kept, self.p, self.training)
