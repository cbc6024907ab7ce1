"""Recurrent networks against onnxruntime, which covers what ONNX's reference implementation does not."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest

from tests.backend.node_suite import compare
from tests.converters.onnx_to_tf.cases import gradients, one_node, run
from tests.converters.recurrent import GATES, STATES, VARIANTS, batch_first, variant
from translate.errors import CannotTranslateError


@pytest.mark.parametrize("direction", ["forward", "reverse", "bidirectional"])
@pytest.mark.parametrize(("op", "name"), VARIANTS)
def test_same_as_onnxruntime(op, name, direction):
    directions = 2 if direction == "bidirectional" else 1
    named, attributes = variant(name, op, directions)
    attributes["direction"] = direction
    arrays, outputs = list(named.values()), 1 + STATES[op]
    model = one_node(op, arrays, attributes, outputs=outputs)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    feeds = {f"x{i}": array for i, array in enumerate(arrays) if array is not None}
    expected = session.run(None, feeds)
    for dynamic in (True, False):
        actual = run(op, arrays, attributes, outputs=outputs, dynamic=dynamic)
        for one, other in zip(actual, expected, strict=True):
            compare(one, other, 1e-5, 1e-6)


@pytest.mark.parametrize("op", GATES)
def test_batch_first_is_the_same_transposed(op):
    named, attributes = variant("initial state", op, 2)
    attributes["direction"] = "bidirectional"
    outputs = 1 + STATES[op]
    y, *states = run(op, list(named.values()), attributes, outputs=outputs)
    y1, *states1 = run(op, batch_first(named), attributes | {"layout": 1}, outputs=outputs)
    np.testing.assert_allclose(y1, y.transpose(2, 0, 1, 3), rtol=1e-6)
    for one, other in zip(states1, states, strict=True):
        np.testing.assert_allclose(one, other.transpose(1, 0, 2), rtol=1e-6)


@pytest.mark.parametrize("op", GATES)
def test_one_step_needs_no_loop_and_is_the_same(op):
    named, attributes = variant("plain", op, 1)
    whole = run(op, list(named.values()), attributes, outputs=2)[0]
    named["x"] = named["x"][:1]
    single = run(op, list(named.values()), attributes, outputs=2, dynamic=False)[0]
    np.testing.assert_allclose(single, whole[:1], rtol=1e-6)


@pytest.mark.parametrize("op", GATES)
def test_gradients_reach_every_input(op):
    named, attributes = variant("initial state", op, 1)
    arrays = list(named.values())
    found = gradients(op, arrays, attributes)
    assert all(gradient is not None and np.abs(gradient).max() > 0 for gradient in found)
    # One weight against a difference quotient.
    step = 1e-2
    sums = []
    for sign in (1, -1):
        arrays[1] = named["w"].copy()
        arrays[1][0, 0, 0] += sign * step
        sums.append(run(op, arrays, attributes)[0].sum(dtype=np.float64))
    assert found[1][0, 0, 0] == pytest.approx((sums[0] - sums[1]) / (2 * step), rel=2e-2, abs=1e-3)


def test_an_unknown_activation_is_refused():
    named, attributes = variant("plain", "RNN", 1)
    with pytest.raises(CannotTranslateError, match="activation 'Sine' is unknown"):
        run("RNN", list(named.values()), attributes | {"activations": ["Sine"]})
