"""The models that every release must translate: a catalogue of seeded models with dynamic dimensions.

    module, inputs = ZOO["resnet18"]()

gives the module in eval mode and its inputs as `--input` options. Nothing is imported or built before the call.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import sys
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import distribution
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import nn

from tests import torchvision_ops, zoo_modules
from translate.models import Model, open_model
from translate.models.inputs import default_sizes, example_feeds


@dataclass(frozen=True)
class Entry:
    """One model: how it is made, its inputs as `--input` options, and the greatest integers that inputs may hold."""

    family: str
    make: Callable[[], nn.Module]
    inputs: tuple[str, ...]
    bounds: Mapping[str, int] = field(default_factory=dict)
    # Trained weights are left as they are.
    trained: bool = False

    def __call__(self) -> tuple[nn.Module, list[str]]:
        """Make the model, the same one every time, in eval mode."""
        torch.manual_seed(0)
        module = self.make().eval()
        if not self.trained:
            randomise(module, self.inputs)
        return module, list(self.inputs)


def randomise(module: nn.Module, inputs: Sequence[str], seed: int = 0) -> None:
    """Make every weight and the input matter: BatchNorm statistics of a batch, and noise on constant vectors.

    Layer scales of 1e-6 or gains of 0 hide whole branches, and a deep network whose BatchNorms know nothing of their
    inputs returns the same for all of them.
    """
    generator = torch.Generator().manual_seed(seed)

    def noise(tensor: torch.Tensor) -> torch.Tensor:
        return torch.randn(tensor.shape, generator=generator)

    with torch.no_grad():
        for parameter in module.parameters():
            first = parameter.flatten()[:1]
            if parameter.numel() > 1 and bool((parameter == first).all()):
                centre = 0.0 if first == 0 else 1.0
                parameter.copy_(centre + 0.1 * noise(parameter))
    norms = [part for part in module.modules() if isinstance(part, nn.modules.batchnorm._BatchNorm)]
    if norms:
        _calibrate(open_model(module, inputs=inputs), norms, seed)


def _calibrate(model: Model, norms: Sequence[nn.modules.batchnorm._BatchNorm], seed: int) -> None:
    """Set BatchNorm statistics to those of one batch of four."""
    for norm in norms:
        norm.train()
        norm.momentum = 1.0
    sizes = default_sizes(model.inputs)[0] | {"batch": 4}
    model.run(example_feeds(model.inputs, sizes, seed + 100))
    for norm in norms:
        norm.eval()
        norm.momentum = 0.1


def _timm(name: str) -> Callable[[], nn.Module]:
    def make() -> nn.Module:
        with _torchvision_declared():
            import timm

            return timm.create_model(name, pretrained=False)

    return make


def _torchvision(place: str, name: str, **options: Any) -> Callable[[], nn.Module]:
    def make() -> nn.Module:
        with _torchvision_declared():
            models = importlib.import_module(place)
        return getattr(models, name)(weights=None, **options)

    return make


@contextlib.contextmanager
def _torchvision_declared() -> Iterator[None]:
    if "torchvision" not in sys.modules:
        torchvision_ops.declare()
    yield


def _transformers(model: str, config: str, **options: Any) -> Callable[[], nn.Module]:
    """Make a transformers model with a tiny configuration; `part` names the submodule that is wanted."""
    part = options.pop("part", None)

    def make() -> nn.Module:
        with _torchvision_declared():
            import transformers
        whole = getattr(transformers, model)(getattr(transformers, config)(**options))
        return whole if part is None else whole.get_submodule(part)

    return make


_TINY = {
    "vocab_size": 99,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 48,
}
_IDS = "input_ids:batch,seq:int64"
_MASK = "attention_mask:batch,seq:int64"
_WORDS = {"input_ids": 98, "token": 19, "ids": 29}


def _silero_vad() -> nn.Module:
    """Return the 16 kHz network of silero-vad, TorchScript: x [batch, 576], state [2, batch, 128]."""
    path = Path(str(distribution("silero-vad").locate_file("silero_vad/data/silero_vad.jit")))
    return torch.jit.load(path, map_location="cpu")._model


def _facenet(name: str) -> Callable[[], nn.Module]:
    def make() -> nn.Module:
        with _torchvision_declared():
            mtcnn = importlib.import_module("facenet_pytorch.models.mtcnn")
        return getattr(mtcnn, name)(pretrained=True)

    return make


def _attacut(name: str, place: str) -> Callable[[], nn.Module]:
    """Make a network of attacut with its weights, without the package's own imports (ssg, fire, nptyping)."""

    def make() -> nn.Module:
        import yaml

        folder = Path(str(distribution("attacut").locate_file("attacut")))
        artifacts = folder / "artifacts" / name
        parameters = yaml.safe_load((artifacts / "params.yml").read_text())["params"]
        sizes = {"num_char_tokens": _length(artifacts / "characters.json")}
        syllables = artifacts / "syllables.json"
        sizes["num_tokens"] = _length(syllables) if syllables.exists() else sizes["num_char_tokens"]
        with _bare_package("attacut", folder):
            network = importlib.import_module(f"attacut.models.{place}").Model(sizes, parameters)
        network.load_state_dict(torch.load(artifacts / "model.pth", map_location="cpu", weights_only=True))
        return network

    return make


