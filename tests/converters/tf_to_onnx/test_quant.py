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
