"""The whole table: each file of lowerings adds its rows when it is imported."""

from __future__ import annotations

from importlib import import_module

from translate.converters.onnx_to_keras.table import TABLE

__all__ = ["TABLE"]

for _topic in (
    "activation",
    "conv",
    "index",
    "math",
    "matrix",
    "norm",
    "pool",
    "reduce",
    "resize",
    "rnn",
    "shape",
    "tensor",
):
    import_module(f"translate.converters.onnx_to_keras.{_topic}")
