"""Random augmentation of images: what Keras does in training, and nothing when the model is used."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from translate.converters.keras_to_torch import augment_color as color
from translate.converters.keras_to_torch import augment_geometry as geometry
from translate.converters.keras_to_torch.here import apply, submodule
from translate.converters.keras_to_torch.layout import channels_first
from translate.converters.keras_to_torch.table import lower
from translate.errors import UnsupportedError

# What Keras brings to the layer's dtype even where it changes nothing.
_CAST = frozenset(
    {"AugMix", "CutMix", "RandAugment", "RandomElasticTransform", "RandomErasing", "RandomFlip"}
    | {"RandomGaussianBlur", "RandomPerspective"}
    | {"RandomRotation", "RandomSharpness", "RandomShear", "RandomTranslation", "RandomZoom", "Solarization"}
)


def _pair(value: Any) -> tuple[float, float]:
    low, high = value
    return float(low), float(high)


def _places(layer: Any) -> tuple[str, str, float]:
    """Return how pixels are taken from where there is none."""
    return layer.interpolation, layer.fill_mode, float(layer.fill_value)


def _flip(layer: Any) -> nn.Module:
    return geometry.RandomFlip({"horizontal": 3, "vertical": 2}.get(layer.mode, (2, 3)))


def _rotation(layer: Any) -> nn.Module:
    low, high = _pair(layer.factor)
    return geometry.RandomRotation(low, high, *_places(layer))


def _zoom(layer: Any) -> nn.Module:
    width = None if layer.width_factor is None else _pair((layer.width_lower, layer.width_upper))
    return geometry.RandomZoom(_pair((layer.height_lower, layer.height_upper)), width, *_places(layer))


def _translation(layer: Any) -> nn.Module:
    height, width = _pair((layer.height_lower, layer.height_upper)), _pair((layer.width_lower, layer.width_upper))
    return geometry.RandomTranslation(height, width, *_places(layer))


def _contrast(layer: Any) -> nn.Module:
    low, high = layer.factor
    return color.RandomContrast(1.0 - low, 1.0 + high, _pair(layer.value_range))


def _erasing(layer: Any) -> nn.Module:
    fill = tuple(layer.fill_value) if isinstance(layer.fill_value, list | tuple) else layer.fill_value
    return geometry.RandomErasing(_pair(layer.factor), _pair(layer.scale), fill, _pair(layer.value_range))


def _blur(layer: Any) -> nn.Module:
    height, width = layer.kernel_size
    return color.RandomGaussianBlur(
        _pair(layer.factor), int(height), int(width), _pair(layer.sigma), _pair(layer.value_range)
    )


def _solarization(layer: Any) -> nn.Module:
    addition, threshold = (_pair((low, 255 * high)) for low, high in (layer.addition_factor, layer.threshold_factor))
    return color.Solarization(addition, threshold, _pair(layer.value_range))


def _varied(kind: Callable[..., nn.Module]) -> Callable[[Any], nn.Module]:
    """Return what makes a module that takes a factor between two numbers and the range of values."""
    return lambda layer: kind(*_pair(layer.factor), _pair(layer.value_range))


_MODULES: dict[str, Callable[[Any], nn.Module]] = {
    "Equalization": lambda layer: color.Equalization(layer.bins, _pair(layer.value_range)),
    "RandomBrightness": _varied(color.RandomBrightness),
    "RandomColorDegeneration": _varied(color.RandomColorDegeneration),
    "RandomContrast": _contrast,
    "RandomCrop": lambda layer: geometry.RandomCrop(layer.height, layer.width),
    "RandomErasing": _erasing,
    "RandomFlip": _flip,
    "RandomGaussianBlur": _blur,
    "RandomGrayscale": lambda layer: color.RandomGrayscale(layer.factor),
    "RandomHue": _varied(color.RandomHue),
    "RandomInvert": lambda layer: color.RandomInvert(*_pair(layer.factor), float(layer.value_range[1])),
    "RandomPerspective": lambda layer: geometry.RandomPerspective(
        _pair(layer.factor), layer.scale, layer.interpolation, float(layer.fill_value)
    ),
    "RandomPosterization": _varied(color.RandomPosterization),
    "RandomRotation": _rotation,
    "RandomSaturation": _varied(color.RandomSaturation),
    "RandomSharpness": _varied(color.RandomSharpness),
    "RandomShear": lambda layer: geometry.RandomShear(_pair(layer.x_factor), _pair(layer.y_factor), *_places(layer)),
    "RandomTranslation": _translation,
    "RandomZoom": _zoom,
    "Solarization": _solarization,
}


def _images(layer: Any, x: torch.Tensor) -> torch.Tensor:
    if isinstance(x, dict) or x.ndim != 4:
        raise UnsupportedError("images that are no batch, or come with labels or boxes")
    wanted = getattr(torch, layer.compute_dtype)
    return x.to(wanted) if type(layer).__name__ in _CAST and x.dtype is not wanted else x


@lower(*_MODULES, layout=channels_first)
def augmentation(layer: Any, x: torch.Tensor) -> torch.Tensor:
    """Change images at random, in training, with PyTorch's random numbers and Keras's distribution.

    Limits: batches of images, without labels or boxes.
    """
    return submodule(lambda: _MODULES[type(layer).__name__](layer), {}, _images(layer, x))


@lower("RandomColorJitter", layout=channels_first)
def color_jitter(layer: Any, x: torch.Tensor) -> Any:
    """Change brightness, contrast, saturation and hue at random, in training.

    Limits: batches of images, without labels or boxes.
    """
    x = _images(layer, x)
    for one in (layer.random_brightness, layer.random_contrast, layer.random_saturation, layer.random_hue):
        x = x if one is None else apply(one, x)
    return x


@lower("AugMix", "CutMix", "MixUp", "RandAugment", "RandomElasticTransform", layout=channels_first)
def only_in_evaluation(layer: Any, x: torch.Tensor) -> torch.Tensor:
    """Hand images on in evaluation.

    Limits: in training the module raises `NotImplementedError`; batches of images, without labels or boxes.
    """
    name = type(layer).__name__
    return submodule(lambda: geometry.OnlyInEvaluation(name), {}, _images(layer, x))
