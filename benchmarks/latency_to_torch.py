"""How fast the PyTorch results of `tf2torch` are, against the source and other ways to have the model in PyTorch.

    python -m benchmarks.latency_to_torch [NAME ...] [--batch 1 8] [--threads 1] [--seconds 12] [--table FILE]

Of each Keras model, with random weights, these take turns on the same inputs:

- the source: TensorFlow running its SavedModel through the signature;
- ours: the module that `tf2torch` makes of the .keras file, layer by layer; its .pt2 file, loaded again; and the .pt2
  file that it makes of the SavedModel, by the graph;
- Keras on PyTorch: the .keras file, loaded by Keras with its PyTorch backend, as torch.export writes it;
- onnx2torch's and onnx2pytorch's module, where they are installed and work, made from the file that tf2onnx writes of
  the same SavedModel: the usual way, and an opset (13) that they know; `tf2torch --format onnx` writes a newer one;
- the same architecture written in PyTorch (timm, torch.nn), with weights of its own.

Every time stands as a multiple of the source's, with its interval, see docs/timing.md; below 1 is faster. A result
whose numbers are not the source's is marked as wrong. Images are channels last for all but the native model, which
takes them as PyTorch has them.
"""

from __future__ import annotations

import argparse
import itertools
import os
import platform
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import onnx
import tensorflow as tf
import torch
from torch import nn

from tests import torchvision_ops
from translate import open_model
from translate.models.base import Model
from translate.routes.to_pytorch import tf2torch, to_torch
from translate.verify.cases import Case
from translate.verify.timing import CaseTiming, Options, timing

Array = np.ndarray[Any, Any]
Call = Callable[[torch.Tensor], Any]


class Runner(Model):
    """A PyTorch callable of one tensor. With `channels_first`, images are brought into that order before the call."""

    def __init__(self, kind: str, call: Call, source: Model, channels_first: bool = False) -> None:
        self.kind = kind
        self.inputs, self.outputs = source.inputs, source.outputs
        self._call = call
        self._channels_first = channels_first

    def upload(self, feeds: Mapping[str, Array]) -> torch.Tensor:
        (x,) = feeds.values()
        return torch.from_numpy(np.ascontiguousarray(np.moveaxis(x, -1, 1)) if self._channels_first else x)

    def call(self, values: torch.Tensor) -> Any:
        with torch.inference_mode():
            return self._call(values)

    def download(self, results: Any) -> dict[str, Array]:
        results = results[0] if isinstance(results, tuple | list) else results
        results = next(iter(results.values())) if isinstance(results, dict) else results
        return {self.outputs[0].name: results.numpy()}

    def settings(self) -> Mapping[str, str | int | bool]:
        return {}


def small_cnn() -> keras.Model:
    """Three blocks of a convolution, batch normalisation, ReLU and a pool; a dense layer."""
    x = y = keras.Input((64, 64, 3))
    for channels in (32, 64, 128):
        y = keras.layers.Conv2D(channels, 3, padding="same", use_bias=False)(y)
        y = keras.layers.ReLU()(keras.layers.BatchNormalization()(y))
        y = keras.layers.MaxPooling2D()(y)
    y = keras.layers.GlobalAveragePooling2D()(y)
    return keras.Model(x, keras.layers.Dense(10, activation="softmax")(y))


def native_cnn() -> nn.Module:
    layers: list[nn.Module] = []
    for before, after in ((3, 32), (32, 64), (64, 128)):
        layers += [nn.Conv2d(before, after, 3, padding=1, bias=False), nn.BatchNorm2d(after), nn.ReLU()]
        layers += [nn.MaxPool2d(2)]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(128, 10), nn.Softmax(-1))


def transformer() -> keras.Model:
    """Two encoder layers of width 256 with 8 heads, normalised last."""
    x = y = keras.Input((100, 256))
    for _ in range(2):
        y = keras.layers.LayerNormalization(epsilon=1e-5)(y + keras.layers.MultiHeadAttention(8, 32)(y, y))
        hidden = keras.layers.Dense(1024, activation="gelu")(y)
        y = keras.layers.LayerNormalization(epsilon=1e-5)(y + keras.layers.Dense(256)(hidden))
    return keras.Model(x, y)


def native_transformer() -> nn.Module:
    layer = nn.TransformerEncoderLayer(256, 8, 1024, dropout=0.0, activation="gelu", batch_first=True)
    return nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)


def lstm() -> keras.Model:
    """Two layers of 128 units, the outputs of all steps."""
    x = keras.Input((100, 64))
    y = keras.layers.LSTM(128, return_sequences=True)(x)
    return keras.Model(x, keras.layers.LSTM(128, return_sequences=True)(y))


def mlp() -> keras.Model:
    """Four dense layers."""
    x = y = keras.Input((256,))
    for _ in range(3):
        y = keras.layers.Dense(512, activation="relu")(y)
    return keras.Model(x, keras.layers.Dense(10)(y))


