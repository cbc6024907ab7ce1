"""ONNX → Keras: the table of layers and operations, and the functional model that is made with it."""

from translate.converters.onnx_to_keras.export import functional, save
from translate.converters.onnx_to_keras.lowerings import TABLE

__all__ = ["TABLE", "functional", "save"]
