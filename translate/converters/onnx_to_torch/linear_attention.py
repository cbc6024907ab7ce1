"""What recurrent language models are made of: linear attention, and the short causal convolution before it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import torch
import torch.nn.functional as F

from translate.converters.onnx_to_torch.control import over_time
from translate.converters.onnx_to_torch.table import lower
from translate.converters.onnx_to_torch.values import record
from translate.converters.onnx_to_torch.widen import HALVES, widen


@lower("CausalConvWithState", since=27)
def causal_conv_with_state(
    x: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None = None,
    past_state: torch.Tensor | None = None,
    *,
    activation: Literal["none", "silu", "swish"] = "none",
) -> tuple[torch.Tensor, torch.Tensor]:
    """Convolve each channel of x [N, C, L] with its own kernel, weight [C, 1, k], over the past alone.

    `past_state`, [N, C, k - 1], is what came before, else zeros. Returns [N, C, L] and the state to come.
    """
    size = weight.size(2)
    padded = F.pad(x, [size - 1, 0]) if past_state is None else torch.cat([past_state, x], 2)
    wide, kernel, shift = (widen(t, *HALVES) for t in (padded, weight, bias))
    y = F.conv1d(wide, kernel, shift, groups=weight.size(0))
    y = F.silu(y) if activation != "none" else y
    return y.to(x.dtype) if y.dtype != x.dtype else y, padded[:, :, x.size(2) :]


@lower("LinearAttention", since=27)
def linear_attention(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    past_state: torch.Tensor | None = None,
    decay: torch.Tensor | None = None,
    beta: torch.Tensor | None = None,
    *,
    chunk_size: int = 64,
    kv_num_heads: int,
    q_num_heads: int,
    scale: float = 0.0,
    update_rule: Literal["linear", "gated", "delta", "gated_delta"] = "gated_delta",
) -> tuple[torch.Tensor, torch.Tensor]:
    """Read a matrix of memory with each query, after it has decayed and taken up the key's value.

    `query` is [N, T, Hq * K], `key` [N, T, H * K], `value` [N, T, H * V], `past_state` [N, H, K, V], `decay` (the
    logarithm of what is kept) [N, T, H] or [N, T, H * K], `beta` (how much is taken up) [N, T, H] or [N, T, 1].
    Returns [N, T, Hq * V] and the last state. The steps are computed one after another, in float32 at least;
    `chunk_size` is a hint for other implementations. `decay` and `beta` are given as the update rule needs them.
    """
    heads, group = kv_num_heads, q_num_heads // kv_num_heads

    def time_major(x: torch.Tensor, *sizes: int) -> torch.Tensor:
        return widen(torch.unflatten(x, 2, (*sizes, -1)).transpose(0, 1), *HALVES)

    inputs = [time_major(query, heads, group), time_major(key, heads), time_major(value, heads)]
    inputs += [] if decay is None else [time_major(decay, heads)]
    inputs += [] if beta is None else [time_major(beta, beta.size(2))]
    key_size, value_size = inputs[1].size(3), inputs[2].size(3)
    factor = scale or key_size**-0.5

    def step(now: Sequence[Any], state: Sequence[Any]) -> tuple[Sequence[Any], Any]:
        (memory,), (q, k, v) = state, now[:3]
        if decay is not None:
            memory = memory * torch.exp(now[3]).unsqueeze(3)
        if beta is not None:
            v = now[-1] * (v - torch.matmul(k.unsqueeze(2), memory).squeeze(2))
        memory = memory + k.unsqueeze(3) * v.unsqueeze(2)
        return [memory], factor * torch.matmul(q, memory)

    if past_state is None:
        shape = [query.size(0), heads, key_size, value_size]
        start = record(torch.zeros, shape, dtype=inputs[0].dtype)
    else:
        start = widen(past_state, *HALVES)
    memory, outputs = over_time(step, inputs, [start])
    y = outputs.transpose(0, 1).flatten(2)
    return y.to(query.dtype), memory.to(query.dtype if past_state is None else past_state.dtype)
