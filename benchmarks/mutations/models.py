"""The models of the study: the zoo of the tests, at small sizes, and more of the same kinds."""

from __future__ import annotations

from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tests.zoo import ZOO, Entry, _timm, _transformers

_WORDS = {"input_ids": 98}
_TINY = {
    "vocab_size": 99,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 48,
}
_IDS, _MASK = "input_ids:batch,seq:int64", "attention_mask:batch,seq:int64"
# Convolutional networks of the zoo that take any image.
_SMALLER = ("resnet18", "mobilenetv3_small_100", "efficientnet_b0", "convnext_atto", "regnety_002", "densenet121")


class Upsample(nn.Module):
    """Bilinear and nearest upsampling, with aligned corners and without."""

    def __init__(self) -> None:
        super().__init__()
        self.inlet = nn.Conv2d(3, 8, 3, padding=1)
        self.outlet = nn.Conv2d(16, 4, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.inlet(x)
        a = F.interpolate(x, size=(26, 30), mode="bilinear", align_corners=True)
        b = F.interpolate(x, size=(26, 30), mode="bilinear", align_corners=False)
        return self.outlet(F.gelu(torch.cat([a, b], 1)))


class Pools(nn.Module):
    """Average and maximum pools with padding, the former with and without the padding in the mean."""

    def __init__(self) -> None:
        super().__init__()
        self.inlet = nn.Conv2d(3, 12, 3, stride=2, padding=1)
        self.norm = nn.InstanceNorm2d(12, affine=True)
        self.head = nn.Linear(36, 7)

    def forward(self, x: Tensor) -> Tensor:
        x = F.silu(self.norm(self.inlet(x)))
        pools = [
            F.avg_pool2d(x, 3, 2, 1, count_include_pad=True),
            F.avg_pool2d(x, 3, 2, 1, count_include_pad=False),
            F.max_pool2d(x, 3, 2, 1),
        ]
        return self.head(torch.cat(pools, 1).mean((2, 3)))


class Root(nn.Module):
    """RMSNorm, a gated feed-forward and rotary positions."""

    def __init__(self, size: int = 24) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.rand(size) + 0.5)
        self.up, self.gate = nn.Linear(size, 48, bias=False), nn.Linear(size, 48, bias=False)
        self.down = nn.Linear(48, size, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        y = x * torch.rsqrt(x.square().mean(-1, keepdim=True) + 1e-5) * self.scale
        y = self.down(F.silu(self.gate(y)) * self.up(y))
        first, second = (x + y).chunk(2, -1)
        angle = torch.arange(12) * 0.1
        return torch.cat([first * angle.cos() - second * angle.sin(), second * angle.cos() + first * angle.sin()], -1)


class Shifts(nn.Module):
    """Differences of neighbours, rolled and reflected borders: slices and pads."""

    def __init__(self) -> None:
        super().__init__()
        self.mix = nn.Conv2d(12, 5, 3)

    def forward(self, x: Tensor) -> Tensor:
        down = x[:, :, 2:18, 1:17] - x[:, :, 1:17, 1:17]
        right = x[:, :, 1:17, 2:18] - x[:, :, 1:17, 1:17]
        rolled = torch.roll(x[:, :, 1:17, 1:17], (3, 2), (2, 3))
        corner = x[:, :, 4:20, 4:20] / 3.7
        y = F.pad(torch.cat([down, right, rolled, corner], 1), (2, 1, 0, 2), mode="reflect")
        return self.mix(F.pad(y, (0, 1, 1, 0)))


class Attention(nn.Module):
    """Self-attention spelled out, with square projections."""

    def __init__(self, size: int = 32, heads: int = 4) -> None:
        super().__init__()
        self.heads = heads
        self.query, self.key, self.value, self.merge = (nn.Linear(size, size) for _ in range(4))
        self.norm = nn.LayerNorm(size)
        self.feed = nn.Sequential(nn.Linear(size, 64), nn.GELU(), nn.Linear(64, size))

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = (
            part(x).unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in (self.query, self.key, self.value)
        )
        weights = (q @ k.transpose(-1, -2) / 8**0.5).softmax(-1)
        y = self.norm(x + self.merge((weights @ v).transpose(1, 2).flatten(2)))
        return y + self.feed(y)


class Decoder(nn.Module):
    """Transposed convolutions, PixelShuffle and a bounded image."""

    def __init__(self) -> None:
        super().__init__()
        self.project = nn.Linear(10, 16 * 4 * 4)
        self.up = nn.ConvTranspose2d(16, 16, 4, stride=2, padding=1)
        self.norm = nn.BatchNorm2d(16)
        self.shuffle = nn.Conv2d(16, 12, 3, padding=1)

    def forward(self, z: Tensor) -> Tensor:
        x = self.project(z).unflatten(1, (16, 4, 4))
        x = F.leaky_relu(self.norm(self.up(x)), 0.1)
        return torch.sigmoid(F.pixel_shuffle(self.shuffle(x), 2)) * 255.0


class Convolutions1d(nn.Module):
    """A small network on waves: strided convolutions, GELU, a GRU on top."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv1d(1, 16, 8, stride=4, padding=2)
        self.second = nn.Conv1d(16, 16, 3, padding=1)
        self.norm = nn.GroupNorm(4, 16)
        self.recurrent = nn.GRU(16, 16, batch_first=True)
        self.head = nn.Linear(16, 6)

    def forward(self, wave: Tensor) -> Tensor:
        x = F.gelu(self.first(wave.unsqueeze(1) * 0.5))
        x = F.gelu(self.norm(self.second(x))) + F.avg_pool1d(x, 3, 1, 1)
        y, _ = self.recurrent(x.transpose(1, 2))
        return self.head(y[:, -1]).log_softmax(-1)


class Warp(nn.Module):
    """grid_sample along a learned affine map."""

    def __init__(self) -> None:
        super().__init__()
        self.affine = nn.Linear(3, 6)
        self.mix = nn.Conv2d(3, 4, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        theta = 0.2 * self.affine(x.mean((2, 3))).unflatten(1, (2, 3)) + torch.eye(2, 3)
        grid = F.affine_grid(theta, [x.shape[0], 3, 16, 16], align_corners=False)
        return self.mix(F.grid_sample(x, grid, align_corners=False))


def _more() -> dict[str, Entry]:
    hand: dict[str, tuple[type[nn.Module], str]] = {
        "upsample": (Upsample, "x:batch,3,13,15"),
        "pools": (Pools, "x:batch,3,33,33"),
        "root": (Root, "x:batch,seq,24"),
        "shifts": (Shifts, "x:batch,3,21,21"),
        "attention": (Attention, "x:batch,seq,32"),
        "decoder": (Decoder, "z:batch,10"),
        "convolutions_1d": (Convolutions1d, "wave:batch,160"),
        "warp": (Warp, "x:batch,3,16,16"),
    }
    entries = {name: Entry("hand-written", make, (text,)) for name, (make, text) in hand.items()}
    for name in (
        *("byobnet", "coatnet", "convnext", "convnext2", "convnext3", "efficientnet", "efficientnet_gn"),
        *("efficientnet_ln", "mambaout", "nfnet", "resnet", "vit", "vit2", "vit4", "vit_relpos"),
    ):
        free = not name.startswith(("vit", "coatnet"))
        size = "96,96" if free else "160,160"
        entries[f"test_{name}"] = Entry("timm", _timm(f"test_{name}"), (f"x:batch,3,{size}",))
    gated = {**_TINY, "num_key_value_heads": 2}
    opt = {"vocab_size": 99, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "ffn_dim": 48}
    opt |= {"word_embed_proj_dim": 32, "max_position_embeddings": 64}
    segformer = {"hidden_sizes": [8, 16, 24, 32], "depths": [1, 1, 1, 1], "num_attention_heads": [1, 2, 2, 4]}
    segformer |= {"decoder_hidden_size": 16, "num_labels": 5}
    dino = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "image_size": 28, "patch_size": 7}
    for name, model, config, options, inputs in (
        ("albert", "AlbertModel", "AlbertConfig", {**_TINY, "embedding_size": 16}, (_IDS, _MASK)),
        ("electra", "ElectraModel", "ElectraConfig", {**_TINY, "embedding_size": 16}, (_IDS, _MASK)),
        ("opt", "OPTForCausalLM", "OPTConfig", opt, (_IDS, _MASK)),
        ("gpt_neox", "GPTNeoXForCausalLM", "GPTNeoXConfig", _TINY, (_IDS, _MASK)),
        ("qwen2", "Qwen2ForCausalLM", "Qwen2Config", gated, (_IDS, _MASK)),
        ("mistral", "MistralForCausalLM", "MistralConfig", gated, (_IDS, _MASK)),
        (
            "segformer",
            "SegformerForSemanticSegmentation",
            "SegformerConfig",
            segformer,
            ("pixel_values:batch,3,64,64",),
        ),
        ("dinov2", "Dinov2Model", "Dinov2Config", dino, ("pixel_values:batch,3,28,28",)),
    ):
        entries[name] = Entry("transformers", _transformers(model, config, **options), inputs, _WORDS)
    return entries


def models() -> dict[str, Entry]:
    """Return every model of the study by name."""
    zoo = {
        name: replace(entry, inputs=("x:batch,3,96,96",)) if name in _SMALLER else entry for name, entry in ZOO.items()
    }
    return zoo | _more()
