"""Language models of transformers as two functions: `prefill` reads a prompt, `decode` takes one token at a time.

Keys and values of attention are inputs and outputs, [batch, heads, length, size] each: what `prefill` and `decode`
return as `present_key_0`, `decode` takes as `past_key_0`. An encoder-decoder also returns the keys and values that
its decoder reads of the encoder's, `cross_key_0`, once. Prompts of different lengths are filled up on the left, as
transformers' own `generate` has them, with zeros there in `attention_mask`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import torch
from torch import nn

# A function, and its inputs as `--input` says them. Those called `past_...` and `cross_...` follow from what the other
# returns.
Method: TypeAlias = "tuple[Callable[..., Any], tuple[str, ...]]"

_Cache: TypeAlias = Mapping[str, torch.Tensor]


def is_language_model(module: nn.Module) -> bool:
    """Say whether a module is one of transformers that can generate."""
    able = getattr(module, "can_generate", None)
    return callable(able) and hasattr(module, "generation_config") and bool(able())


def methods(model: Any) -> dict[str, Method]:
    """Return the functions `prefill` and `decode` of a language model of transformers.

    Of a decoder, `prefill(input_ids [batch, time], attention_mask [batch, time])` and `decode(input_ids [batch, 1],
    attention_mask [batch, past+1], past)`. Of an encoder-decoder, `prefill(input_ids [batch, source], attention_mask
    [batch, source], decoder_input_ids [batch, time])`, with `input_features` instead of both where it hears, and
    `decode(decoder_input_ids [batch, 1], attention_mask, past, cross)`. Both return `logits` [batch, vocabulary], of
    the last token, and the keys and values.
    """
    if not model.config.is_encoder_decoder:
        return _decoder(model)
    return _encoder_decoder(model)


def _decoder(model: Any) -> dict[str, Method]:
    from transformers.cache_utils import DynamicCache

    def prefill(input_ids: torch.Tensor, attention_mask: torch.Tensor) -> dict[str, torch.Tensor]:
        positions = (attention_mask.cumsum(1) - 1).clamp(min=0)
        return step(input_ids, attention_mask, positions, DynamicCache())

    def decode(input_ids: torch.Tensor, attention_mask: torch.Tensor, past: _Cache) -> dict[str, torch.Tensor]:
        positions = attention_mask.sum(1, keepdim=True) - 1
        return step(input_ids, attention_mask, positions, DynamicCache(_pairs(past)))

    def step(ids: torch.Tensor, mask: torch.Tensor, positions: torch.Tensor, cache: Any) -> dict[str, torch.Tensor]:
        result = model(
            input_ids=ids, attention_mask=mask, position_ids=positions, past_key_values=cache, use_cache=True
        )
        return {"logits": result.logits[:, -1], **_named("present", result.past_key_values)}

    return {
        "prefill": (prefill, ("input_ids:batch,time:int64", "attention_mask:batch,time:int64")),
        "decode": (decode, ("input_ids:batch,1:int64", "attention_mask:batch,past+1:int64")),
    }


def _encoder_decoder(model: Any) -> dict[str, Method]:
    from transformers.cache_utils import DynamicCache, EncoderDecoderCache
    from transformers.modeling_outputs import BaseModelOutput

    hears = model.main_input_name == "input_features"

    def read(ids: torch.Tensor, **source: torch.Tensor) -> dict[str, torch.Tensor]:
        cache = EncoderDecoderCache(DynamicCache(), DynamicCache())
        result = model(decoder_input_ids=ids, past_key_values=cache, use_cache=True, **source)
        found = result.past_key_values
        return {
            "logits": result.logits[:, -1],
            **_named("present", found.self_attention_cache),
            **_named("cross", found.cross_attention_cache),
        }

    def step(ids: torch.Tensor, past: _Cache, cross: _Cache, **source: torch.Tensor) -> dict[str, torch.Tensor]:
        cache = EncoderDecoderCache(DynamicCache(_pairs(past)), DynamicCache(_pairs(cross)))
        # The encoder is done; what the decoder needs of it is in the cache, and this is read for its length only.
        key = cross["key_0"]
        width = model.config.hidden_size
        encoded = BaseModelOutput(last_hidden_state=key.new_zeros(key.shape[0], key.shape[2], width))
        result = model(decoder_input_ids=ids, encoder_outputs=encoded, past_key_values=cache, use_cache=True, **source)
        return {
            "logits": result.logits[:, -1],
            **_named("present", result.past_key_values.self_attention_cache),
        }

    def prefill(
        input_ids: torch.Tensor, attention_mask: torch.Tensor, decoder_input_ids: torch.Tensor
    ) -> dict[str, torch.Tensor]:
        return read(decoder_input_ids, input_ids=input_ids, attention_mask=attention_mask)

    def decode(
        decoder_input_ids: torch.Tensor, attention_mask: torch.Tensor, past: _Cache, cross: _Cache
    ) -> dict[str, torch.Tensor]:
        return step(decoder_input_ids, past, cross, attention_mask=attention_mask)

    def prefill_sound(input_features: torch.Tensor, decoder_input_ids: torch.Tensor) -> dict[str, torch.Tensor]:
        return read(decoder_input_ids, input_features=input_features)

    def decode_sound(decoder_input_ids: torch.Tensor, past: _Cache, cross: _Cache) -> dict[str, torch.Tensor]:
        return step(decoder_input_ids, past, cross)

    if hears:
        config = model.config
        features = f"input_features:batch,{config.num_mel_bins},{2 * config.max_source_positions}"
        return {
            "prefill": (prefill_sound, (features, "decoder_input_ids:batch,time:int64")),
            "decode": (decode_sound, ("decoder_input_ids:batch,1:int64",)),
        }
    source = ("input_ids:batch,source:int64", "attention_mask:batch,source:int64")
    return {
        "prefill": (prefill, (*source, "decoder_input_ids:batch,time:int64")),
        "decode": (decode, ("decoder_input_ids:batch,1:int64", source[1])),
    }


def _pairs(cache: _Cache) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Return keys and values of each layer, from `key_0`, `value_0`, `key_1`..."""
    return [(cache[f"key_{layer}"], cache[f"value_{layer}"]) for layer in range(len(cache) // 2)]


def _named(prefix: str, cache: Any) -> dict[str, torch.Tensor]:
    named: dict[str, torch.Tensor] = {}
    for number, layer in enumerate(cache.layers):
        named |= {f"{prefix}_key_{number}": layer.keys, f"{prefix}_value_{number}": layer.values}
    return named
