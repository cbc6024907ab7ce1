"""The bugs that the mutation study plants are the bugs that it names."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
import pytest
import torch
import torch.nn.functional as F
from onnx import parser

from benchmarks.mutations.models import models
from benchmarks.mutations.plant import KINDS
from benchmarks.mutations.table import write_tables
from translate.models.base import Array
from translate.models.onnx_model import OnnxModel


def planted(kind: str, inputs: str, body: str, feeds: dict[str, Array], initializers: str = "") -> list[Array]:
    """Return y of a graph without a bug, and with one of `kind` at each of its places."""
    text = f'<ir_version: 9, opset_import: ["" : 20]> g ({inputs}) => (float[?, ?] y) <{initializers}> {{ {body} }}'
    model = onnx.shape_inference.infer_shapes(parser.parse_model(text))
    count = len(list(KINDS[kind](ir.from_proto(model).graph)))
    outputs = [OnnxModel(ir.from_proto(model)).run(feeds)["y"]]
    for index in range(count):
        changed = ir.from_proto(model)
        _, change = list(KINDS[kind](changed.graph))[index]
        change()
        outputs.append(OnnxModel(changed).run(feeds)["y"])
    return outputs


X = np.random.default_rng(0).standard_normal((4, 4)).astype("float32")
SQUARE = "float[4, 4] w = {" + ", ".join(str(float(n * n)) for n in range(16)) + "}"
W = np.square(np.arange(16.0)).reshape(4, 4).astype("float32")


def test_gelu_spelled_out_becomes_its_tanh_form() -> None:
    body = "u = Div(x, r)  e = Erf(u)  p = Add(e, one)  h = Mul(p, half)  y = Mul(h, x)"
    constants = "float r = {1.4142135}, float one = {1.0}, float half = {0.5}"
    right, wrong = planted("GELU by tanh", "float[4, 4] x", body, {"x": X}, constants)
    x = torch.from_numpy(X)
    np.testing.assert_allclose(right, F.gelu(x), atol=1e-6)
    np.testing.assert_allclose(wrong, F.gelu(x, approximate="tanh"), atol=1e-6)
    assert np.abs(right - wrong).max() > 1e-5


def test_axes() -> None:
    right, wrong = planted("swapped axis", "float[4, 4] x", "y = Transpose<perm = [1, 0]>(x)", {"x": X})
    np.testing.assert_array_equal(wrong, right.T)
    _, wrong = planted("swapped axis", "float[4, 4] x", "y = Softmax(x)", {"x": X})
    np.testing.assert_allclose(wrong.sum(0), 1, rtol=1e-6)


def test_weights() -> None:
    body = "y = MatMul(x, w)"
    _, wrong = planted("transposed square weight", "float[4, 4] x", body, {"x": X}, SQUARE)
    np.testing.assert_allclose(wrong, X @ W.T, rtol=1e-4, atol=1e-4)
    _, wrong = planted("weight element + 1 %", "float[4, 4] x", body, {"x": np.eye(4, dtype="float32")}, SQUARE)
    ratio = np.divide(wrong, W, out=np.ones_like(W), where=W != 0)
    np.testing.assert_allclose(sorted(ratio.ravel())[-2:], [1, 1.01], rtol=1e-6)


def test_epsilon_of_an_operator_and_spelled_out() -> None:
    small = X * 0.01
    scale = "float[4] s = {1.0, 1.0, 1.0, 1.0}"
    _, wrong = planted("eps 1e-5 → 1e-3", "float[4, 4] x", "y = LayerNormalization(x, s)", {"x": small}, scale)
    np.testing.assert_allclose(wrong, F.layer_norm(torch.from_numpy(small), [4], eps=1e-3), rtol=1e-4)
    body = "q = Mul(x, x)  a = Add(q, e)  r = Sqrt(a)  y = Div(x, r)"
    _, wrong = planted("eps 1e-5 → 1e-3", "float[4, 4] x", body, {"x": small}, "float e = {0.000001}")
    np.testing.assert_allclose(wrong, small / np.sqrt(small**2 + 1e-3), rtol=1e-4)


def test_slices_and_scales() -> None:
    body = "y = Slice(x, a, b, c)"
    constants = "int64[1] a = {1}, int64[1] b = {3}, int64[1] c = {0}"
    found = planted("off-by-one slice", "float[4, 4] x", body, {"x": X}, constants)
    np.testing.assert_array_equal(np.stack(found), [X[1:3], X[2:4], X[0:2]])
    right, wrong = planted("missing scale", "float[4, 4] x", "y = Div(x, s)", {"x": X}, "float s = {8.0}")
    np.testing.assert_array_equal(wrong, right * 8)


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("wrong pad side", "z = AveragePool<kernel_shape = [2, 2], pads = [1, 1, 0, 0]>(x)"),
        ("count_include_pad", "z = AveragePool<kernel_shape = [3, 3], pads = [1, 1, 1, 1]>(x)"),
        ("align_corners", 'z = Resize<mode = "linear">(x, , s)'),
    ],
)
def test_windows_and_resize_change_the_numbers(kind: str, body: str) -> None:
    constants = "float[4] s = {1.0, 1.0, 2.0, 2.0}, int64[2] two = {1, -1}"
    found = planted(kind, "float[1, 1, 4, 4] x", f"{body}  y = Reshape(z, two)", {"x": X[None, None]}, constants)
    assert len(found) > 1
    for wrong in found[1:]:
        assert wrong.shape == found[0].shape
        assert np.abs(wrong - found[0]).max() > 1e-2


def test_there_are_at_least_sixty_models_and_nothing_to_plant_where_nothing_is() -> None:
    assert len(models()) >= 60
    for kind in KINDS:
        assert len(planted(kind, "float[4, 4] x", "y = Relu(x)", {"x": X})) == 1


def test_the_table_counts() -> None:
    methods = ("verdict", "allclose 1e-3", "allclose 1e-4", "allclose 1e-5", "cosine 0.999")
    caught = dict.fromkeys(methods, False) | {"verdict": True, "error": 5.0}
    missed = dict.fromkeys(methods, False) | {"error": 0.5}
    bugs = dict.fromkeys(KINDS) | {"missing scale": {"where": "a", "moved": 2.0, "caught": caught}}
    others = dict.fromkeys(KINDS) | {"missing scale": {"where": "b", "moved": 3.0, "caught": missed}}
    small = dict.fromkeys(KINDS) | {"missing scale": {"where": "c", "moved": 0.1, "caught": missed}}
    rows = [
        {"model": str(index), "family": "x", "rounding": "float64", "bugs": each, "correct": missed}
        for index, each in enumerate((bugs, others, small))
    ]
    page = write_tables(rows)
    assert "| missing scale | 1 | 1 / 2 | 0 / 2 |" in page
    assert "| **false alarms** |  | **0 / 3** |" in page
    assert "missing scale in 1, at b: moved 3 times" in page
