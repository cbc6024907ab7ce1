"""Attention, on sequences [N, T, C]."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from translate.converters.keras_to_torch.core import product
from translate.converters.keras_to_torch.here import parameter, submodule
from translate.converters.keras_to_torch.layout import Flow
from translate.converters.keras_to_torch.modules import attention_bias, masked_softmax
from translate.converters.keras_to_torch.table import lower
from translate.converters.onnx_to_torch.values import record
from translate.errors import UnsupportedError


def _always(layer: Any, given: Collection[str]) -> bool:
    return True


def _causal(scores_shape: tuple[Any, Any]) -> torch.Tensor:
    """Return [T, S], true where a step of the query may look: not at later ones."""
    rows, columns = scores_shape
    mask: torch.Tensor = record(torch.arange, rows).unsqueeze(1) >= record(torch.arange, columns)
    return mask


def _mask_of_scores(
    query: torch.Tensor,
    value: torch.Tensor,
    query_mask: torch.Tensor | None,
    others: Sequence[torch.Tensor | None],
    attention_mask: torch.Tensor | None,
    is_causal: bool,
) -> torch.Tensor | None:
    """Return [N, T, S], true where a step may look at another one: all masks together."""
    masks: list[torch.Tensor] = []
    if query_mask is not None:
        masks.append(query_mask.unsqueeze(-1))
    masks += [mask.unsqueeze(-2) for mask in others if mask is not None]
    if is_causal:
        masks.append(_causal((query.size(1), value.size(1))).unsqueeze(0))
    if attention_mask is not None:
        masks.append(attention_mask.to(torch.bool))
    if not masks:
        return None
    result = masks[0]
    for mask in masks[1:]:
        result = result & mask
    return result


@lower("MultiHeadAttention", own=_always, drops_masks=True)
def multi_head_attention(
    layer: Any,
    query: torch.Tensor,
    *,
    value: torch.Tensor,
    key: torch.Tensor | None = None,
    query_mask: torch.Tensor | None = None,
    value_mask: torch.Tensor | None = None,
    key_mask: torch.Tensor | None = None,
    attention_mask: torch.Tensor | None = None,
    return_attention_scores: bool = False,
    use_causal_mask: bool = False,
) -> torch.Tensor | tuple[torch.Tensor, torch.Tensor]:
    """Let each step of the query [N, T, C] look at the steps of key and value [N, S, C], in several heads.

    Limits: sequences of one axis, no gate, no sliding window.
    """
    if query.ndim != 3 or layer._use_gate or layer._sliding_window is not None:
        raise UnsupportedError("sequences of several axes, a gate or a sliding window")
    key = value if key is None else key
    mask = _mask_of_scores(query, value, query_mask, (value_mask, key_mask), attention_mask, use_causal_mask)
    q = _projected("query", layer._query_dense, query)
    k = _projected("key", layer._key_dense, key)
    v = _projected("value", layer._value_dense, value)
    may_be_empty = any(one is not None for one in (query_mask, value_mask, key_mask, attention_mask))
    scale, with_scores = layer._inverse_sqrt_key_dim, return_attention_scores
    y, scores = _attended(q, k, v, mask, scale, layer._dropout, with_scores, may_be_empty)
    y = _output(layer._output_dense, y)
    return (y, scores) if return_attention_scores else y


@lower("GroupedQueryAttention", own=_always)
def grouped_query_attention(
    layer: Any,
    query: torch.Tensor,
    *,
    value: torch.Tensor,
    key: torch.Tensor | None = None,
    query_mask: torch.Tensor | None = None,
    value_mask: torch.Tensor | None = None,
    key_mask: torch.Tensor | None = None,
    attention_mask: torch.Tensor | None = None,
    return_attention_scores: bool = False,
    use_causal_mask: bool = False,
) -> torch.Tensor | tuple[torch.Tensor, torch.Tensor]:
    """Let each step of the query look at those of key and value, of which several heads of the query share one.

    Limits: no gate, no sliding window.
    """
    if layer.use_gate or layer.sliding_window is not None:
        raise UnsupportedError("a gate or a sliding window")
    key = value if key is None else key
    mask = _mask_of_scores(query, value, query_mask, (value_mask, key_mask), attention_mask, use_causal_mask)
    q = _projected("query", layer._query_dense, query)
    k = _projected("key", layer._key_dense, key).repeat_interleave(layer.num_repeats, 1)
    v = _projected("value", layer._value_dense, value).repeat_interleave(layer.num_repeats, 1)
    may_be_empty = any(one is not None for one in (query_mask, value_mask, key_mask, attention_mask))
    scale, with_scores = layer._inverse_sqrt_head_dim, return_attention_scores
    y, scores = _attended(q, k, v, mask, scale, layer.dropout, with_scores, may_be_empty)
    y = _output(layer._output_dense, y)
    return (y, scores) if return_attention_scores else y


def _projected(part: str, dense: Any, x: torch.Tensor) -> Any:
    """Return the heads [N, H, T, K] of x [N, T, C]."""
    return product(part, dense, 1, x).transpose(1, 2)


def _output(dense: Any, y: torch.Tensor) -> Any:
    """Return what the heads y [N, H, T, K] make together, [N, T, C]."""
    return product("output", dense, 2, y.transpose(1, 2))


def _attended(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    mask: torch.Tensor | None,
    scale: float,
    dropout: float,
    with_scores: bool,
    may_be_empty: bool,
) -> tuple[Any, Any]:
    """Return what the heads [N, H, T, K] gather, and, if asked for, the share of each step.

    `mask` is [N, T, S], or [N, H, T, S] where each head has its own; it `may_be_empty` for a step.
    """
    if mask is not None and mask.ndim == 3:
        mask = mask.unsqueeze(1)
    if not dropout and not with_scores:
        if mask is not None and may_be_empty:
            # PyTorch's operator for this gives wrong gradients on the CPU where a step may look nowhere.
            every = torch.matmul(query * scale, key.transpose(2, 3))
            seen = torch.where(mask, every, torch.finfo(every.dtype).min / 2)
            return torch.matmul(F.softmax(seen, dim=-1), value), None
        options: dict[str, Any] = {} if math.isclose(scale, query.shape[-1] ** -0.5) else {"scale": scale}
        if mask is not None:
            options["attn_mask"] = record(attention_bias, mask, query)
        return F.scaled_dot_product_attention(query, key, value, **options), None
    scores = torch.matmul(query * scale, key.transpose(2, 3))
    scores = F.softmax(scores, dim=-1) if mask is None else record(masked_softmax, scores, mask)
    kept = submodule(lambda: nn.Dropout(dropout), {}, scores, part="dropout") if dropout else scores
    return torch.matmul(kept, value), scores


def _mask_of_attention(layer: Any, inputs: Sequence[Flow], mask: Any) -> Any:
    return [mask[0]] if mask is not None and mask[0] is not None else None


@lower("Attention", "AdditiveAttention", own=_always, mask=_mask_of_attention)
def attention(
    layer: Any,
    inputs: Sequence[torch.Tensor],
    *,
    mask: Sequence[torch.Tensor | None] | None = None,
    return_attention_scores: bool = False,
    use_causal_mask: bool = False,
) -> torch.Tensor | tuple[torch.Tensor, torch.Tensor]:
    """Let each step of the query [N, T, C] look at the steps of the value [N, S, C], by products or by sums."""
    query, value, *keys = inputs
    key = keys[0] if keys else value
    scale = None if layer.scale is None else parameter("scale", layer.scale)
    if type(layer).__name__ == "Attention" and layer.score_mode == "dot":
        scores = torch.matmul(query, key.transpose(1, 2))
        scores = scores if scale is None else scores * scale
    else:
        sums = torch.tanh(_scaled(layer, query.unsqueeze(2) + key.unsqueeze(1), scale))
        if type(layer).__name__ == "AdditiveAttention":
            sums = sums if scale is None else scale * sums
        scores = sums.sum(-1)
        weight = getattr(layer, "concat_score_weight", None)
        scores = scores if weight is None else parameter("concat_score_weight", weight) * scores
    query_mask, value_mask = (mask[0], mask[1]) if mask else (None, None)
    seen = None if value_mask is None else value_mask.unsqueeze(1)
    if use_causal_mask:
        causal = _causal((query.size(1), key.size(1)))
        seen = causal if seen is None else seen & causal
    if seen is not None:
        scores = torch.where(seen, scores, scores - (65504.0 if scores.dtype is torch.float16 else 1e9))
    weights = F.softmax(scores, dim=-1)
    kept = submodule(lambda: nn.Dropout(layer.dropout), {}, weights, part="dropout") if layer.dropout else weights
    y = torch.matmul(kept, value)
    y = y if query_mask is None else torch.where(query_mask.unsqueeze(-1), y, 0.0)
    return (y, weights) if return_attention_scores else y


def _scaled(layer: Any, sums: torch.Tensor, scale: torch.Tensor | None) -> torch.Tensor:
    # Keras scales before tanh in the one class, after it in the other.
    return sums if scale is None or type(layer).__name__ == "AdditiveAttention" else scale * sums
