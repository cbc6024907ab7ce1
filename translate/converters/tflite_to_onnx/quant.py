"""Numbers rounded to a grid: integers `q` that stand for `scale * (q - zero_point)`."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from translate.converters.tf_to_onnx import quant
from translate.converters.tf_to_onnx.build import Host, cast, like, op, rank
from translate.converters.tflite_to_onnx.table import lower
from translate.errors import UnsupportedError

_FLOAT = ir.DataType.FLOAT
# What ONNX quantises to at the opset that the lowerings are written in; other integers are computed.
_BYTES = (ir.DataType.INT8, ir.DataType.UINT8)


@lower("QUANTIZE")
def quantize(x: ir.Value, *, scale: Sequence[float], zero_point: Sequence[int], axis: int = 0, to: int) -> ir.Value:
    """The integers that stand for the numbers next to `x`; of two equally near the even one."""
    dtype = ir.DataType(to)
    if dtype in _BYTES:
        step, zero = _grid(scale, zero_point)
        return op.QuantizeLinear(x, step, zero.astype(dtype.numpy()), axis=axis if len(scale) > 1 else None)
    step, zero = _shaped(x, scale, zero_point, axis)
    limits = np.iinfo(dtype.numpy())
    whole = op.Add(op.Round(op.Div(x, step)), zero.astype(np.float32))
    return cast(op.Clip(whole, like(x, limits.min), like(x, limits.max)), dtype)


@lower("DEQUANTIZE")
def dequantize(
    x: ir.Value, *, scale: Sequence[float] = (), zero_point: Sequence[int] = (), axis: int = 0, to: int = 0
) -> ir.Value:
    """The numbers that integers stand for; of float16, the same numbers in float32."""
    if not scale:
        return cast(x, _FLOAT)
    if x.dtype in _BYTES:
        step, zero = _grid(scale, zero_point)
        return op.DequantizeLinear(x, step, like(x, zero), axis=axis if len(scale) > 1 else None)
    step, zero = _shaped(x, scale, zero_point, axis)
    return op.Mul(cast(op.Sub(cast(x, ir.DataType.INT32), zero.astype(np.int32)), _FLOAT), step)


def _grid(scale: Sequence[float], zero_point: Sequence[int]) -> tuple[Host, Host]:
    """Return the step and the zero point, scalars where they hold for the whole tensor."""
    step, zero = np.asarray(scale, np.float32), np.asarray(zero_point, np.int64)
    return (step[0], zero[0]) if step.size == 1 else (step, zero)


def _shaped(x: ir.Value, scale: Sequence[float], zero_point: Sequence[int], axis: int) -> tuple[Host, Host]:
    """Return the step and the zero point in a form that is broadcast to `x`."""
    step, zero = _grid(scale, zero_point)
    if step.ndim:
        sizes = [step.size if i == axis else 1 for i in range(rank(x))]
        step, zero = step.reshape(sizes), zero.reshape(sizes)
    return step, zero


@lower("FAKE_QUANT")
def fake_quant(
    x: ir.Value, *, min: float = 0.0, max: float = 0.0, num_bits: int = 0, narrow_range: int = 0
) -> ir.Value:
    """Round to a grid between two numbers."""
    if not num_bits:
        raise UnsupportedError("it has no number of bits")
    y: ir.Value = quant.fake_quant_args(x, min=min, max=max, num_bits=num_bits, narrow_range=narrow_range)
    return y
