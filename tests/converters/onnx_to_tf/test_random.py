"""Random operators: distribution, dtype, shape, fresh numbers on each run, and what a seed does."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

from tests.converters.onnx_to_tf.cases import one_node, translated

LARGE = np.zeros((200, 300), np.float32)
SHAPE = {"shape": [200, 300]}
CASES = [
    ("RandomNormal", [], {"mean": 2.0, "scale": 3.0} | SHAPE, 2, 3),
    ("RandomNormalLike", [LARGE], {"mean": 2.0, "scale": 3.0}, 2, 3),
    ("RandomUniform", [], {"low": -1.0, "high": 3.0} | SHAPE, 1, 4 / 12**0.5),
    ("RandomUniformLike", [LARGE], {"low": -1.0, "high": 3.0}, 1, 4 / 12**0.5),
    ("Bernoulli", [LARGE + 0.25], {}, 0.25, (0.25 * 0.75) ** 0.5),
]


@pytest.mark.parametrize(("op", "inputs", "attributes", "mean", "deviation"), CASES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16])
def test_distribution(op, inputs, attributes, mean, deviation, dtype):
    attributes = attributes | {"dtype": onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype))}
    function = translated(one_node(op, inputs, attributes))
    first, second = (function(*inputs)["y0"].numpy() for _ in range(2))
    assert first.dtype == dtype
    assert first.shape == LARGE.shape
    assert first.mean(dtype=np.float64) == pytest.approx(mean, abs=0.05)
    assert first.std(dtype=np.float64) == pytest.approx(deviation, abs=0.05)
    assert (first != second).any()


@pytest.mark.parametrize(("op", "inputs", "attributes", "mean", "deviation"), CASES)
def test_a_seed_makes_the_sequence_repeatable(op, inputs, attributes, mean, deviation):
    def draw(seed: float) -> np.ndarray:
        return translated(one_node(op, inputs, attributes | {"seed": seed}))(*inputs)["y0"].numpy()

    np.testing.assert_array_equal(draw(0.25), draw(0.25))
    assert (draw(0.25) != draw(0.5)).any()


def test_like_and_bernoulli_take_the_dtype_of_their_input():
    for op in ("RandomNormalLike", "RandomUniformLike", "Bernoulli"):
        x = np.zeros((2, 3), np.float64)
        assert translated(one_node(op, [x]))(x)["y0"].dtype.as_numpy_dtype is np.float64


def test_multinomial():
    x = np.log(np.array([[0.25, 0.75, 0.0], [0.5, 0.0, 0.5]], np.float32) + 1e-30)
    attributes = {"sample_size": 4000, "dtype": onnx.TensorProto.INT64}
    drawn = translated(one_node("Multinomial", [x], attributes))(x)["y0"].numpy()
    assert drawn.dtype == np.int64
    assert drawn.shape == (2, 4000)
    assert drawn.mean(1) == pytest.approx([0.75, 1.0], abs=0.1)
    assert set(drawn[1]) == {0, 2}
