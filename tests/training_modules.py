"""Modules that do something else in train mode than in eval mode, as factories for the command line."""

from __future__ import annotations

import torch
from torch import nn


class ConvNet(nn.Module):
    """Convolution, BatchNorm, dropout and a linear layer: float32 [batch, 3, 6, 6] → [batch, 4]."""

    def __init__(self, p: float = 0.3) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv = nn.Conv2d(3, 5, 3)
        self.norm = nn.BatchNorm2d(5, momentum=0.3)
        self.dropout = nn.Dropout(p)
        self.head = nn.Linear(5, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.norm(self.conv(x))).mean((2, 3))
        result: torch.Tensor = self.head(self.dropout(x))
        return result


def without_dropout() -> ConvNet:
    """Return the network whose train mode is not random."""
    return ConvNet(p=0.0)


class Dropouts(nn.Module):
    """Each kind of dropout alone: float32 [batch, channels, width] → the same four times."""

    def __init__(self) -> None:
        super().__init__()
        self.elements = nn.Dropout(0.3)
        self.channels = nn.Dropout1d(0.4)
        self.alpha = nn.AlphaDropout(0.25)
        self.everything = nn.Dropout(1.0)

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        return {
            "elements": self.elements(x),
            "channels": self.channels(x),
            "alpha": self.alpha(x),
            "everything": self.everything(x),
        }


class Recurrent(nn.Module):
    """Recurrent layers with dropout between them: float32 [batch, time, 3] → [batch, time, 8], memory."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.lstm = nn.LSTM(3, 4, num_layers=2, dropout=0.4, batch_first=True, bidirectional=True)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        x, (_, memory) = self.lstm(x)
        return x, memory


class Attention(nn.Module):
    """An encoder layer, and attention by its function: float32 [batch, time, 8] → the same."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.encoder = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.25, batch_first=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.encoder(x)
        p = 0.2 if self.training else 0.0
        return x + nn.functional.scaled_dot_product_attention(x, x, x, dropout_p=p, is_causal=True)


class Buffers(nn.Module):
    """Buffers of all kinds that change in training: float32 [batch, 3, 5, 5] → [batch, 4], in training two of them."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        # A kernel, which TensorFlow stores in another order of axes; written to but not read; an integer; assigned.
        self.kernel = nn.Buffer(torch.rand(4, 3, 3, 3))
        self.last = nn.Buffer(torch.zeros(4))
        self.steps = nn.Buffer(torch.zeros((), dtype=torch.int64))
        self.average = nn.Buffer(torch.zeros(4))
        self.cumulative = nn.BatchNorm2d(4, momentum=None)
        self.instances = nn.InstanceNorm2d(4, track_running_stats=True)
        self.bare = nn.BatchNorm2d(4, affine=False, track_running_stats=False)
        self.spectral = nn.utils.parametrizations.spectral_norm(nn.Linear(4, 4))
        self.auxiliary = nn.Linear(4, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor | tuple[torch.Tensor, torch.Tensor]:
        x = nn.functional.conv2d(x, self.kernel)
        if self.training:
            self.kernel.mul_(0.9)
            self.last.copy_(x.mean((0, 2, 3)))
            self.steps += 1
            self.average = 0.9 * self.average + 0.1 * x.detach().mean((0, 2, 3))
        x = self.bare(self.instances(self.cumulative(x))).amax((2, 3)) + self.average
        x = self.spectral(x) * (1 + self.steps)
        return (x, self.auxiliary(x)) if self.training else x


class Noisy(nn.Module):
    """Random numbers by hand, as in stochastic depth and variational networks: float32 [batch, 3] → the same."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.mean = nn.Linear(3, 3)
        self.deviation = nn.Linear(3, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if not self.training:
            return self.mean(x)
        kept = x.new_empty((x.shape[0], 1)).bernoulli_(0.8) / 0.8
        z = self.mean(x * kept) + self.deviation(x) * torch.randn_like(x)
        return z * torch.rand_like(z) * (torch.rand(3) + 0.5)


class Chooser(nn.Module):
    """Draws in a way that nothing in TensorFlow is compared with: float32 [batch, 3] → int64 [batch, 1]."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.multinomial(x.softmax(-1), 1) if self.training else x.argmax(-1, keepdim=True)


class Detached(nn.Module):
    """Through one layer no gradient goes, through a rounding that of the identity: float32 [batch, 4] → the same."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first = nn.Linear(4, 4)
        self.second = nn.Linear(4, 4)
        self.frozen = nn.Linear(4, 4)
        self.norm = nn.BatchNorm1d(4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            target = self.norm(self.frozen(x))
        x = self.first(x) * target
        rounded = x + (torch.round(x) - x).detach()
        result: torch.Tensor = self.second(x.detach()) + rounded
        return result


class Overwriting(nn.Module):
    """What PyTorch itself cannot differentiate in train mode: float32 [batch, 4] → the same."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(4))
        self.decay = nn.Buffer(torch.ones(4))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x * self.scale * self.decay
        if self.training:
            self.decay.mul_(0.5)
        return x
