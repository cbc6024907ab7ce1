"""A translated module as Python source that people read and edit."""

from translate.converters.onnx_to_torch.python.package import python_source, save_python

__all__ = ["python_source", "save_python"]
