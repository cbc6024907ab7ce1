"""The whole table: each file of lowerings adds its rows when it is imported."""

from __future__ import annotations

from importlib import import_module

from translate.converters.onnx_to_torch.table import TABLE
from translate.converters.operators import TOPICS

__all__ = ["TABLE"]

for _topic in (*TOPICS, "functions", "host"):
    import_module(f"translate.converters.onnx_to_torch.{_topic}")
