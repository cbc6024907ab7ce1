"""ONNX → TensorFlow: the table of lowerings, and the SavedModel that it makes."""

from translate.converters.onnx_to_tf.export import preflight, save, save_methods

__all__ = ["preflight", "save", "save_methods"]
