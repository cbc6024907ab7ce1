"""Recurrent networks against onnxruntime, which covers what ONNX's reference implementation does not."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import onnxruntime
import pytest
import torch

from tests.backend.node_suite import compare
from tests.converters.nodes import one_node
from tests.converters.onnx_to_torch.cases import code, run, translated
from tests.converters.recurrent import GATES, HIDDEN, STATES, VARIANTS, batch_first, variant
from translate.converters.onnx_to_torch.dtypes import to_numpy, to_torch
from translate.converters.onnx_to_torch.export import exported
from translate.converters.passes import prepare_for_torch
from translate.errors import CannotTranslateError

# The axes of inputs by number whose sizes are open: times and batch.
OPEN = {0: {0: "times", 1: "batch"}, 4: {0: "batch"}, 5: {1: "batch"}, 6: {1: "batch"}}


def model_of(op, arrays, attributes, outputs=1):
    """One node whose times and batch are open."""
    model = one_node(op, arrays, attributes, outputs=outputs, dynamic=False)
    for value in model.graph.input:
        for axis, name in OPEN.get(int(value.name[1:]), {}).items():
            value.type.tensor_type.shape.dim[axis].dim_param = name
    for value in model.graph.output:
        if value.type.HasField("tensor_type"):
            value.type.tensor_type.ClearField("shape")
    return model


def run_open(op, arrays, attributes, outputs=1):
    with torch.no_grad():
        results = translated(model_of(op, arrays, attributes, outputs))(
            *(to_torch(array) for array in arrays if array is not None)
        )
    return [to_numpy(result) for result in results]


def by_onnxruntime(model, arrays):
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {f"x{i}": array for i, array in enumerate(arrays) if array is not None})


@pytest.mark.parametrize("direction", ["forward", "reverse", "bidirectional"])
@pytest.mark.parametrize(("op", "name"), VARIANTS)
def test_same_as_onnxruntime(op, name, direction):
    directions = 2 if direction == "bidirectional" else 1
    named, attributes = variant(name, op, directions)
    attributes["direction"] = direction
    arrays, outputs = list(named.values()), 1 + STATES[op]
    expected = by_onnxruntime(one_node(op, arrays, attributes, outputs=outputs), arrays)
    for actual in (
        run_open(op, arrays, attributes, outputs),
        run(op, arrays, attributes, outputs=outputs, dynamic=False),
    ):
        for one, other in zip(actual, expected, strict=True):
            compare(one, other, 1e-5, 1e-6)


@pytest.mark.parametrize("op", GATES)
@pytest.mark.parametrize("name", ["initial state", "sequence lengths"])
def test_batch_first_is_the_same_transposed(op, name):
    named, attributes = variant(name, op, 2)
    attributes["direction"] = "bidirectional"
    outputs = 1 + STATES[op]
    y, *states = run(op, list(named.values()), attributes, outputs=outputs, dynamic=False)
    y1, *states1 = run(op, batch_first(named), attributes | {"layout": 1}, outputs=outputs, dynamic=False)
    np.testing.assert_allclose(y1, y.transpose(2, 0, 1, 3), rtol=1e-6, atol=1e-7)
    for one, other in zip(states1, states, strict=True):
        np.testing.assert_allclose(one, other.transpose(1, 0, 2), rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("op", GATES)
def test_one_step_needs_no_loop_and_is_the_same(op):
    named, attributes = variant("clip", op, 1)
    whole = run_open(op, list(named.values()), attributes, 2)[0]
    named["x"] = named["x"][:1]
    assert "scan" not in code(op, list(named.values()), attributes, outputs=2, dynamic=False)
    single = run(op, list(named.values()), attributes, outputs=2, dynamic=False)[0]
    np.testing.assert_allclose(single, whole[:1], rtol=1e-6)


@pytest.mark.parametrize("op", GATES)
def test_the_exported_program_takes_any_length_and_batch(op):
    named, attributes = variant("clip", op, 1)
    arrays = list(named.values())
    model = model_of(op, arrays, attributes)
    graph = ir.from_proto(model)
    prepare_for_torch(graph)
    program = exported(translated(model), graph).module()
    for times, batch in ((5, 3), (9, 1), (1, 2)):
        arrays[0] = np.random.default_rng(3).standard_normal((times, batch, named["x"].shape[2]), np.float32)
        (y,) = program(*(to_torch(array) for array in arrays if array is not None))
        compare(to_numpy(y), by_onnxruntime(model, arrays)[0], 1e-5, 1e-6)


def test_gradients_reach_every_input_of_a_loop():
    named, attributes = variant("peepholes", "LSTM", 1)
    tensors = [to_torch(array).requires_grad_() for array in named.values() if array is not None]
    (y,) = translated(model_of("LSTM", list(named.values()), attributes))(*tensors)
    y.sum().backward()
    assert y.shape[-1] == HIDDEN
    assert all(tensor.grad is not None and torch.any(tensor.grad != 0) for tensor in tensors)


def test_an_unknown_activation_is_refused():
    named, attributes = variant("plain", "RNN", 1)
    with pytest.raises(CannotTranslateError, match="activation 'Sine' is unknown"):
        run_open("RNN", list(named.values()), attributes | {"activations": ["Sine"]})
