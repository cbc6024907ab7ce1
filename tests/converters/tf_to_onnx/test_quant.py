"""Rounding to a grid, against TensorFlow."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from tests.converters.tf_to_onnx.cases import check, floats


@pytest.mark.parametrize("narrow", [False, True])
@pytest.mark.parametrize(("low", "high"), [(-1.0, 1.5), (0.3, 1.5), (-2.0, -0.5), (0.0, 0.0)])
def test_grids(low: float, high: float, narrow: bool) -> None:
    quantise = tf.quantization
    x = floats("n", 3)
    check(lambda x: quantise.fake_quant_with_min_max_vars(x, low, high, 4, narrow), x)
    if low < high:
        check(lambda x: quantise.fake_quant_with_min_max_args(x, low, high, 8, narrow), x)
        lows, highs = np.full(3, low, np.float32), np.asarray([high, high + 1, high + 2], np.float32)
        check(lambda x: quantise.fake_quant_with_min_max_vars_per_channel(x, lows, highs, 8, narrow), x)


@pytest.mark.parametrize("signed", [True, False])
@pytest.mark.parametrize("narrow", [False, True])
@pytest.mark.parametrize(("low", "high"), [(-1.5, 1.0), (-0.3, 1.9), (0.0, 1.0), (-1.0, 0.0)])
def test_steps_of_a_range(signed: bool, narrow: bool, low: float, high: float) -> None:
    options = {"input_min": low, "input_max": high, "signed_input": signed, "narrow_range": narrow}
    V2, V3 = tf.raw_ops.QuantizeAndDequantizeV2, tf.raw_ops.QuantizeAndDequantizeV3
    for mode in ("HALF_TO_EVEN", "HALF_UP"):
        known = options | {"num_bits": 4, "round_mode": mode, "range_given": True}
        check(lambda x, known=known: V2(input=x, **known), floats("n", 30))
    check(lambda x: V3(input=x, num_bits=5, **options), floats("n", 30))


def test_steps_of_what_is_there() -> None:
    check(lambda x: tf.quantization.quantize_and_dequantize_v2(x, 0.0, 0.0), floats("n", 30))
