"""Linear attention and the causal convolution with symbolic sizes, one step and many, and their gradients."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

from tests.converters.onnx_to_tf.cases import gradients, run

pytestmark = pytest.mark.skipif(onnx.defs.onnx_opset_version() < 27, reason="the operators came with opset 27")

OPSET = 27
HEADS = {"q_num_heads": 4, "kv_num_heads": 2}


def attention_inputs(rule: str, times: int) -> list[np.ndarray | None]:
    generator = np.random.default_rng(0)

    def draw(*shape: int) -> np.ndarray:
        return generator.standard_normal(shape, np.float32) * 0.5

    inputs = [draw(3, times, 4 * 5), draw(3, times, 2 * 5), draw(3, times, 2 * 6), draw(3, 2, 5, 6)]
    decay = -np.abs(draw(3, times, 2)) if "gated" in rule else None
    beta = np.abs(draw(3, times, 1)) if "delta" in rule else None
    return [*inputs, decay, beta]


@pytest.mark.parametrize("rule", ["linear", "gated", "delta", "gated_delta"])
def test_many_steps_are_single_steps_in_a_row(rule):
    arrays, attributes = attention_inputs(rule, 7), HEADS | {"update_rule": rule}
    for dynamic in (True, False):
        whole, last = run("LinearAttention", arrays, attributes, OPSET, outputs=2, dynamic=dynamic)
        state = arrays[3]
        for t in range(7):
            now = [None if a is None else a[:, t : t + 1] for a in arrays]
            now[3] = state
            output, state = run("LinearAttention", now, attributes, OPSET, outputs=2, dynamic=False)
            np.testing.assert_allclose(output, whole[:, t : t + 1], rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(state, last, rtol=1e-4, atol=1e-5)


def test_gradients_reach_every_input():
    found = gradients("LinearAttention", attention_inputs("gated_delta", 4), HEADS, OPSET)
    assert all(gradient is not None and np.abs(gradient).max() > 0 for gradient in found)


def test_a_convolution_in_two_parts_is_the_whole():
    generator = np.random.default_rng(0)
    x, weight, bias = (generator.standard_normal(shape, np.float32) for shape in ((2, 3, 9), (3, 1, 4), (3,)))
    options = {"known": (1,), "outputs": 2}
    whole, last = run("CausalConvWithState", [x, weight, bias], {"activation": "silu"}, OPSET, **options)
    first, state = run("CausalConvWithState", [x[..., :2], weight, bias], {"activation": "silu"}, OPSET, **options)
    second, state = run(
        "CausalConvWithState", [x[..., 2:], weight, bias, state], {"activation": "silu"}, OPSET, **options
    )
    np.testing.assert_allclose(np.concatenate([first, second], 2), whole, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(state, last)
