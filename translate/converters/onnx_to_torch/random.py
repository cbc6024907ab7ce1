"""Random numbers, drawn anew each time the module runs, by PyTorch's own generator.

That generator belongs to the process, and `torch.manual_seed` makes it repeatable; the `seed` of a single node is
left out.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from translate.converters.onnx_to_torch.cast import convert
from translate.converters.onnx_to_torch.dtypes import torch_dtype
from translate.converters.onnx_to_torch.table import lower
from translate.converters.onnx_to_torch.values import record


@lower("RandomNormal", deterministic=False)
def random_normal(
    *, dtype: int = 1, mean: float = 0.0, scale: float = 1.0, seed: float | None = None, shape: Sequence[int]
) -> torch.Tensor:
    """Draw from a normal distribution with mean `mean` and standard deviation `scale`; the result is of `shape`."""
    return _affine(record(torch.randn, list(shape), dtype=torch_dtype(dtype)), scale, mean)


@lower("RandomNormalLike", deterministic=False)
def random_normal_like(
    x: torch.Tensor, *, dtype: int | None = None, mean: float = 0.0, scale: float = 1.0, seed: float | None = None
) -> torch.Tensor:
    """Draw from a normal distribution with mean `mean` and standard deviation `scale`; the result is of x's shape."""
    return _affine(torch.randn_like(x, dtype=_dtype(dtype, x)), scale, mean)


@lower("RandomUniform", deterministic=False)
def random_uniform(
    *, dtype: int = 1, high: float = 1.0, low: float = 0.0, seed: float | None = None, shape: Sequence[int]
) -> torch.Tensor:
    """Draw evenly from `low` up to, not including, `high`; the result is of `shape`."""
    return _affine(record(torch.rand, list(shape), dtype=torch_dtype(dtype)), high - low, low)


@lower("RandomUniformLike", deterministic=False)
def random_uniform_like(
    x: torch.Tensor, *, dtype: int | None = None, high: float = 1.0, low: float = 0.0, seed: float | None = None
) -> torch.Tensor:
    """Draw evenly from `low` up to, not including, `high`; the result is of x's shape."""
    return _affine(torch.rand_like(x, dtype=_dtype(dtype, x)), high - low, low)


@lower("Bernoulli", since=15, deterministic=False)
def bernoulli(x: torch.Tensor, *, dtype: int | None = None, seed: float | None = None) -> torch.Tensor:
    """Draw 1 with the probability that each element of `x` gives, else 0; the shape is unchanged."""
    return convert(torch.bernoulli(x), _dtype(dtype, x))


@lower("Multinomial", since=7, deterministic=False)
def multinomial(x: torch.Tensor, *, dtype: int = 6, sample_size: int = 1, seed: float | None = None) -> torch.Tensor:
    """Draw classes from unnormalised log-probabilities [N, classes]; returns their indices, [N, sample_size]."""
    return convert(torch.multinomial(torch.softmax(x, 1), sample_size, replacement=True), torch_dtype(dtype))


def _dtype(dtype: int | None, x: torch.Tensor) -> torch.dtype:
    return x.dtype if dtype is None else torch_dtype(dtype)


def _affine(x: torch.Tensor, scale: float, offset: float) -> torch.Tensor:
    x = x if scale == 1 else x * scale
    return x if offset == 0 else x + offset
