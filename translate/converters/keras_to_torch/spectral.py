"""Spectral normalisation: in training, the weight of a layer is divided by its largest singular value."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import keras
import torch

from translate.converters.keras_to_torch.here import apply, at, here, submodule, tensor_in
from translate.converters.keras_to_torch.modules import SpectralStep
from translate.converters.keras_to_torch.table import lower
from translate.errors import UnsupportedError

# The layers whose kernel is one tensor of a layer of PyTorch, with the axis first that Keras has last.
_KINDS = (
    keras.layers.Dense,
    *(getattr(keras.layers, f"Conv{n}D{kind}") for n in (1, 2, 3) for kind in ("", "Transpose")),
)


@lower("SpectralNormalization", own=lambda layer, given: True)
def spectral_normalization(layer: Any, x: torch.Tensor) -> Any:
    """Call a layer whose weight is divided by its largest singular value, at each call in training.

    torch.nn.utils.parametrizations.spectral_norm computes another thing: it keeps the weight as it was, and divides in
    evaluation, too.

    Limits: Dense, convolutions and their transposes.
    """
    inner = layer.layer
    if type(inner) not in _KINDS:
        raise UnsupportedError(f"a layer of the class {type(inner).__name__}")
    # A first call makes the layer, whose weight the step needs; nothing reads its result, so that it is dropped.
    apply(inner, x)
    with at(replace(here(), operation=inner)):
        weight = tensor_in("", "weight")
    tensors = {"vector_u": layer.vector_u}
    x = submodule(lambda: SpectralStep(weight.shape[0], layer.power_iterations), tensors, x, weight, part="step")
    return apply(inner, x)
