"""Attention and rotary position embedding."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import torch
import torch.nn.functional as F

from translate.converters.lowering import Context
from translate.converters.onnx_to_torch.dtypes import torch_dtype
from translate.converters.onnx_to_torch.shapes import Size
from translate.converters.onnx_to_torch.table import LAYERS, lower
from translate.converters.onnx_to_torch.values import record
from translate.converters.operators.attention import allowed

Outputs = tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor | None]


@lower("Attention", since=23)
def attention(
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    attn_mask: torch.Tensor | None = None,
    past_key: torch.Tensor | None = None,
    past_value: torch.Tensor | None = None,
    nonpad_kv_seqlen: torch.Tensor | None = None,
    *,
    is_causal: int = 0,
    kv_num_heads: int | None = None,
    left_window_size: int = -1,
    q_num_heads: int | None = None,
    qk_matmul_output_mode: Literal[0, 1, 2, 3] = 0,
    right_window_size: int = -1,
    scale: float | None = None,
    softcap: float = 0.0,
    softmax_precision: int | None = None,
    context: Context,
) -> Outputs:
    """Scaled dot-product attention of q [N, heads, Q, D] on k [N, kv_heads, K, D] and v [N, kv_heads, K, V].

    Or of q [N, Q, heads · D] on k [N, K, kv_heads · D] and v [N, K, kv_heads · V]. Past keys and values come before k
    and v. `attn_mask` broadcasts to [N, heads, Q, K]. Returns y in the form of q; all keys and values
    [N, kv_heads, past + K, D or V]; and, where it is asked for, the scores [N, heads, Q, past + K] after the step
    that `qk_matmul_output_mode` names. A query that may attend to nothing gives zeros.
    Opset 24 added `nonpad_kv_seqlen`, and 25 the windows.
    """
    packed = q.ndim == 3
    if packed:
        q, k, v = _split_heads(q, q_num_heads), _split_heads(k, kv_num_heads), _split_heads(v, kv_num_heads)
    past: Size = 0 if past_key is None else past_key.size(2)
    k = k if past_key is None else torch.cat([past_key, k], 2)
    v = v if past_value is None else torch.cat([past_value, v], 2)
    queries, keys, heads, kv_heads = q.size(2), k.size(2), q.size(1), k.size(1)
    grouped = isinstance(heads, int) and isinstance(kv_heads, int) and heads != kv_heads
    windowed = left_window_size >= 0 or right_window_size >= 0
    outputs = context.node.outputs
    exposes = len(outputs) > 3 and bool(outputs[3].name)
    options: dict[str, Any] = {} if scale is None else {"scale": scale}
    options |= {"enable_gqa": True} if grouped else {}
    fused = not exposes and softcap == 0 and _is_wide_enough(softmax_precision, q.dtype)

    if fused and is_causal and attn_mask is None and past_key is None and nonpad_kv_seqlen is None and not windowed:
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True, **options)
        return _join_heads(y) if packed else y, k, v, None
    visible = None
    if is_causal or windowed or nonpad_kv_seqlen is not None:
        end = None if nonpad_kv_seqlen is None else nonpad_kv_seqlen.reshape([-1, 1, 1, 1])
        query = record(torch.arange, queries).unsqueeze(1) + (past if end is None else end - queries)
        visible = allowed(query, record(torch.arange, keys), end, is_causal, left_window_size, right_window_size)
    mask = _mask(attn_mask, visible, keys)
    if fused:
        y = F.scaled_dot_product_attention(q, k, v, mask, **options)
        return _join_heads(y) if packed else y, k, v, None

    # What torch.nn.functional does in one step: to see, or to change, what is in between.
    every_k, every_v = (t.repeat_interleave(heads // kv_heads, 1) if grouped else t for t in (k, v))
    scores = torch.matmul(q * (q.size(3) ** -0.5 if scale is None else scale), every_k.transpose(2, 3))
    exposed = scores
    if softcap > 0:
        scores = softcap * torch.tanh(scores / softcap)
    exposed = scores if qk_matmul_output_mode == 1 else exposed
    if mask is not None:
        scores = scores.masked_fill(~mask, float("-inf")) if mask.dtype == torch.bool else scores + mask
    exposed = scores if qk_matmul_output_mode == 2 else exposed
    wide = scores if softmax_precision is None else scores.to(torch_dtype(softmax_precision))
    weights = torch.softmax(wide, -1)
    if mask is not None:
        weights = weights.masked_fill((wide == float("-inf")).all(-1, True), 0.0)
    weights = weights.to(q.dtype)
    exposed = weights if qk_matmul_output_mode == 3 else exposed
    y = torch.matmul(weights, every_v)
    return _join_heads(y) if packed else y, k, v, exposed


@lower("Attention", domain=LAYERS)
def attention_layer(
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    mask: torch.Tensor | None = None,
    *,
    scale: float,
    query_order: tuple[int, ...],
    key_order: tuple[int, ...],
    value_order: tuple[int, ...],
    result_order: tuple[int, ...],
) -> torch.Tensor:
    """Attend with q, k, v that their orders bring to [N, heads, Q or K, D]; `mask` is added to [N, heads, Q, K].

    The result is [N, heads, Q, D], in `result_order`.
    """
    q, k, v = _in_order(q, query_order), _in_order(k, key_order), _in_order(v, value_order)
    if mask is not None and mask.ndim < 2:
        # PyTorch broadcasts no mask that lacks the axes of queries and keys.
        mask = mask.reshape([1, -1])
    return _in_order(F.scaled_dot_product_attention(q, k, v, mask, scale=scale), result_order)


def _in_order(x: torch.Tensor, order: Sequence[int]) -> torch.Tensor:
    moved = [axis for axis, source in enumerate(order) if axis != source]
    if len(moved) == 2:
        return x.transpose(*moved)
    return x.permute(*order) if moved else x


def _is_wide_enough(softmax_precision: int | None, dtype: torch.dtype) -> bool:
    """Whether PyTorch's own attention, which computes halves in float32, has the precision that is asked for."""
    if softmax_precision is None:
        return True
    return dtype == torch.float64 or torch_dtype(softmax_precision) in (torch.float32, torch.float16, torch.bfloat16)


