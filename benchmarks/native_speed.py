"""How fast translated models are against the same architectures written natively in Keras.

    python -m benchmarks.native_speed [NAME ...]

Both sides are SavedModels, called through their signatures on the same machine, in turns (A B A B ...), so that what
else the machine does falls on both. Prints the median latency of each and their ratio; below 1 the translation is
faster. Weights are random: they do not matter here.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf
import torch
from torch import nn

from tests import torchvision_ops
from translate import torch2tf

ROUNDS = 15


class Lstm(nn.Module):
    """Two layers of 128 units, the outputs of all steps."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(64, 128, num_layers=2, batch_first=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.lstm(x)[0]


def keras_lstm() -> keras.Model:
    x = keras.Input((100, 64))
    y = keras.layers.LSTM(128, return_sequences=True)(x)
    return keras.Model(x, keras.layers.LSTM(128, return_sequences=True)(y))


def encoder() -> nn.Module:
    layer = nn.TransformerEncoderLayer(256, 8, 1024, dropout=0.0, activation="gelu", batch_first=True)
    return nn.TransformerEncoder(layer, 4, enable_nested_tensor=False)


def keras_encoder() -> keras.Model:
    x = y = keras.Input((100, 256))
    for _ in range(4):
        y = keras.layers.LayerNormalization(epsilon=1e-5)(y + keras.layers.MultiHeadAttention(8, 32)(y, y))
        hidden = keras.layers.Dense(1024, activation="gelu")(y)
        y = keras.layers.LayerNormalization(epsilon=1e-5)(y + keras.layers.Dense(256)(hidden))
    return keras.Model(x, y)


def timm_model(name: str) -> Callable[[], nn.Module]:
    def make() -> nn.Module:
        torchvision_ops.declare()
        import timm

        return timm.create_model(name)

    return make


IMAGE = ("batch,3,224,224", (224, 224, 3))
# The PyTorch module, its --input, the Keras model, and the shape of one Keras input.
PAIRS: dict[str, tuple[Callable[[], nn.Module], str, Callable[[], keras.Model], tuple[int, ...]]] = {
    name: (timm_model(torch_name), IMAGE[0], lambda make=make: make(weights=None), IMAGE[1])
    for name, torch_name, make in (
        ("resnet50", "resnet50", keras.applications.ResNet50),
        ("mobilenetv2", "mobilenetv2_100", keras.applications.MobileNetV2),
        ("densenet121", "densenet121", keras.applications.DenseNet121),
        ("efficientnet_b0", "efficientnet_b0", keras.applications.EfficientNetB0),
        ("convnext_tiny", "convnext_tiny", keras.applications.ConvNeXtTiny),
    )
} | {
    "lstm": (Lstm, "batch,100,64", keras_lstm, (100, 64)),
    "transformer_encoder": (encoder, "batch,100,256", keras_encoder, (100, 256)),
}


def signature(folder: Path) -> Callable[[np.ndarray], object]:
    loaded = tf.saved_model.load(str(folder))
    function = loaded.signatures["serving_default"]
    (name,) = function.structured_input_signature[1]

    def call(x: np.ndarray, keep_alive: object = loaded) -> object:
        return function(**{name: tf.constant(x)})

    return call


def seconds(call: Callable[[np.ndarray], object], x: np.ndarray) -> float:
    start = time.perf_counter()
    call(x)
    return time.perf_counter() - start


def race(name: str, batch: int) -> tuple[float, float]:
    """Return the median seconds of one call of the translated and of the native model."""
    make, spec, make_native, shape = PAIRS[name]
    with tempfile.TemporaryDirectory() as folder:
        torch2tf(make().eval(), Path(folder, "translated"), inputs=[spec], verify=False)
        make_native().export(Path(folder, "native"), verbose=False)
        translated, native = signature(Path(folder, "translated")), signature(Path(folder, "native"))
    last = np.random.default_rng(0).normal(size=(batch, *shape)).astype(np.float32)
    first = np.ascontiguousarray(np.moveaxis(last, -1, 1)) if len(shape) == 3 else last
    times: list[tuple[float, float]] = []
    for _ in range(ROUNDS + 3):
        times.append((seconds(translated, first), seconds(native, last)))
    ours, theirs = zip(*times[3:], strict=True)
    return statistics.median(ours), statistics.median(theirs)


def main(names: list[str]) -> None:
    for name in names or list(PAIRS):
        for batch in (1, 8):
            ours, theirs = race(name, batch)
            print(f"{name:20} batch {batch}: {ours * 1e3:7.1f} ms translated, {theirs * 1e3:7.1f} ms native, "
                  f"ratio {ours / theirs:.2f}", flush=True)  # fmt: skip


if __name__ == "__main__":
    main(sys.argv[1:])
