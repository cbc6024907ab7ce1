"""ONNX → TensorFlow: the table of lowerings, and the SavedModel that it makes."""

from translate.converters.onnx_to_tf.export import preflight, save, save_methods
from translate.converters.onnx_to_tf.trainable import Trainable

__all__ = ["Trainable", "preflight", "save", "save_methods"]
