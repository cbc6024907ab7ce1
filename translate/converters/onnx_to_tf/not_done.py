"""Operators of the ONNX schema that have no TensorFlow lowering, each with the reason.

A test holds that every operator is either in the table or here.
"""

from __future__ import annotations

NOT_DONE: dict[tuple[str, str], str] = {}
