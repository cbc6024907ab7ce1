"""Attention: as PyTorch's own function, with open sizes, exported, and where a query may attend to nothing."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
import torch

from tests.converters.nodes import normal
from tests.converters.onnx_to_torch.cases import check, code, exported, run


def test_it_is_torchs_own_function() -> None:
    text = code("Attention", [normal(2, 3, 4, 8), normal(2, 3, 6, 8), normal(2, 3, 6, 5)], {"is_causal": 1}, 23)
    assert "scaled_dot_product_attention(x0, x1, x2, is_causal = True)" in text
    assert "matmul" not in text


@pytest.mark.parametrize(
    ("attributes", "masked"),
    [({}, True), ({"is_causal": 1}, False), ({"is_causal": 1}, True), ({"scale": 0.3, "softcap": 2.0}, False)],
)
def test_open_sizes(attributes: dict[str, Any], masked: bool) -> None:
    arrays: list[np.ndarray | None] = [normal(2, 3, 4, 8), normal(2, 3, 6, 8), normal(2, 3, 6, 5)]
    arrays += [normal(4, 6)] if masked else []
    check("Attention", arrays, attributes, 23)


def test_past_and_shared_heads_of_packed_inputs() -> None:
    past = [normal(2, 2, 5, 8), normal(2, 2, 5, 8)]
    arrays = [normal(2, 4, 32), normal(2, 4, 16), normal(2, 4, 16), None, *past]
    attributes = {"q_num_heads": 4, "kv_num_heads": 2, "is_causal": 1}
    packed = {0: ("n", "q", 32), 1: ("n", "k", 16), 2: ("n", "k", 16)}
    dims = packed | {4: ("n", 2, "p", 8), 5: ("n", 2, "p", 8)}
    check("Attention", arrays, attributes, 23, outputs=3, dims=dims)


@pytest.mark.parametrize("softcap", [0.0, 3.0])
def test_a_query_that_may_attend_to_nothing_gives_zeros(softcap: float) -> None:
    mask = np.array([[True, False, True], [False, False, False]])
    for allowed in (mask, np.where(mask, 0, -np.inf).astype(np.float32)):
        inputs = [normal(1, 1, 2, 4), normal(1, 1, 3, 4), normal(1, 1, 3, 4), allowed]
        (y,) = run("Attention", inputs, {"softcap": softcap}, 23)
        assert np.abs(y[0, 0, 0]).max() > 0
        np.testing.assert_array_equal(y[0, 0, 1], 0)


def test_export_keeps_batch_and_lengths() -> None:
    model = onnx.parser.parse_model("""
        <ir_version: 10, opset_import: ["" : 23]>
        attend (float[n, s, 12] q, float[n, t, 12] k, float[n, t, 12] v, bool[n, 1, s, t] mask) => (float[n, s, 12] y) {
            y = Attention<q_num_heads = 3, kv_num_heads = 3>(q, k, v, mask)
        }""")
    program = exported(model)
    session = onnx.reference.ReferenceEvaluator(model)
    for n, s, t in [(1, 4, 5), (3, 2, 7)]:
        feeds = {"q": normal(n, s, 12), "k": normal(n, t, 12), "v": normal(n, t, 12)}
        feeds["mask"] = normal(n, 1, s, t) > -1
        (expected,) = session.run(None, feeds)
        actual = program(*map(torch.tensor, feeds.values()))
        np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("interleaved", [0, 1])
def test_rotary_embedding_with_open_sizes(interleaved: int) -> None:
    arrays = [normal(2, 3, 4, 8), normal(10, 3), normal(10, 3), np.array([[0, 1, 2, 3], [4, 9, 6, 7]])]
    check(
        "RotaryEmbedding",
        arrays,
        {"interleaved": interleaved, "rotary_embedding_dim": 6},
        23,
        dims={1: ("p", 3), 2: ("p", 3)},
    )
