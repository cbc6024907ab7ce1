"""Everything that `keras.applications` has, the smallest variant of each family first, with random weights."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.zoo.entry import Entry

# The smallest height and width that each family takes.
_FAMILIES = {
    32: (
        *("MobileNet", "MobileNetV2", "MobileNetV3Small", "ResNet50", "ResNet50V2", "DenseNet121", "EfficientNetB0"),
        *("EfficientNetV2B0", "ConvNeXtTiny", "NASNetMobile", "VGG16", "MobileNetV3Large"),
        *("DenseNet169", "DenseNet201", "ResNet101", "ResNet152", "ResNet101V2", "ResNet152V2", "VGG19"),
        *("EfficientNetB1", "EfficientNetB2", "EfficientNetB3", "EfficientNetB4", "EfficientNetB5", "EfficientNetB6"),
        *("EfficientNetB7", "EfficientNetV2B1", "EfficientNetV2B2", "EfficientNetV2B3", "EfficientNetV2S"),
        *("EfficientNetV2M", "EfficientNetV2L", "ConvNeXtSmall", "ConvNeXtBase", "ConvNeXtLarge", "ConvNeXtXLarge"),
        "NASNetLarge",
    ),
    71: ("Xception",),
    75: ("InceptionV3", "InceptionResNetV2"),
}
# One of each family comes before the larger ones, which take most of the time.
_FIRST = (
    *("MobileNetV2", "ResNet50", "MobileNet", "MobileNetV3Small", "ResNet50V2", "DenseNet121", "EfficientNetB0"),
    *("EfficientNetV2B0", "ConvNeXtTiny", "VGG16", "Xception", "InceptionV3", "NASNetMobile", "InceptionResNetV2"),
)


def _make(name: str, size: int, folder: Path) -> Path:
    import keras

    keras.utils.set_random_seed(0)
    model = getattr(keras.applications, name)(weights=None, input_shape=(size, size, 3))
    _randomise(model, size)
    path = folder / f"{name}.keras"
    model.save(path)
    return path


def _randomise(model: Any, size: int) -> None:
    """Make every weight and the input matter: noise on constant vectors, then BatchNorm statistics of a batch.

    Layer scales of 1e-6 hide whole branches, and a deep network whose BatchNorms know nothing of their inputs returns
    the same for all of them.
    """
    import keras
    import numpy as np

    generator = np.random.default_rng(0)
    for weight in model.trainable_weights:
        value = np.asarray(weight)
        if value.ndim == 1:
            start = 1.0 if weight.name in ("gamma", "scale") else 0.0
            weight.assign(start + 0.1 * generator.standard_normal(value.shape).astype(np.float32))
    norms = [layer for layer in model._flatten_layers() if isinstance(layer, keras.layers.BatchNormalization)]
    momenta = [layer.momentum for layer in norms]
    for layer in norms:
        # The statistics become those of the one batch that follows.
        layer.momentum = 0.0
    model(generator.uniform(0, 255, (8, size, size, 3)).astype(np.float32), training=True)
    for layer, momentum in zip(norms, momenta, strict=True):
        layer.momentum = momentum


_SIZES = {name: size for size, names in _FAMILIES.items() for name in names}
APPLICATIONS = {
    f"keras/{name}": Entry("keras.applications", partial(_make, name, _SIZES[name]))
    for name in sorted(_SIZES, key=lambda name: (name not in _FIRST, _FIRST.index(name) if name in _FIRST else 0))
}
