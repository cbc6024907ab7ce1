"""Operators of the ONNX schema that have no PyTorch lowering, each with the reason.

A test holds that every operator is either in the table or here.
"""

from __future__ import annotations

NOT_DONE: dict[tuple[str, str], str] = {
    ("", "ImageDecoder"): "PyTorch itself has no decoder of image files; torchvision has",
    ("", "RegexFullMatch"): "PyTorch has no strings",
    ("", "StringConcat"): "PyTorch has no strings",
    ("", "StringNormalizer"): "PyTorch has no strings",
    ("", "StringSplit"): "PyTorch has no strings",
    ("ai.onnx.ml", "CastMap"): "PyTorch has no maps",
    ("ai.onnx.ml", "CategoryMapper"): "PyTorch has no strings",
    ("ai.onnx.ml", "DictVectorizer"): "PyTorch has no maps",
    ("ai.onnx.ml", "SVMClassifier"): "its pairwise votes and coupled probabilities have not been written",
    ("ai.onnx.ml", "ZipMap"): "PyTorch has no maps",
    ("ai.onnx.preview.training", "Gradient"): "it differentiates a graph by the names of its values",
}
