"""Attention: symbolic sizes, shared heads, caches, queries that may attend to nothing; rotary embedding."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from tests.converters.nodes import normal
from tests.converters.onnx_to_tf.cases import gradients, run


def of_torch(
    q: np.ndarray, k: np.ndarray, v: np.ndarray, mask: np.ndarray | None = None, causal: bool = False
) -> np.ndarray:
    allowed = None if mask is None else torch.tensor(mask)
    y: np.ndarray = torch.nn.functional.scaled_dot_product_attention(
        *map(torch.tensor, (q, k, v)), attn_mask=allowed, is_causal=causal, enable_gqa=True
    ).numpy()
    return y


@pytest.mark.parametrize("dynamic", [False, True])
@pytest.mark.parametrize("kv_heads", [1, 2, 4])
@pytest.mark.parametrize("kind", ["plain", "causal", "bool", "float"])
def test_attention_is_that_of_torch(kind: str, kv_heads: int, dynamic: bool) -> None:
    q, k, v = normal(2, 4, 5, 8), normal(2, kv_heads, 5, 8), normal(2, kv_heads, 5, 6)
    mask = {"bool": normal(2, 1, 5, 5) > -0.5, "float": normal(4, 5, 5)}.get(kind)
    if kind == "bool" and mask is not None:
        mask[..., 0] = True
    inputs = [q, k, v] if mask is None else [q, k, v, mask]
    expected = of_torch(q, k, v, mask, kind == "causal")
    y, *_ = run("Attention", inputs, {"is_causal": int(kind == "causal")}, 23, dynamic=dynamic)
    np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("dynamic", [False, True])
def test_three_axes_and_a_cache(dynamic: bool) -> None:
    q, k, v = normal(2, 3, 32), normal(2, 3, 16), normal(2, 3, 12)
    past_key, past_value = normal(2, 2, 4, 8), normal(2, 2, 4, 6)
    attributes = {"q_num_heads": 4, "kv_num_heads": 2, "is_causal": 1}
    inputs = [q, k, v, None, past_key, past_value]
    y, keys, values = run("Attention", inputs, attributes, 23, dynamic=dynamic, outputs=3)
    apart = q.reshape(2, 3, 4, 8).swapaxes(1, 2)
    all_keys = np.concatenate([past_key, k.reshape(2, 3, 2, 8).swapaxes(1, 2)], 2)
    all_values = np.concatenate([past_value, v.reshape(2, 3, 2, 6).swapaxes(1, 2)], 2)
    np.testing.assert_array_equal(keys, all_keys)
    np.testing.assert_array_equal(values, all_values)
    # The queries follow what is in the cache.
    expected = of_torch(apart, all_keys, all_values, np.tril(np.ones((3, 7), bool), 4))
    np.testing.assert_allclose(y, expected.swapaxes(1, 2).reshape(2, 3, 24), rtol=1e-4, atol=1e-5)


def test_a_query_that_may_attend_to_nothing_gives_zeros_and_no_gradient() -> None:
    inputs = [normal(1, 1, 2, 4), normal(1, 1, 3, 4), normal(1, 1, 3, 4), np.array([[True, True, False], [False] * 3])]
    y, *_ = run("Attention", inputs, None, 23)
    assert np.all(y[0, 0, 1] == 0)
    assert np.all(y[0, 0, 0] != 0)
    dq, dk, dv, *_ = gradients("Attention", [*inputs[:3], np.where(inputs[3], 0, -np.inf).astype(np.float32)], None, 23)
    assert all(np.isfinite(gradient).all() for gradient in (dq, dk, dv))
    assert np.all(dq[0, 0, 1] == 0)


def test_padding_of_an_external_cache() -> None:
    q, k, v = normal(2, 2, 1, 4), normal(2, 2, 6, 4), normal(2, 2, 6, 4)
    used = np.array([2, 5])
    y, *_ = run("Attention", [q, k, v, None, None, None, used], {"is_causal": 1}, 24)
    expected = of_torch(q, k, v, (np.arange(6) < used[:, None])[:, None, None])
    np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("interleaved", [0, 1])
@pytest.mark.parametrize("rotated", [0, 4])
@pytest.mark.parametrize("dynamic", [False, True])
def test_rotation_by_complex_numbers(interleaved: int, rotated: int, dynamic: bool) -> None:
    x, size = normal(2, 3, 5, 8), rotated or 8
    angles = np.arange(10)[:, None] / 100 ** (np.arange(size // 2) / size)
    positions = np.array([[0, 1, 2, 3, 4], [5, 6, 7, 8, 9]])
    inputs = [x, np.cos(angles).astype(np.float32), np.sin(angles).astype(np.float32), positions]
    attributes = {"interleaved": interleaved, "rotary_embedding_dim": rotated}
    (y,) = run("RotaryEmbedding", inputs, attributes, 23, dynamic=dynamic)
    head = x[..., :size]
    one, other = (head[..., ::2], head[..., 1::2]) if interleaved else (head[..., : size // 2], head[..., size // 2 :])
    turned = (one + 1j * other) * np.exp(1j * angles[positions])[:, None]
    parts = [turned.real, turned.imag]
    expected = np.stack(parts, -1).reshape(head.shape) if interleaved else np.concatenate(parts, -1)
    np.testing.assert_allclose(y, np.concatenate([expected, x[..., size:]], -1), rtol=1e-4, atol=1e-5)
    assert math.isclose(float(np.linalg.norm(y)), float(np.linalg.norm(x)), rel_tol=1e-5)
