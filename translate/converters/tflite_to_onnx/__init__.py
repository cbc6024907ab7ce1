"""TFLite → ONNX: a file's graph, read as it is and said in ONNX's operators by a table of lowerings."""

from __future__ import annotations

from translate.converters.tflite_to_onnx.export import export

__all__ = ["export"]