def native_mlp() -> nn.Module:
    sizes = (256, 512, 512, 512)
    hidden = [m for a, b in itertools.pairwise(sizes) for m in (nn.Linear(a, b), nn.ReLU())]
    return nn.Sequential(*hidden, nn.Linear(512, 10))


def timm_model(name: str) -> Callable[[], nn.Module]:
    def make() -> nn.Module:
        torchvision_ops.declare()
        import timm

        return timm.create_model(name)

    return make


IMAGE = (224, 224, 3)
# The Keras model, the shape of one input, and the native model.
MODELS: dict[str, tuple[Callable[[], keras.Model], tuple[int, ...], Callable[[], nn.Module]]] = {
    "small_cnn": (small_cnn, (64, 64, 3), native_cnn),
    "mobilenetv2": (lambda: keras.applications.MobileNetV2(weights=None), IMAGE, timm_model("mobilenetv2_100")),
    "resnet50": (lambda: keras.applications.ResNet50(weights=None), IMAGE, timm_model("resnet50")),
    "efficientnet_b0": (lambda: keras.applications.EfficientNetB0(weights=None), IMAGE, timm_model("efficientnet_b0")),
    "convnext_tiny": (lambda: keras.applications.ConvNeXtTiny(weights=None), IMAGE, timm_model("convnext_tiny")),
    "transformer": (transformer, (100, 256), native_transformer),
    "lstm": (lstm, (100, 64), lambda: nn.LSTM(64, 128, num_layers=2, batch_first=True)),
    "mlp": (mlp, (256,), native_mlp),
}


@dataclass(frozen=True)
class Race:
    """One model at one batch: `cells` has for each contender its time as a multiple of the source's, or why not."""

    name: str
    batch: int
    source_ms: float
    cells: Mapping[str, str]


CONTENDERS = (
    *("ours, layers", "ours, layers, .pt2", "ours, graph, .pt2", "Keras on PyTorch", "onnx2torch", "onnx2pytorch"),
    "native PyTorch",
)


def by_tf2onnx(source: Model, folder: Path) -> Path:
    """Write the SavedModel as tf2onnx does, in `folder`, and return the file."""
    import tf2onnx

    loaded = tf.saved_model.load(folder / "source")
    function = loaded.signatures["serving_default"]
    (spec,) = function.structured_input_signature[1].values()

    @tf.function(input_signature=[tf.TensorSpec(spec.shape, spec.dtype)])
    def call(x: tf.Tensor) -> tf.Tensor:
        return function(**{spec.name: x})[source.outputs[0].name]

    path = folder / "tf2onnx.onnx"
    tf2onnx.convert.from_function(call, input_signature=call.input_signature, opset=13, output_path=str(path))
    return path


