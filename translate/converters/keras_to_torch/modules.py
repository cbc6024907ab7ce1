"""What Keras has and PyTorch has not, as modules and functions that need PyTorch only.

The writer of Python packages copies their source: it refers to torch, F, nn and Tensor only. A class keeps what its
constructor takes in attributes of the same names. A row calls a function by `record`, so that it stays one call.
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


class MixedLinear(nn.Linear):
    """A linear layer that computes in the dtype of its input, and keeps its weights in theirs."""

    def forward(self, x: Tensor) -> Tensor:
        """Return the products [..., out] of x [..., in]."""
        return F.linear(x, self.weight.to(x.dtype), None if self.bias is None else self.bias.to(x.dtype))


class MixedConv1d(nn.Conv1d):
    """A convolution that computes in the dtype of its input, and keeps its weights in theirs."""

    def forward(self, x: Tensor) -> Tensor:
        """Return the convolution of x [N, C, *spatial]."""
        bias = self.bias
        y: Tensor = self._conv_forward(x, self.weight.to(x.dtype), None if bias is None else bias.to(x.dtype))
        return y


class MixedConv2d(nn.Conv2d):
    """A convolution that computes in the dtype of its input, and keeps its weights in theirs."""

    def forward(self, x: Tensor) -> Tensor:
        """Return the convolution of x [N, C, *spatial]."""
        bias = self.bias
        y: Tensor = self._conv_forward(x, self.weight.to(x.dtype), None if bias is None else bias.to(x.dtype))
        return y


class MixedConv3d(nn.Conv3d):
    """A convolution that computes in the dtype of its input, and keeps its weights in theirs."""

    def forward(self, x: Tensor) -> Tensor:
        """Return the convolution of x [N, C, *spatial]."""
        bias = self.bias
        y: Tensor = self._conv_forward(x, self.weight.to(x.dtype), None if bias is None else bias.to(x.dtype))
        return y


class Int8Linear(nn.Module):
    """A linear layer with a kernel of int8 and a scale for each row; y = (x / scale of x) (weight / scale).

    With `rounds_input` each row of x is rounded to int8 by its largest element.
    """

    def __init__(self, in_features: int, out_features: int, bias: bool = True, rounds_input: bool = True) -> None:
        super().__init__()
        self.in_features = in_features
        self.out_features = out_features
        self.rounds_input = rounds_input
        self.weight = nn.Buffer(torch.zeros(out_features, in_features, dtype=torch.int8))
        self.scale = nn.Buffer(torch.zeros(out_features))
        self.bias = nn.Parameter(torch.zeros(out_features)) if bias else None

    def forward(self, x: Tensor) -> Tensor:
        """Return the products [..., out] of x [..., in]."""
        scale = self.scale.to(x.dtype)
        if self.rounds_input:
            largest = 127 / (x.abs().amax(-1, keepdim=True) + 1e-7)
            scale = scale * largest
            # Sums of products of integers are exact in float64, which every device multiplies.
            rounded = (x * largest).round().clamp(-127, 127).double()
            y = F.linear(rounded, self.weight.double()).to(x.dtype) / scale
        else:
            y = F.linear(x, self.weight.to(x.dtype)) / scale
        return y if self.bias is None else y + self.bias.to(x.dtype)


class GroupedLinear(nn.Module):
    """A linear layer with a kernel of small integers, whose columns share a scale and a zero in groups."""

    def __init__(self, in_features: int, out_features: int, groups: int, bias: bool = True) -> None:
        super().__init__()
        self.in_features = in_features
        self.out_features = out_features
        self.groups = groups
        self.weight = nn.Buffer(torch.zeros(out_features, in_features, dtype=torch.int8))
        self.scale = nn.Buffer(torch.zeros(out_features, groups))
        self.zero = nn.Buffer(torch.zeros(out_features, groups, dtype=torch.int8))
        self.group = nn.Buffer(torch.zeros(in_features))
        self.bias = nn.Parameter(torch.zeros(out_features)) if bias else None

    def forward(self, x: Tensor) -> Tensor:
        """Return the products [..., out] of x [..., in]."""
        group = self.group.long()
        weight = (self.weight - self.zero[:, group].to(self.scale.dtype)) * self.scale[:, group]
        return F.linear(x, weight.to(x.dtype), None if self.bias is None else self.bias.to(x.dtype))


class Float8Linear(nn.Module):
    """A linear layer whose input and weight are rounded to float8 (e4m3), each by one scale."""

    def __init__(self, in_features: int, out_features: int, bias: bool = True) -> None:
        super().__init__()
        self.in_features = in_features
        self.out_features = out_features
        self.weight = nn.Parameter(torch.zeros(out_features, in_features))
        self.input_scale = nn.Buffer(torch.ones(()))
        self.weight_scale = nn.Buffer(torch.ones(()))
        self.bias = nn.Parameter(torch.zeros(out_features)) if bias else None

    def _rounded(self, x: Tensor, scale: Tensor) -> Tensor:
        scale = scale.to(x.dtype)
        return (x / scale).clamp(-448, 448).to(torch.float8_e4m3fn).to(x.dtype) * scale

    def forward(self, x: Tensor) -> Tensor:
        """Return the products [..., out] of x [..., in]."""
        weight = self._rounded(self.weight.to(x.dtype), self.weight_scale)
        y = F.linear(self._rounded(x, self.input_scale), weight)
        # The bias in bfloat16 is what Keras adds.
        return y if self.bias is None else y + self.bias.to(torch.bfloat16).to(x.dtype)


class Int8Embedding(nn.Module):
    """A table of int8 with a scale for each row."""

    def __init__(self, num_embeddings: int, embedding_dim: int) -> None:
        super().__init__()
        self.num_embeddings = num_embeddings
        self.embedding_dim = embedding_dim
        self.weight = nn.Buffer(torch.zeros(num_embeddings, embedding_dim, dtype=torch.int8))
        self.scale = nn.Buffer(torch.zeros(num_embeddings))

    def forward(self, ids: Tensor) -> Tensor:
        """Return the rows [..., embedding_dim] of ids [...]."""
        return self.weight[ids].to(self.scale.dtype) / self.scale[ids].unsqueeze(-1)


class MaskedBatchNorm(nn.BatchNorm1d):
    """Normalises each channel of [N, C, T]; in training, steps where the mask [N, T] is false do not count."""

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:  # type: ignore[override]
        """Return a tensor of the same shape."""
        if not self.training or self.running_mean is None or self.running_var is None or self.momentum is None:
            return F.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps)
        counts = mask.unsqueeze(1).to(x.dtype)
        number = counts.sum() + 1e-7
        mean = (x * counts).sum((0, 2)) / number
        difference = x - mean.unsqueeze(1)
        variance = (difference.square() * counts).sum((0, 2)) / number
        with torch.no_grad():
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(variance, self.momentum)
        y = difference * torch.rsqrt(variance + self.eps).unsqueeze(1)
        return y if self.weight is None else y * self.weight.unsqueeze(1) + self.bias.unsqueeze(1)


class SpectralStep(nn.Module):
    """Divides a weight by its largest singular value, at each call in training; hands its input on.

    The weight is a matrix of its first axis by all others. After Miyato et al., Spectral Normalization for Generative
    Adversarial Networks, 2018.
    """

    def __init__(self, size: int, power_iterations: int) -> None:
        super().__init__()
        self.size = size
        self.power_iterations = power_iterations
        self.vector_u = nn.Buffer(torch.zeros(1, size))

    def forward(self, x: Tensor, weight: Tensor) -> Tensor:
        """Return x, having changed the weight in training."""
        if self.training and bool(weight.any()):
            with torch.no_grad():
                matrix = weight.flatten(1)
                u: Tensor = self.vector_u
                v = u @ matrix
                for _ in range(self.power_iterations):
                    v = F.normalize(u @ matrix, eps=1e-6)
                    u = F.normalize(v @ matrix.T, eps=1e-6)
                weight.div_(u @ matrix @ v.T)
                self.vector_u.copy_(u)
        return x


class SharedAlphaDropout(nn.Module):
    """Sets elements to what keeps mean and variance, with the probability `p` in training, all along `axes` together.

    After Klambauer et al., Self-Normalizing Neural Networks, 2017.
    """

    def __init__(self, p: float, axes: int | tuple[int, ...]) -> None:
        super().__init__()
        self.p = p
        self.axes = axes

    def forward(self, x: Tensor) -> Tensor:
        """Return a tensor of the same shape."""
        if not self.training:
            return x
        dropped = torch.rand_like(x.amax(self.axes, keepdim=True)) < self.p
        lowest = -1.7580993408473766
        scale: float = ((1 - self.p) * (1 + self.p * lowest**2)) ** -0.5
        return scale * (torch.where(dropped, lowest, x) - lowest * self.p)


def pack_steps(x: Tensor, mask: Tensor) -> Tensor:
    """Bring the steps of x [N, T, C] that the mask [N, T] counts to the front, in their order."""
    order = torch.argsort(mask.to(torch.uint8), dim=1, descending=True, stable=True)
    return x.gather(1, order.unsqueeze(2).expand(-1, -1, x.size(2)))


def unpack_steps(y: Tensor, mask: Tensor) -> Tensor:
    """Put the outputs y [N, T, C] of packed steps where they belong; any other step repeats the output before it."""
    count = mask.to(torch.int64).cumsum(dim=1).unsqueeze(2)
    y = y.gather(1, (count - 1).clamp(min=0).expand(-1, -1, y.size(2)))
    return torch.where(count > 0, y, 0.0)


def attention_bias(mask: Tensor, query: Tensor) -> Tensor:
    """Return what to add to scores [N, H, T, S]: nothing where the mask, of such a shape, lets a step look.

    Elsewhere the lowest number, not -inf: as in Keras, a step that may look nowhere looks everywhere.
    """
    bias = torch.zeros_like(mask, dtype=query.dtype)
    return bias.masked_fill(~mask, torch.finfo(query.dtype).min / 2)


def masked_softmax(scores: Tensor, mask: Tensor) -> Tensor:
    """Normalise scores [N, H, T, S] where the mask, of such a shape, lets a step look; the others become zero.

    As in Keras, a step that may look nowhere gets nothing.
    """
    seen = F.softmax(scores.masked_fill(~mask, torch.finfo(scores.dtype).min), dim=-1)
    return seen.masked_fill(~mask, 0.0)


def keep_states(y: Tensor, last: list[Tensor], kept: list[Tensor]) -> Tensor:
    """Keep the last states of a layer in its buffers, for the next call; hand its output on."""
    for state, buffer in zip(last, kept, strict=True):
        buffer.copy_(state.detach())
    return y
