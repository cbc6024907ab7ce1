"""Keras models as PyTorch modules: their layers, under their names, and not their graph."""

from translate.converters.keras_to_torch.convert import convert, interface, missing
from translate.converters.keras_to_torch.update import update_weights

__all__ = ["convert", "interface", "missing", "update_weights"]
