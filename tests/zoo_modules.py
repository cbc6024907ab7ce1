"""Small hand-written modules, each with something that translators get wrong."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class MLP(nn.Module):
    """Linear, ReLU, Linear."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden = nn.Linear(12, 32)
        self.head = nn.Linear(32, 5)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(F.relu(self.hidden(x)))


class BidirectionalLSTM(nn.Module):
    """Two layers in both directions; the states are returned too."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(6, 8, num_layers=2, bidirectional=True, batch_first=True)
        self.head = nn.Linear(16, 4)

    def forward(self, x: Tensor) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        y, state = self.lstm(x)
        return self.head(y), state


class AttentionDecoderStep(nn.Module):
    """One step of a GRU decoder that attends to an encoder's states."""

    def __init__(self, size: int = 16, words: int = 20) -> None:
        super().__init__()
        self.embed = nn.Embedding(words, size)
        self.score = nn.Linear(2 * size, 1)
        self.cell = nn.GRUCell(2 * size, size)
        self.head = nn.Linear(size, words)

    def forward(self, token: Tensor, hidden: Tensor, memory: Tensor) -> dict[str, Tensor]:
        """Take token [batch], hidden [batch, size] and memory [batch, time, size]."""
        query = hidden.unsqueeze(1).expand_as(memory)
        attention = torch.softmax(self.score(torch.cat([query, memory], -1)).squeeze(-1), -1)
        context = torch.bmm(attention.unsqueeze(1), memory).squeeze(1)
        hidden = self.cell(torch.cat([self.embed(token), context], -1), hidden)
        return {"logits": self.head(hidden), "hidden": hidden, "attention": attention}


class MaskedEncoder(nn.Module):
    """nn.TransformerEncoder with a padding mask that is True at the padding."""

    def __init__(self) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(16, 4, 32, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)

    def forward(self, x: Tensor, padding: Tensor) -> Tensor:
        return self.encoder(x, src_key_padding_mask=padding)


class UNet(nn.Module):
    """Two levels down and up again, with ConvTranspose2d and skip connections."""

    def __init__(self) -> None:
        super().__init__()
        self.first = self._block(3, 8)
        self.second = self._block(8, 16)
        self.bottom = self._block(16, 32)
        self.up_second = nn.ConvTranspose2d(32, 16, 2, stride=2)
        self.join_second = self._block(32, 16)
        self.up_first = nn.ConvTranspose2d(16, 8, 3, stride=2, padding=1, output_padding=1)
        self.join_first = self._block(16, 8)
        self.head = nn.Conv2d(8, 2, 1)

    @staticmethod
    def _block(channels: int, filters: int) -> nn.Module:
        return nn.Sequential(nn.Conv2d(channels, filters, 3, padding=1), nn.BatchNorm2d(filters), nn.ReLU())

    def forward(self, x: Tensor) -> Tensor:
        first = self.first(x)
        second = self.second(F.max_pool2d(first, 2))
        y = self.bottom(F.max_pool2d(second, 2))
        y = self.join_second(torch.cat([self.up_second(y), second], 1))
        y = self.join_first(torch.cat([self.up_first(y), first], 1))
        return self.head(y)


class SpatialTransformer(nn.Module):
    """Bilinear interpolate and grid_sample along a grid that the input decides."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 2, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        x = F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)
        shift = torch.tanh(self.conv(x)).permute(0, 2, 3, 1)
        rows = torch.linspace(-1, 1, x.shape[2])
        columns = torch.linspace(-1, 1, x.shape[3])
        grid = torch.stack(torch.meshgrid(columns, rows, indexing="xy"), -1)
        return F.grid_sample(x, grid + 0.3 * shift, align_corners=False, padding_mode="border")


class Cond(nn.Module):
    """torch.cond on the mean of the input."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(6, 6)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cond(x.mean() > 0, lambda x: self.linear(x), lambda x: torch.sin(x) - 1, (x,))