def keras_on_pytorch(file: Path) -> nn.Module:
    """Return what torch.export writes of a .keras file that Keras runs on PyTorch, which takes a process of its own."""
    written = file.with_name("keras_on_pytorch.pt2")
    command = [sys.executable, "-m", "benchmarks.keras_on_pytorch", str(file), str(written)]
    done = subprocess.run(command, env={**os.environ, "KERAS_BACKEND": "torch"}, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(done.stderr.strip().splitlines()[-1])
    return torch.export.load(written).module()


def onnx2torch(path: Path) -> nn.Module:
    torchvision_ops.declare()
    from onnx2torch import convert

    return convert(path).eval()


def onnx2pytorch(path: Path) -> nn.Module:
    from onnx2pytorch import ConvertModel

    return ConvertModel(onnx.load(path)).eval()


def contenders(name: str, folder: Path) -> tuple[Model, dict[str, Model], dict[str, str]]:
    """Return the source, those that race against it, and of the others why they do not."""
    make, shape, make_native = MODELS[name]
    model = make()
    model.export(folder / "source", verbose=False)
    model.save(folder / "source.keras")
    source = open_model(folder / "source")
    tf2torch(folder / "source.keras", folder / "layers.pt2", route="layers", verify=False)
    tf2torch(folder / "source", folder / "graph.pt2", verify=False)
    makers: list[tuple[str, Callable[[], Call]]] = [
        ("ours, layers", lambda: to_torch(folder / "source.keras", route="layers")),
        ("ours, layers, .pt2", lambda: torch.export.load(folder / "layers.pt2").module()),
        ("ours, graph, .pt2", lambda: torch.export.load(folder / "graph.pt2").module()),
        ("Keras on PyTorch", lambda: keras_on_pytorch(folder / "source.keras")),
        ("onnx2torch", lambda: onnx2torch(by_tf2onnx(source, folder))),
        ("onnx2pytorch", lambda: onnx2pytorch(by_tf2onnx(source, folder))),
        ("native PyTorch", lambda: make_native().eval()),
    ]
    racing: dict[str, Model] = {}
    refused: dict[str, str] = {}
    for label, maker in makers:
        native = label == "native PyTorch"
        try:
            runner = Runner(label, maker(), source, native and len(shape) == 3)
            # Two batches, since a graph may hold the size of one.
            errors = [] if native else [error(source, runner, shape, batch) for batch in (1, 3)]
        except ImportError as missing:
            refused[label] = f"not installed ({missing.name})"
        except Exception as failure:
            # A converter raises anything; that it does is the result.
            refused[label] = f"fails: {type(failure).__name__}"
            print(f"{name}, {label}: {type(failure).__name__}: {str(failure)[:300]}", file=sys.stderr)
        else:
            if all(each <= TOLERANCE for each in errors):
                racing[label] = runner
            else:
                refused[label] = f"wrong by {max(errors):.0%}"
    return source, racing, refused


# Of the largest output. All compute in float32 what they compute.
TOLERANCE = 1e-3


def error(source: Model, other: Model, shape: Sequence[int], batch: int) -> float:
    """Return the largest difference of an output from the source's, as a share of its largest number."""
    feeds = case(source, shape, batch).feeds
    (expected,), (found,) = source.run(feeds).values(), other.run(feeds).values()
    if expected.shape != found.shape or not np.isfinite(found).all():
        return float("inf")
    return float(np.abs(expected - found).max() / np.abs(expected).max())


def case(source: Model, shape: Sequence[int], batch: int) -> Case:
    x = np.random.default_rng(0).normal(size=(batch, *shape)).astype(np.float32)
    return Case("random", {"batch": batch}, 0, {source.inputs[0].name: x})


def race(name: str, batches: Sequence[int], options: Options) -> list[Race]:
    """Translate a model all ways, and time them against its source at each batch."""
    _, shape, _ = MODELS[name]
    with tempfile.TemporaryDirectory() as folder:
        source, racing, refused = contenders(name, Path(folder))
        results = []
        for batch in batches:
            timed = timing([("TensorFlow", source), *racing.items()], [case(source, shape, batch)], options)
            results.append(_race(name, batch, timed.cases[0], refused))
    return results


def _race(name: str, batch: int, timed: CaseTiming, refused: Mapping[str, str]) -> Race:
    ratios = {ratio.label: str(ratio) + ("" if ratio.steady else " (unsteady)") for ratio in timed.ratios}
    return Race(name, batch, timed.models[0].call.p50 * 1e3, {**ratios, **refused})


def rows(races: Sequence[Race]) -> list[str]:
    """Return the Markdown table of `races`."""
    head = ["model", "batch", "TensorFlow", *CONTENDERS]
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    for each in races:
        cells = [each.name, str(each.batch), f"{each.source_ms:.3g} ms", *(each.cells[label] for label in CONTENDERS)]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def versions(threads: int) -> str:
    """Name the machine and what ran on it."""
    found = []
    for package in ("torch", "tensorflow", "keras", "tf2onnx", "onnx2torch", "onnx2pytorch", "timm"):
        try:
            found.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            found.append(f"{package} not installed")
    cpu = next(
        (line.partition(":")[2].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")),
        platform.processor(),
    )
    return f"{cpu}, {os.cpu_count()} cores, {threads} thread(s); {', '.join(found)}."


def _lines(path: str) -> list[str]:
    return Path(path).read_text().splitlines() if Path(path).exists() else []


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="which models; all when none is named")
    parser.add_argument("--batch", nargs="+", type=int, default=[1, 8])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=12.0, help="for each model and batch")
    parser.add_argument("--cpu-time", action="store_true", help="take CPU time: on a busy machine, with one thread")
    parser.add_argument("--table", type=Path, help="a file to write the table to")
    options = parser.parse_args()
    if unknown := set(options.names) - set(MODELS):
        parser.error(f"{', '.join(sorted(unknown))}: not one of {', '.join(MODELS)}")
    warnings.filterwarnings("ignore")
    tf.config.threading.set_intra_op_parallelism_threads(options.threads)
    tf.config.threading.set_inter_op_parallelism_threads(options.threads)
    torch.set_num_threads(options.threads)
    keras.utils.set_random_seed(0)
    races: list[Race] = []
    for name in options.names or list(MODELS):
        clock = time.process_time if options.cpu_time else time.perf_counter
        races += race(name, options.batch, Options(seconds=options.seconds, clock=clock))
        print("\n".join(rows(races)[-len(options.batch) :]), flush=True)
    clock = "CPU time" if options.cpu_time else "wall clock"
    text = "\n".join([*rows(races), "", f"{clock}; {versions(options.threads)}", ""])
    if options.table:
        options.table.write_text(text)
    else:
        print(text)


if __name__ == "__main__":
    main()
