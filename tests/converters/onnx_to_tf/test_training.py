"""Optimizers at the first step and later, for several parameters, with symbolic sizes."""

from __future__ import annotations

import numpy as np
import pytest

from tests.converters.onnx_to_tf.cases import check, reference

DOMAIN = "ai.onnx.preview.training"
MOMENTUM = {"alpha": 0.9, "beta": 0.8, "norm_coefficient": 0.01}
CASES = [
    ("Adagrad", 3, {"decay_factor": 0.1, "epsilon": 1e-5, "norm_coefficient": 0.01}, 2),
    ("Adam", 4, {"alpha": 0.95, "beta": 0.85, "epsilon": 1e-3, "norm_coefficient": 0.01}, 3),
    ("Adam", 4, {"norm_coefficient_post": 0.1}, 3),
    ("Momentum", 3, MOMENTUM | {"mode": "standard"}, 2),
    ("Momentum", 3, MOMENTUM | {"mode": "nesterov"}, 2),
]


@pytest.mark.parametrize(("op", "groups", "attributes", "states"), CASES)
@pytest.mark.parametrize("step", [0, 3])
@pytest.mark.parametrize("count", [1, 2])
def test_one_step(op, groups, attributes, states, step, count):
    generator = np.random.default_rng(0)
    # Sums of squares are not negative.
    tensors = [generator.uniform(0.1, 1, (2 + i, 3)).astype(np.float32) for _ in range(groups) for i in range(count)]
    arrays = [np.array(0.1, np.float32), np.array(step), *tensors]
    options = {"domain": DOMAIN, "outputs": states * count}
    # With numpy 2 the reference forgets that the results are float32.
    expected = [array.astype(np.float32) for array in reference(op, arrays, attributes, 1, **options)]
    check(op, arrays, attributes, 1, expected=expected, **options)
