"""Numbers rounded to a grid, as quantisation-aware training does."""

from __future__ import annotations

from typing import Literal

import onnx_ir as ir

from translate.converters.tf_to_onnx.build import Host, like, op
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


@lower("QuantizeAndDequantizeV2", "QuantizeAndDequantizeV4")
def quantize_and_dequantize(
    x: ir.Value,
    low: ir.Value,
    high: ir.Value,
    *,
    signed_input: int = 1,
    num_bits: int = 8,
    range_given: int = 0,
    round_mode: Literal["HALF_TO_EVEN", "HALF_UP"] = "HALF_TO_EVEN",
    narrow_range: int = 0,
    axis: Literal[-1] = -1,
) -> ir.Value:
    """Round to `2 ** num_bits` steps, of which 0 is one, that cover `low` to `high`, or else what `x` holds.

    After the documentation of `tf.quantization.quantize_and_dequantize_v2`. Limits: one range for the whole tensor.
    """
    zero = like(x, 0)
    if not range_given:
        low, high = op.ReduceMin(x, keepdims=0), op.ReduceMax(x, keepdims=0)
    least = (-(2 ** (num_bits - 1)) + narrow_range) if signed_input else 0
    most = 2 ** (num_bits - 1) - 1 if signed_input else 2**num_bits - 1
    # The side that needs the larger steps decides; where none does, all is 0.
    by_low = op.Div(low, like(x, least)) if least else op.value(zero)
    by_high = op.Div(high, like(x, most))
    by_low = op.Where(op.Less(low, zero), by_low, zero) if least else by_low
    by_high = op.Where(op.Greater(high, zero), by_high, zero)
    wide = op.Max(by_low, by_high)
    step = op.Where(op.Greater(wide, zero), wide, like(x, 1))
    inside = op.Max(op.Min(x, op.Mul(step, like(x, most))), op.Mul(step, like(x, least)))
    number = op.Div(inside, step)
    rounded = op.Round(number) if round_mode == "HALF_TO_EVEN" else op.Floor(op.Add(number, like(x, 0.5)))
    return op.Mul(rounded, op.Max(wide, zero))


@lower("QuantizeAndDequantizeV3")
def quantize_and_dequantize_v3(
    x: ir.Value,
    low: ir.Value,
    high: ir.Value,
    num_bits: Host,
    *,
    signed_input: int = 1,
    range_given: int = 1,
    narrow_range: int = 0,
    axis: Literal[-1] = -1,
) -> ir.Value:
    """As V2, its number of bits an input. Limits: one range for the whole tensor."""
    result: ir.Value = quantize_and_dequantize(
        x,
        low,
        high,
        signed_input=signed_input,
        num_bits=int(num_bits.item()),
        range_given=range_given,
        narrow_range=narrow_range,
    )
    return result
