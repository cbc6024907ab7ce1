"""What Keras's layers that change images at random in training have in common, on images [N, C, H, W].

The random numbers are those of PyTorch's generator, their distribution is Keras's. Like `modules.py`, this is source
that the writer of Python packages copies: it refers to torch, F, nn and Tensor only.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

# The writer looks for it.
STANDALONE = True


class RandomTransform(nn.Module):
    """Changes images in training, and hands them on in evaluation; the base of those that do so at random."""

    def forward(self, x: Tensor) -> Tensor:
        """Return the images, in training changed."""
        return self.change(x) if self.training else x

    def change(self, x: Tensor) -> Tensor:
        """Return the changed images."""
        raise NotImplementedError

    def draw(self, x: Tensor, low: float = 0.0, high: float = 1.0) -> Tensor:
        """Return a number [N, 1, 1, 1] for each image, between `low` and `high`."""
        return low + (high - low) * torch.rand(x.size(0), 1, 1, 1, device=x.device)


class RandomVariation(RandomTransform):
    """Changes images by a number between `low` and `high`, and keeps them within `value_range`."""

    def __init__(self, low: float, high: float, value_range: tuple[float, float]) -> None:
        super().__init__()
        self.low = low
        self.high = high
        self.value_range = value_range