class WhileLoop(nn.Module):
    """torch.while_loop that halves its input until that is small."""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        def large(steps: Tensor, x: Tensor) -> Tensor:
            return (x.abs().max() > 0.1) & (steps < 20)

        def halve(steps: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
            return steps + 1, x * 0.5

        steps, x = torch.while_loop(large, halve, (torch.zeros((), dtype=torch.int64), x))
        return steps, x


class TwoInputsDict(nn.Module):
    """Two inputs, and a dict with a nested tuple and a None."""

    def __init__(self) -> None:
        super().__init__()
        self.left = nn.Linear(4, 8)
        self.right = nn.Linear(6, 8)

    def forward(self, left: Tensor, right: Tensor) -> dict[str, object]:
        a, b = self.left(left), self.right(right)
        return {"sum": a + b, "parts": (a, b), "nothing": None, "similarity": F.cosine_similarity(a, b)}


class DilatedConv1d(nn.Module):
    """A causal stack of dilated convolutions, as in WaveNet."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Conv1d(8, 16, 3, dilation=2**i) for i in range(3))
        self.inlet = nn.Conv1d(2, 8, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.inlet(x)
        for layer in self.layers:
            gate, value = layer(F.pad(x, (2 * layer.dilation[0], 0))).chunk(2, 1)
            x = x + torch.sigmoid(gate) * torch.tanh(value)
        return x


class Conv3d(nn.Module):
    """Three-dimensional convolution, BatchNorm and pooling."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv3d(2, 6, 3, stride=(1, 2, 2), padding=1)
        self.norm = nn.BatchNorm3d(6)
        self.head = nn.Conv3d(6, 4, (2, 3, 3), groups=2)

    def forward(self, x: Tensor) -> Tensor:
        return F.avg_pool3d(self.head(F.elu(self.norm(self.conv(x)))), 2)


class IndexPlay(nn.Module):
    """Embeddings with cumsum, topk, gather and scatter, all with int64 indices."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(30, 8)

    def forward(self, ids: Tensor) -> dict[str, Tensor]:
        """Take ids [batch, seq]."""
        x = self.embed(ids).cumsum(1)
        scores = x.sum(-1)
        values, places = scores.topk(3, dim=1)
        chosen = x.gather(1, places.unsqueeze(-1).expand(-1, -1, x.shape[-1]))
        counts = torch.zeros_like(scores).scatter_add(1, places, values)
        marks = torch.zeros_like(ids).scatter(1, places, 1)
        return {"chosen": chosen, "counts": counts, "places": places, "marks": marks}


class Spectrogram(nn.Module):
    """STFT with a Hann window, and the logarithm of its power."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("window", torch.hann_window(64))

    def forward(self, wave: Tensor) -> Tensor:
        """Take wave [batch, samples]; return [batch, 33, frames]."""
        spectrum = torch.stft(wave, 64, hop_length=16, window=self.window, center=True, return_complex=True)
        return torch.log1p(torch.view_as_real(spectrum).square().sum(-1))


class Einsum(nn.Module):
    """Multi-head attention written in einsum."""

    def __init__(self) -> None:
        super().__init__()
        self.project = nn.Parameter(torch.randn(3, 12, 4, 3) / 3)
        self.merge = nn.Parameter(torch.randn(4, 3, 12) / 3)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = torch.einsum("bsd,pdhe->pbhse", x, self.project)
        weights = torch.softmax(torch.einsum("bhqe,bhke->bhqk", q, k) / 3**0.5, -1)
        return torch.einsum("bhqk,bhke,hed->bqd", weights, v, self.merge)


class GroupNormDepthwise(nn.Module):
    """GroupNorm, SiLU and a depthwise convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.inlet = nn.Conv2d(3, 16, 1)
        self.norm = nn.GroupNorm(4, 16)
        self.depthwise = nn.Conv2d(16, 32, 3, padding=1, stride=2, groups=16)
        self.last = nn.GroupNorm(1, 32)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.depthwise(F.silu(self.norm(self.inlet(x)))))
