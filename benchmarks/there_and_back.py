"""PyTorch → TensorFlow → PyTorch for many models: what is left of the numbers, the weights and their names.

python -m benchmarks.there_and_back [NAME or FILE ...]
"""

from __future__ import annotations

import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from tests.zoo import ZOO
from translate.converters import onnx_to_tf, onnx_to_torch, passes, torch_to_onnx
from translate.converters.tf_to_onnx.models import from_saved_model
from translate.errors import TranslateError
from translate.models import open_model
from translate.models.inputs import default_sizes, example_feeds
from translate.models.torch_arrays import to_tensor
from translate.models.torch_results import flatten

FIXTURES = tuple(f"fixtures/{name}.pt2" for name in ("digits_cnn", "neural_net", "text_classifier", "char_lm"))
MODELS = (
    *FIXTURES,
    *("resnet18", "mobilenetv3_small_100", "shufflenet_v2_x0_5", "squeezenet1_1", "vit_tiny_patch16_224"),
    *("convnext_atto", "unet", "conv3d", "dilated_conv1d", "groupnorm_depthwise", "spatial_transformer"),
    *("bert", "gpt2", "t5_encoder", "whisper_encoder", "transformer_encoder"),
    *("lstm_bidirectional", "gru_attention_step", "silero_vad"),
)
# PyTorch counts batches in training; the other formats have no such number.
_NOT_KEPT = "num_batches_tracked"


@dataclass(frozen=True)
class Found:
    """What a model lost: names of weights that are gone, that have other bits, and that changed sides.

    `weights` counts those that there were, `tied` says that names of one weight are names of one still. `error` is the
    greatest difference of an output, over the greatest number in it.
    """

    weights: int
    missing: list[str]
    changed: list[str]
    kinds_changed: list[str]
    tied: bool
    error: float


def journey(name: str, folder: Path) -> Found:
    """Send a model of the zoo, or in a file, through a SavedModel in `folder`. Raises the converters' errors."""
    if name in ZOO:
        net, inputs = ZOO[name]()
        source = open_model(net, inputs=inputs)
    else:
        source = open_model(name)
    graph = torch_to_onnx.export(source)
    passes.prepare(graph)
    onnx_to_tf.save(graph, folder)
    returning = from_saved_model(open_model(folder))
    passes.prepare_for_torch(returning)
    module = onnx_to_torch.module(returning)
    owner = source.flat.owner
    before = {key: tensor for key, tensor in owner.state_dict().items() if not key.endswith(_NOT_KEPT)}
    after = module.state_dict()
    trained = [{key for key, _ in part.named_parameters()} for part in (owner, module)]
    return Found(
        weights=len(before),
        missing=[key for key in before if key not in after],
        changed=[key for key in before if key in after and not torch.equal(before[key], after[key])],
        kinds_changed=sorted((trained[0] ^ trained[1]) & before.keys() & after.keys()),
        tied=_shared(owner) == _shared(module),
        error=max(_error(source, module, sizes) for sizes in default_sizes(source.inputs)[:2]),
    )


def _shared(module: torch.nn.Module) -> list[list[str]]:
    """Return the names of each parameter that has several."""
    names: dict[int, list[str]] = {}
    for name, parameter in module.named_parameters(remove_duplicate=False):
        names.setdefault(id(parameter), []).append(name)
    return sorted(sorted(several) for several in names.values() if len(several) > 1)


def _error(source, module, sizes) -> float:
    feeds = example_feeds(source.inputs, sizes)
    with torch.no_grad():
        result = module(*(to_tensor(feeds[name]) for name in module.meta["inputs"]))
    results = dict(zip(module.meta["outputs"], flatten(result).values(), strict=True))
    return max(
        float(np.abs(array - results[name].numpy()).max() / max(float(np.abs(array).max()), 1e-30))
        for name, array in source.run(feeds).items()
    )


def main() -> None:
    """Print a line for each model."""
    for name in sys.argv[1:] or MODELS:
        with tempfile.TemporaryDirectory() as folder:
            try:
                found = journey(name, Path(folder, "saved_model"))
            except TranslateError as error:
                print(f"{name:32} not possible: {str(error).splitlines()[0]}")
                continue
        back = found.weights - len({*found.missing, *found.changed, *found.kinds_changed})
        lost = f"missing {found.missing}, changed {found.changed}, other kind {found.kinds_changed}"
        said = "" if back == found.weights and found.tied else f"  {lost}, tied {found.tied}"
        print(f"{name:32} {back} of {found.weights} weights, error {found.error:.1e}{said}", flush=True)


if __name__ == "__main__":
    main()
