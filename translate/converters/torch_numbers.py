"""Numbers in float64: PyTorch's exporter writes each in float32 and casts that, and so loses half of the digits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx_ir as ir
import torch
from onnxscript import BOOL, INT64
from onnxscript.function_libs.torch_lib.ops.core import aten_linspace
from onnxscript.function_libs.torch_lib.tensor_typing import TTensor
from onnxscript.onnx_opset import opset20 as op
from torch.export import ExportedProgram


def translations(program: ExportedProgram) -> dict[Callable[..., Any], Callable[..., Any]]:
    """Return the operators that make tensors of numbers, for a program that computes in float64.

    One with complex numbers, which these know nothing of, is left to torchlib.
    """
    values = [node.meta.get("val") for node in program.graph.nodes]
    dtypes = {value.dtype for value in values if isinstance(value, torch.Tensor)}
    if torch.float64 not in dtypes or any(dtype.is_complex for dtype in dtypes):
        return {}
    aten = torch.ops.aten
    return {
        aten.scalar_tensor.default: _scalar_tensor,
        aten.full.default: _full,
        aten.full_like.default: _full_like,
        aten.new_full.default: _new_full,
        aten.masked_fill.Scalar: _masked_fill,
        aten.linspace.default: _linspace,
    }


def _scalar_tensor(number: float, dtype: int = -1, **_: Any) -> Any:
    return _number(number, ir.DataType.FLOAT if dtype == -1 else dtype)


def _full(size: INT64, number: float, dtype: int = -1, **_: Any) -> Any:
    return op.Expand(number if dtype == -1 else _number(number, dtype), op.Cast(size, to=ir.DataType.INT64))


def _full_like(x: TTensor, number: float, dtype: int = -1, **_: Any) -> Any:
    return op.Expand(_number(number, x.dtype if dtype == -1 else dtype), op.Shape(x))


def _new_full(x: TTensor, size: INT64, number: float, dtype: int = -1, **_: Any) -> Any:
    return op.Expand(_number(number, x.dtype if dtype == -1 else dtype), size)


def _masked_fill(x: TTensor, mask: BOOL, number: float) -> Any:
    return op.Where(mask, _number(number, x.dtype), x)


def _linspace(start: float, end: float, steps: int, dtype: int = -1, **_: Any) -> Any:
    if dtype != ir.DataType.DOUBLE or not all(isinstance(number, int | float) for number in (start, end, steps)):
        return aten_linspace(start, end, steps, dtype)
    return op.Constant(value=ir.tensor(np.asarray(torch.linspace(start, end, steps, dtype=torch.float64))))


def _number(number: Any, dtype: int) -> Any:
    """Return a number, or a size that is computed, in this dtype of ONNX."""
    if not isinstance(number, int | float):
        return op.Cast(number, to=dtype)
    return op.Constant(value=ir.tensor(np.asarray(number).astype(ir.DataType(dtype).numpy())))