def _split_heads(x: torch.Tensor, heads: int | None) -> torch.Tensor:
    """Return x [N, S, heads · D] as [N, heads, S, D]."""
    assert heads is not None, "the specification demands the number of heads with three axes"
    return torch.unflatten(x, 2, (heads, -1)).transpose(1, 2)


def _join_heads(x: torch.Tensor) -> torch.Tensor:
    """Return x [N, heads, S, D] as [N, S, heads · D]."""
    return x.transpose(1, 2).flatten(2)


def _mask(mask: torch.Tensor | None, visible: torch.Tensor | None, keys: Size) -> torch.Tensor | None:
    """Join both: bool, or numbers to add to the scores, -inf where there is nothing to attend to."""
    if mask is None:
        return visible
    known = mask.size(mask.ndim - 1)
    nothing = False if mask.dtype == torch.bool else float("-inf")
    if isinstance(known, int) and isinstance(keys, int) and known < keys:
        # What a mask that is shorter than the keys does not reach is not attended to.
        mask = F.pad(mask, [0, keys - known], value=nothing)
    if visible is None:
        return mask
    return mask & visible if mask.dtype == torch.bool else torch.where(visible, mask, nothing)


@lower("RotaryEmbedding", since=23)
def rotary_embedding(
    x: torch.Tensor,
    cos_cache: torch.Tensor,
    sin_cache: torch.Tensor,
    position_ids: torch.Tensor | None = None,
    *,
    interleaved: int = 0,
    num_heads: int | None = None,
    rotary_embedding_dim: int = 0,
) -> torch.Tensor:
    """Rotate pairs of features of x [N, heads, S, D] or [N, S, heads · D] by angles that grow with the position.

    The caches are [positions, rotated / 2], looked up at position_ids [N, S]; without these, [N, S, rotated / 2].
    After Su et al., "RoFormer", 2021.
    """
    packed = x.ndim == 3
    # The axis of heads is the third with three axes given, and the second with four.
    apart = torch.unflatten(x, 2, (num_heads or 1, -1)) if packed else x
    cos, sin = (
        (cache if position_ids is None else cache[position_ids]).unsqueeze(2 if packed else 1)
        for cache in (cos_cache, sin_cache)
    )
    head = apart[..., :rotary_embedding_dim] if rotary_embedding_dim else apart
    if interleaved:
        one, other = head[..., ::2], head[..., 1::2]
    else:
        one, other = head.chunk(2, -1)
    real, imaginary = cos * one - sin * other, sin * one + cos * other
    turned = torch.stack([real, imaginary], -1).flatten(-2) if interleaved else torch.cat([real, imaginary], -1)
    y = torch.cat([turned, apart[..., rotary_embedding_dim:]], -1) if rotary_embedding_dim else turned
    return y.flatten(2) if packed else y
