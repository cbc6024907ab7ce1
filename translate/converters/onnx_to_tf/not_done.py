"""Operators of the ONNX schema that have no TensorFlow lowering, each with the reason.

A test holds that every operator is either in the table or here.
"""

from __future__ import annotations

NOT_DONE: dict[tuple[str, str], str] = {
    ("ai.onnx.ml", "CastMap"): "TensorFlow has no maps",
    ("ai.onnx.ml", "DictVectorizer"): "TensorFlow has no maps",
    ("ai.onnx.ml", "SVMClassifier"): "its pairwise votes and coupled probabilities have not been written",
    ("ai.onnx.ml", "ZipMap"): "TensorFlow has no maps",
    ("ai.onnx.preview.training", "Gradient"): "it differentiates a graph by the names of its values",
}
