"""Attention that is written as arithmetic: found where it is one, left where it would be another, equal in numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
import pytest
import torch

from translate.converters.onnx_to_torch.export import Program
from translate.converters.passes import prepare_for_torch
from translate.converters.passes.attention import find_attention

# The scores [b, 2, q, k] of queries and keys [b, q or k, 2, 4], as Keras writes them, and what becomes of them.
KERAS = """<ir_version: 10, opset_import: ["" : 20]>
g (float[b,q,2,4] query, float[b,k,2,4] key, float[b,k,2,3] value, bool[b,1,q,k] keep) => (float[b,q,2,3] y)
<float half = {0.5}, float fill = {-2e38}, float infinite = {-inf}, bool yes = {1}, float tiny = {-1e9}> {
  products = Einsum<equation="BTNH,BSNH->BNTS"> (query, key)
  scores = Mul (products, half)
  %s
  weights = Softmax<axis=-1> (masked)
  y = Einsum<equation="BNTS,BSNH->BTNH"> (weights, value)
}"""
PLAIN = KERAS % "masked = Identity (scores)"
REPLACED = KERAS % "masked = Where (keep, scores, fill)"
JOINED = (
    KERAS
    % """shape = Shape (scores)
  all = Expand (yes, shape)
  both = And (all, keep)
  masked = Where (both, scores, fill)"""
)
ADDED = (
    KERAS
    % """choice = Where (keep, half, tiny)
  masked = Add (choice, scores)"""
)
ONE_NUMBER = KERAS % "masked = Add (scores, half)"
INFINITE = KERAS % "masked = Where (keep, scores, infinite)"
SMALL = KERAS % "masked = Where (keep, scores, tiny)"
INFINITE_SUM = ADDED.replace("half, tiny", "half, infinite")
SHOWN = REPLACED.replace("(float[b,q,2,3] y)", "(float[b,q,2,3] y, float[b,2,q,k] weights)")
# As many libraries write it: heads before the positions, and matrix products.
PRODUCTS = """<ir_version: 10, opset_import: ["" : 20]>
g (float[b,2,q,4] query, float[b,2,k,4] key, float[b,2,k,3] value, bool[b,1,q,k] keep) => (float[b,2,q,3] y)
<float root = {2}> {
  turned = Transpose<perm=[0,1,3,2]> (key)
  products = MatMul (query, turned)
  masked = Div (products, root)
  weights = Softmax<axis=-1> (masked)
  y = MatMul (weights, value)
}"""
FOUND = {"plain": PLAIN, "replaced": REPLACED, "joined": JOINED, "added": ADDED, "number": ONE_NUMBER}
FOUND["products"] = PRODUCTS
LEFT = {"infinite": INFINITE, "small": SMALL, "infinite sum": INFINITE_SUM, "shown": SHOWN}


def parsed(text: str) -> onnx.ModelProto:
    return onnx.shape_inference.infer_shapes(onnx.parser.parse_model(text))


def feeds(text: str) -> dict[str, Any]:
    generator = np.random.default_rng(0)
    sizes = {"query": (3, 5, 2, 4), "key": (3, 6, 2, 4), "value": (3, 6, 2, 3)}
    order = (0, 2, 1, 3) if text == PRODUCTS else (0, 1, 2, 3)
    arrays = {name: generator.standard_normal(size, np.float32).transpose(order) for name, size in sizes.items()}
    keep = generator.random([3, 1, 5, 6]) > 0.4
    # A query that may attend to nothing.
    keep[1, 0, 2] = False
    return arrays | {"keep": keep}


@pytest.mark.parametrize("text", FOUND.values(), ids=FOUND)
def test_attention_is_found_and_gives_what_the_source_gives(text: str) -> None:
    proto, inputs = parsed(text), feeds(text)
    used = {name: inputs[name] for name in (value.name for value in proto.graph.input)}
    session = onnxruntime.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    (expected,) = session.run(None, {k: np.ascontiguousarray(v) for k, v in used.items()})
    model = ir.from_proto(proto)
    prepare_for_torch(model)
    module = Program(model).build([None] * len(used), flat=True)
    assert module.code.count("scaled_dot_product_attention(") == 1 and "softmax" not in module.code
    (actual,) = module(*(torch.from_numpy(np.ascontiguousarray(value)) for value in used.values()))
    np.testing.assert_allclose(actual.numpy(), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("text", LEFT.values(), ids=LEFT)
def test_what_could_be_another_thing_is_left(text: str) -> None:
    model = ir.from_proto(parsed(text))
    before = [node.op_type for node in model.graph]
    find_attention(model)
    assert [node.op_type for node in model.graph] == before


def test_a_second_run_changes_nothing() -> None:
    model = ir.from_proto(parsed(JOINED))
    find_attention(model)
    once = [node.op_type for node in model.graph]
    find_attention(model)
    assert [node.op_type for node in model.graph] == once
