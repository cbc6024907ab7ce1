"""Operators of ONNX's preview domain."""

from __future__ import annotations

import onnx_ir as ir
import torch

from translate.converters.lowering import Context
from translate.converters.onnx_to_torch.dtypes import torch_dtype
from translate.converters.onnx_to_torch.shapes import tensor
from translate.converters.onnx_to_torch.table import lower
from translate.errors import UnsupportedError


@lower("FlexAttention", domain="ai.onnx.preview")
def flex_attention(
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    *,
    prob_mod: ir.Graph | None = None,
    scale: float | None = None,
    score_mod: ir.Graph | None = None,
    softmax_precision: int | None = None,
    context: Context,
) -> torch.Tensor:
    """Attend with scores and probabilities that go through graphs of the model's own.

    `q` is [N, Hq, L, E], `k` [N, H, S, E], `v` [N, H, S, V], Hq a multiple of H; the graphs take and return
    [N, Hq, L, S]. Returns [N, Hq, L, V].

    Limits: the numbers of heads must be known when translating.
    """
    heads, kv_heads = q.size(1), k.size(1)
    if not isinstance(heads, int) or not isinstance(kv_heads, int):
        raise UnsupportedError("the number of heads is not known")
    if heads != kv_heads:
        k, v = (t.repeat_interleave(heads // kv_heads, 1) for t in (k, v))
    # Half of the scale on each side keeps the product of halves in their range.
    factor = (q.size(3) ** -0.5 if scale is None else scale) ** 0.5
    scores = torch.matmul(q * factor, (k * factor).transpose(2, 3))
    precision = torch.float64 if q.dtype == torch.float64 else torch.float32
    scores = scores.to(precision if softmax_precision is None else torch_dtype(softmax_precision))
    if score_mod is not None:
        scores = tensor(context.run(score_mod, scores)[0])
    probabilities = torch.softmax(scores, -1)
    if prob_mod is not None:
        probabilities = tensor(context.run(prob_mod, probabilities)[0])
    return torch.matmul(probabilities, v.to(probabilities.dtype)).to(v.dtype)
