"""The backbones of keras-hub, built from tiny configurations: no weights are downloaded."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.zoo.entry import Entry

_VOCABULARY = 60
_IMAGE = (32, 32, 3)
_ENCODER = {
    **{"vocabulary_size": _VOCABULARY, "num_layers": 2, "num_heads": 2, "hidden_dim": 8, "intermediate_dim": 12},
    "max_sequence_length": 40,
}
_DECODER = {
    **{"vocabulary_size": _VOCABULARY, "num_layers": 2, "num_query_heads": 4, "num_key_value_heads": 2},
    **{"hidden_dim": 16, "intermediate_dim": 12},
}
_PATCHES = {"patch_size": 8, "num_layers": 2, "num_heads": 2, "hidden_dim": 8, "image_shape": _IMAGE}
_RESNET = {
    **{"input_conv_filters": [64], "input_conv_kernel_sizes": [7], "stackwise_num_filters": [64, 16]},
    **{"stackwise_num_blocks": [2, 2], "stackwise_num_strides": [1, 2], "image_shape": _IMAGE},
}


def _without(config: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in config.items() if name not in names}


_UNBOUND = _without(_ENCODER, "max_sequence_length")
_CONFIGS: dict[str, tuple[str, Mapping[str, Any]]] = {
    "BERT": ("BertBackbone", _ENCODER),
    "RoBERTa": ("RobertaBackbone", _ENCODER),
    "DistilBERT": ("DistilBertBackbone", _ENCODER),
    "ALBERT": ("AlbertBackbone", {**_ENCODER, "embedding_dim": 4}),
    "ELECTRA": (
        "ElectraBackbone",
        {**_without(_ENCODER, "vocabulary_size"), "vocab_size": _VOCABULARY, "embedding_dim": 4},
    ),
    "DeBERTaV3": ("DebertaV3Backbone", {**_ENCODER, "bucket_size": 8}),
    "FNet": ("FNetBackbone", _without(_ENCODER, "num_heads")),
    "RoFormerV2": ("RoformerV2Backbone", {**_UNBOUND, "head_size": 4}),
    "XLNet": ("XLNetBackbone", _UNBOUND),
    "ESM": ("ESMBackbone", {**_ENCODER, "hidden_dim": 16}),
    "BART": ("BartBackbone", _ENCODER),
    "T5": ("T5Backbone", _UNBOUND),
    "GPT2": ("GPT2Backbone", _ENCODER),
    "GPTNeoX": ("GPTNeoXBackbone", {**_ENCODER, "hidden_dim": 16}),
    "OPT": ("OPTBackbone", _ENCODER),
    "BLOOM": ("BloomBackbone", _UNBOUND),
    "Falcon": (
        "FalconBackbone",
        {**_without(_UNBOUND, "num_heads"), "num_attention_heads": 2},
    ),
    "Llama": ("LlamaBackbone", _DECODER),
    "Llama3": ("Llama3Backbone", _DECODER),
    "Mistral": ("MistralBackbone", {**_DECODER, "sliding_window": 4}),
    "Mixtral": ("MixtralBackbone", {**_DECODER, "num_experts": 3, "sliding_window": 4}),
    "Qwen": ("QwenBackbone", _DECODER),
    "Qwen3": ("Qwen3Backbone", {**_DECODER, "head_dim": 4}),
    "Gemma": ("GemmaBackbone", {**_DECODER, "head_dim": 4}),
    "Gemma3": ("Gemma3Backbone", {**_DECODER, "head_dim": 4, "image_size": None}),
    "Phi3": ("Phi3Backbone", _DECODER),
    "Whisper": ("WhisperBackbone", {**_UNBOUND, "num_mels": 8, "max_encoder_sequence_length": 40}),
    "Moonshine": (
        "MoonshineBackbone",
        {
            **{"vocabulary_size": _VOCABULARY, "filter_dim": 16, "encoder_num_layers": 1, "decoder_num_layers": 1},
            **{"hidden_dim": 16, "intermediate_dim": 12, "encoder_num_heads": 2, "decoder_num_heads": 2},
        },
    ),
    "ViT": ("ViTBackbone", {**_PATCHES, "mlp_dim": 12}),
    "DeiT": ("DeiTBackbone", {**_PATCHES, "intermediate_dim": 12}),
    "DINOV2": ("DINOV2Backbone", {**_PATCHES, "intermediate_dim": 12, "position_embedding_shape": _IMAGE}),
    "Swin": (
        "SwinTransformerBackbone",
        {"image_shape": _IMAGE, "embed_dim": 8, "depths": [2, 2], "num_heads": [2, 2], "window_size": 4},
    ),
    "MiT": (
        "MiTBackbone",
        {
            **{"layerwise_depths": [1, 1], "num_layers": 2, "layerwise_num_heads": [1, 2]},
            **{"layerwise_sr_ratios": [2, 1], "max_drop_path_rate": 0.1, "layerwise_patch_sizes": [7, 3]},
            **{"layerwise_strides": [4, 2], "hidden_dims": [8, 16], "image_shape": _IMAGE},
        },
    ),
    "ResNet": ("ResNetBackbone", {**_RESNET, "block_type": "basic_block"}),
    "ResNetV2": ("ResNetBackbone", {**_RESNET, "block_type": "bottleneck_block", "use_pre_activation": True}),
    "VGG": (
        "VGGBackbone",
        {"stackwise_num_repeats": [1, 2], "stackwise_num_filters": [4, 8], "image_shape": _IMAGE},
    ),
    "DenseNet": ("DenseNetBackbone", {"stackwise_num_repeats": [2, 2], "growth_rate": 4, "image_shape": _IMAGE}),
    "Xception": (
        "XceptionBackbone",
        {"stackwise_conv_filters": [[4, 8], [8, 8]], "stackwise_pooling": [True, False], "image_shape": _IMAGE},
    ),
}


# Which open sizes are the same.
_INPUTS = {
    ("BERT", "ALBERT", "ELECTRA"): ("token_ids", "segment_ids", "padding_mask"),
    ("RoFormerV2",): ("token_ids", "segment_ids"),
    ("XLNet",): ("token_ids", "segment_ids", "padding_mask"),
    ("FNet",): ("token_ids", "segment_ids"),
    ("BART", "T5"): ("encoder_token_ids", "encoder_padding_mask", "decoder_token_ids", "decoder_padding_mask"),
    ("Whisper", "Moonshine"): ("decoder_token_ids", "decoder_padding_mask"),
    ("ESM",): ("token_ids",),
}
_NETWORKS_OF_IMAGES = (*("ViT", "DeiT", "DINOV2", "Swin", "MiT", "ResNet", "ResNetV2", "VGG", "DenseNet", "Xception"),)


def _inputs(name: str) -> tuple[str, ...]:
    if name in _NETWORKS_OF_IMAGES:
        return ()
    names = next((names for kinds, names in _INPUTS.items() if name in kinds), ("token_ids", "padding_mask"))
    steps = {True: "source", False: "steps"}
    dtypes = {True: "bool", False: "int32"}
    return tuple(
        f"{one}:batch,{steps[one.startswith('encoder')]}:{dtypes[name == 'Moonshine' and 'mask' in one]}"
        for one in names
    )


def _make(kind: str, config: Mapping[str, Any], folder: Path) -> Path:
    import keras
    import keras_hub
    import numpy as np

    keras.utils.set_random_seed(0)
    model = getattr(keras_hub.models, kind)(**config)
    generator = np.random.default_rng(0)
    for variable in model.weights:
        # Also what starts as zeros or ones.
        noise = 0.2 * generator.standard_normal(variable.shape)
        if variable.dtype == "float32":
            variable.assign(np.asarray(variable) + (np.abs(noise) if "variance" in variable.path else noise))
    path = folder / "model.keras"
    model.save(path)
    return path


HUB = {
    f"hub/{name}": Entry(
        "keras-hub backbones",
        partial(_make, kind, config),
        inputs=_inputs(name),
        route="layers",
        trains=True,
        integers=_VOCABULARY,
        group="hub",
    )
    for name, (kind, config) in _CONFIGS.items()
}