def _length(path: Path) -> int:
    return len(json.loads(path.read_text(encoding="utf-8")))


@contextlib.contextmanager
def _bare_package(name: str, folder: Path) -> Iterator[None]:
    """Let submodules of a package be imported without running its `__init__` and its data loaders."""
    package = types.ModuleType(name)
    package.__path__ = [str(folder)]
    loaders = types.ModuleType(f"{name}.dataloaders")
    loaders.CharacterSeqDataset = loaders.SyllableCharacterSeqDataset = object  # type: ignore[attr-defined]
    before = {key: module for key, module in sys.modules.items() if key.partition(".")[0] == name}
    for key in before:
        del sys.modules[key]
    sys.modules[name] = package
    sys.modules[f"{name}.dataloaders"] = package.dataloaders = loaders  # type: ignore[attr-defined]
    try:
        yield
    finally:
        for key in [key for key in sys.modules if key.partition(".")[0] == name]:
            del sys.modules[key]
        sys.modules.update(before)


def _entries() -> dict[str, Entry]:
    hand = {
        "mlp": (zoo_modules.MLP, ["x:batch,12"]),
        "lstm_bidirectional": (zoo_modules.BidirectionalLSTM, ["x:batch,time,6"]),
        "gru_attention_step": (
            zoo_modules.AttentionDecoderStep,
            ["token:batch:int64", "hidden:batch,16", "memory:batch,time,16"],
        ),
        "transformer_encoder": (zoo_modules.MaskedEncoder, ["x:batch,seq,16", "padding:batch,seq:bool"]),
        "unet": (zoo_modules.UNet, ["x:batch,3,4*height,4*width"]),
        "spatial_transformer": (zoo_modules.SpatialTransformer, ["x:batch,3,height,width"]),
        "cond": (zoo_modules.Cond, ["x:batch,6"]),
        "while_loop": (zoo_modules.WhileLoop, ["x:batch,4"]),
        "two_inputs_dict": (zoo_modules.TwoInputsDict, ["left:batch,4", "right:batch,6"]),
        "dilated_conv1d": (zoo_modules.DilatedConv1d, ["x:batch,2,time"]),
        "conv3d": (zoo_modules.Conv3d, ["x:batch,2,7,13,17"]),
        "index_play": (zoo_modules.IndexPlay, ["ids:batch,seq:int64"]),
        "stft": (zoo_modules.Spectrogram, ["wave:batch,480"]),
        "einsum": (zoo_modules.Einsum, ["x:batch,seq,12"]),
        "groupnorm_depthwise": (zoo_modules.GroupNormDepthwise, ["x:batch,3,18,22"]),
    }
    entries = {name: Entry("hand-written", make, tuple(inputs), _WORDS) for name, (make, inputs) in hand.items()}
    for name in (
        *("resnet18", "mobilenetv3_small_100", "efficientnet_b0", "convnext_atto", "vit_tiny_patch16_224"),
        *("swin_tiny_patch4_window7_224", "regnety_002", "densenet121", "mixer_s32_224", "coatnet_pico_rw_224"),
        "repvgg_a0",
    ):
        entries[name] = Entry("timm", _timm(name), ("x:batch,3,224,224",))
    vision = "torchvision.models"
    segmentation = _torchvision(f"{vision}.segmentation", "deeplabv3_mobilenet_v3_large", weights_backbone=None)
    entries |= {
        "shufflenet_v2_x0_5": Entry("torchvision", _torchvision(vision, "shufflenet_v2_x0_5"), ("x:batch,3,96,128",)),
        "squeezenet1_1": Entry("torchvision", _torchvision(vision, "squeezenet1_1"), ("x:batch,3,96,128",)),
        "googlenet": Entry("torchvision", _torchvision(vision, "googlenet", init_weights=False), ("x:batch,3,96,128",)),
        "deeplabv3_mobilenet_v3_large": Entry("torchvision", segmentation, ("x:batch,3,96,128",)),
        "r2plus1d_18": Entry("torchvision", _torchvision(f"{vision}.video", "r2plus1d_18"), ("x:batch,3,8,48,64",)),
    }
    distil = {"vocab_size": 99, "dim": 32, "n_layers": 2, "n_heads": 4, "hidden_dim": 48}
    whisper = {"d_model": 32, "encoder_layers": 2, "encoder_attention_heads": 4, "encoder_ffn_dim": 48}
    whisper |= {"decoder_layers": 1, "decoder_attention_heads": 4, "decoder_ffn_dim": 48, "vocab_size": 99}
    whisper |= {"num_mel_bins": 20, "max_source_positions": 30, "pad_token_id": 0}
    whisper |= {"decoder_start_token_id": 1, "bos_token_id": 2, "eos_token_id": 3}
    mamba = {"vocab_size": 99, "hidden_size": 32, "num_hidden_layers": 2, "state_size": 8, "use_mambapy": False}
    t5 = {"vocab_size": 99, "d_model": 32, "d_kv": 8, "d_ff": 48, "num_layers": 2, "num_heads": 4}
    gpt2 = {"vocab_size": 99, "n_embd": 32, "n_layer": 2, "n_head": 4}
    text = {**_TINY, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
    hugging_face: dict[str, tuple[Callable[[], nn.Module], Sequence[str]]] = {
        "bert": (_transformers("BertModel", "BertConfig", **_TINY), [_IDS, _MASK, "token_type_ids:batch,seq:int64"]),
        "distilbert": (_transformers("DistilBertModel", "DistilBertConfig", **distil), [_IDS, _MASK]),
        "roberta": (_transformers("RobertaModel", "RobertaConfig", **_TINY), [_IDS, _MASK]),
        "gpt2": (_transformers("GPT2LMHeadModel", "GPT2Config", **gpt2), [_IDS, _MASK]),
        "llama": (
            _transformers("LlamaForCausalLM", "LlamaConfig", **_TINY, num_key_value_heads=2),
            [_IDS, _MASK],
        ),
        "t5_encoder": (_transformers("T5EncoderModel", "T5Config", **t5), [_IDS, _MASK]),
        "clip_text": (_transformers("CLIPTextModel", "CLIPTextConfig", **text), [_IDS, _MASK]),
        "vit": (
            _transformers("ViTModel", "ViTConfig", **_TINY, image_size=32, patch_size=8),
            ["pixel_values:batch,3,32,32"],
        ),
        "whisper_encoder": (
            _transformers("WhisperModel", "WhisperConfig", **whisper, part="encoder"),
            ["input_features:batch,20,60"],
        ),
        "mamba": (_transformers("MambaForCausalLM", "MambaConfig", **mamba), ["input_ids:batch,9:int64"]),
    }
    for name, (make, inputs) in hugging_face.items():
        entries[name] = Entry("transformers", make, tuple(inputs), _WORDS)
    entries |= {
        "silero_vad": Entry("packaged", _silero_vad, ("x:batch,576", "state:2,batch,128"), trained=True),
        "facenet_pnet": Entry("packaged", _facenet("PNet"), ("x:batch,3,height+12,width+12",), trained=True),
        "facenet_rnet": Entry("packaged", _facenet("RNet"), ("x:batch,3,24,24",), trained=True),
        "facenet_onet": Entry("packaged", _facenet("ONet"), ("x:batch,3,48,48",), trained=True),
        "attacut_c": Entry(
            "packaged",
            _attacut("attacut-c", "seq_ch_conv"),
            ("inputs_0:batch,seq:int64", "inputs_1:batch:int64"),
            {"inputs_0": 60},
            trained=True,
        ),
        "attacut_sc": Entry(
            "packaged",
            _attacut("attacut-sc", "seq_sy_ch_conv_concat"),
            ("inputs_0:batch,2,seq:int64", "inputs_1:batch:int64"),
            {"inputs_0": 60},
            trained=True,
        ),
    }
    return entries


ZOO: dict[str, Entry] = _entries()


def available(name: str) -> bool:
    """Say whether the package that a model comes from is installed."""
    packages = {"timm": "timm", "torchvision": "torchvision", "transformers": "transformers"}
    entry = ZOO[name]
    own = {"silero_vad": "silero_vad", "attacut_c": "attacut", "attacut_sc": "attacut"}
    package = packages.get(entry.family) or own.get(name) or ("facenet_pytorch" if "facenet" in name else None)
    return package is None or find_spec(package) is not None
