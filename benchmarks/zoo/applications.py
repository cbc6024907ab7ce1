"""Everything that `keras.applications` has, the smallest variant of each family first, with random weights.

Each is there twice: as a SavedModel, which is translated by its graph, and as a `.keras` file, layer by layer.
"""

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
    *("EfficientNetV2B0", "ConvNeXtTiny", "Xception", "InceptionV3", "NASNetMobile"),
)
# Gigabytes of weights or thousands of operators.
_LAST = (
    *("InceptionResNetV2", "ConvNeXtBase", "EfficientNetV2L", "EfficientNetB7", "VGG16", "VGG19", "NASNetLarge"),
    *("ConvNeXtLarge", "ConvNeXtXLarge"),
)


def build(name: str) -> Any:
    """Return the live model, with weights and statistics that make every one of them matter."""
    import keras

    size = SIZES[name]
    keras.utils.set_random_seed(0)
    model = getattr(keras.applications, name)(weights=None, input_shape=(size, size, 3))
    _randomise(model, size)
    return model


def _saved_model(name: str, folder: Path) -> Path:
    build(name).export(folder / name, verbose=False)
    return folder / name


def _keras_file(name: str, folder: Path) -> Path:
    path = folder / f"{name}.keras"
    build(name).save(path)
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
    # Of the kind that the verdict draws: with others, what is out of range grows from layer to layer.
    model(generator.standard_normal((32, size, size, 3)).astype(np.float32), training=True)
    for layer, momentum in zip(norms, momenta, strict=True):
        layer.momentum = momentum


SIZES = {name: size for size, names in _FAMILIES.items() for name in names}
_ORDER = [*_FIRST, *(name for name in SIZES if name not in _FIRST + _LAST), *_LAST]
SAVED_MODELS = {
    f"saved_model/{name}": Entry("keras.applications, SavedModel", partial(_saved_model, name)) for name in _ORDER
}
KERAS_FILES = {
    f"keras/{name}": Entry("keras.applications", partial(_keras_file, name), route="layers") for name in _ORDER
}
