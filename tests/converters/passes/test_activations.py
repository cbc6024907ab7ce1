"""Activations that are written as arithmetic become the one operator that PyTorch has, with the same numbers."""

from __future__ import annotations

from collections import Counter

import numpy as np
import onnx_ir as ir
import onnxruntime as ort
import pytest
import torch

from translate.converters import onnx_to_torch
from translate.converters.passes import prepare_for_torch

_CONSTANTS = "float one = {1.0}, float three = {3.0}, float zero = {0.0}, float six = {6.0}, float sixth = {0.16666667}"


def translated(body: str) -> Counter[str]:
    """Translate `y = f(x)`, compare the numbers with onnxruntime's, and count the calls in the module's graph."""
    model = ir.from_onnx_text(
        f'<ir_version: 8, opset_import: ["": 18]> g (float[n, 5] x) => (float[n, 5] y) <{_CONSTANTS}> {{ {body} }}'
    )
    x = np.linspace(-5, 5, 15, dtype=np.float32).reshape(3, 5)
    session = ort.InferenceSession(ir.to_proto(model).SerializeToString(), providers=["CPUExecutionProvider"])
    (expected,) = session.run(None, {"x": x})
    prepare_for_torch(model)
    module = onnx_to_torch.module(model)
    np.testing.assert_allclose(module(torch.from_numpy(x)).numpy(), expected, rtol=1e-5, atol=1e-6)
    calls = [node for node in module.graph.nodes if node.op.startswith("call_")]
    return Counter(getattr(node.target, "__name__", str(node.target)) for node in calls)


@pytest.mark.parametrize(
    "body",
    [
        "s = Sigmoid(x) y = Mul(x, s)",
        "s = Sigmoid(x) y = Mul(s, x)",
        "t = Mul(one, x) s = Sigmoid(t) y = Mul(x, s)",
    ],
)
def test_silu(body: str) -> None:
    assert translated(body) == {"silu": 1}


def test_another_gate_is_no_silu() -> None:
    assert translated("t = Neg(x) s = Sigmoid(t) y = Mul(x, s)") == {"neg": 1, "sigmoid": 1, "mul": 1}


_CLIPPED = "a = Add(three, x) c = Clip(a, zero, six)"


@pytest.mark.parametrize("body", [f"{_CLIPPED} y = Div(c, six)", f"{_CLIPPED} y = Mul(sixth, c)"])
def test_hard_sigmoid(body: str) -> None:
    assert translated(body) == {"hardsigmoid": 1}


@pytest.mark.parametrize("gate", ["Div(c, six)", "Mul(c, sixth)"])
@pytest.mark.parametrize("product", ["Mul(x, g)", "Mul(g, x)"])
def test_hard_swish(gate: str, product: str) -> None:
    assert translated(f"{_CLIPPED} g = {gate} y = {product}") == {"hardswish": 1}


def test_a_gate_of_another_slope_stays() -> None:
    assert translated("g = HardSigmoid <alpha = 0.2> (x) y = Mul(x, g)")["hardswish"] == 0


def test_what_others_read_stays() -> None:
    assert translated("s = Sigmoid(x) p = Mul(x, s) y = Add(p, s)") == {"silu": 1, "sigmoid": 1, "add": 1}


def test_relu6() -> None:
    assert translated("y = Clip(x, zero, six)") == {"relu6": 1}
    assert translated("y = Clip(x, zero, three)") == {"clamp": 1}


@pytest.mark.parametrize(
    "constants",
    ["three = {3.00001}, float zero = {0.0}", "three = {3.0}, float zero = {1e-9}"],
)
def test_numbers_that_are_nearly_those_of_an_activation_stay(constants: str) -> None:
    model = ir.from_onnx_text(
        '<ir_version: 8, opset_import: ["": 18]> g (float[n, 5] x) => (float[n, 5] y) '
        f"<float {constants}, float six = {{6.0}}> {{ {_CLIPPED} y = Div(c, six) }}"
    )
    prepare_for_torch(model)
    assert "HardSigmoid" not in [node.op_type for node in model.graph]
