"""Numbers rounded to a grid, as quantisation-aware training does."""

from __future__ import annotations

import onnx_ir as ir

from translate.converters.tf_to_onnx.build import like, op
from translate.converters.tf_to_onnx.table import lower


def _fake_quant(x: ir.Value, low: ir.Value, high: ir.Value, num_bits: int, narrow_range: int) -> ir.Value:
    """Round to `2 ** num_bits` steps from `low` to `high`, both moved so that 0 is a step.

    After the documentation of `tf.quantization.fake_quant_with_min_max_vars` and its kernel's rounding: half up.
    """
    first, last = like(x, narrow_range), like(x, 2**num_bits - 1)
    half = like(x, 0.5)
    step = op.Div(op.Sub(high, low), like(x, 2**num_bits - 1 - narrow_range))
    origin = op.Sub(first, op.Div(low, step))
    rounded = op.Floor(op.Add(origin, half))
    zero = op.Where(op.Less(origin, first), first, op.Where(op.Greater(origin, last), last, rounded))
    lowest, highest = op.Mul(op.Sub(first, zero), step), op.Mul(op.Sub(last, zero), step)
    inside = op.Sub(op.Max(op.Min(x, highest), lowest), lowest)
    number = op.Floor(op.Add(op.Div(inside, step), half))
    result = op.Add(op.Mul(number, step), lowest)
    nothing = op.And(op.Equal(low, like(x, 0)), op.Equal(high, like(x, 0)))
    return op.Where(nothing, like(x, 0), result)


@lower("FakeQuantWithMinMaxArgs")
def fake_quant_args(
    x: ir.Value, *, min: float = -6.0, max: float = 6.0, num_bits: int = 8, narrow_range: int = 0
) -> ir.Value:
    """Round to a grid between two numbers."""
    return _fake_quant(x, op.value(like(x, min)), op.value(like(x, max)), num_bits, narrow_range)


@lower("FakeQuantWithMinMaxVars", "FakeQuantWithMinMaxVarsPerChannel")
def fake_quant_vars(x: ir.Value, min: ir.Value, max: ir.Value, *, num_bits: int = 8, narrow_range: int = 0) -> ir.Value:
    """Round to a grid between two numbers, or two for each entry of the last axis."""
    return _fake_quant(x, min, max, num_bits, narrow_range)
