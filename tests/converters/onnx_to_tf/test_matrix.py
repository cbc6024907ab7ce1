"""Matrix products of all ranks, transposed, with unknown and with no rows."""

from __future__ import annotations

import numpy as np
import pytest

from tests.converters.onnx_to_tf.cases import check, gradients, one_node, translated
from translate.converters.onnx_to_tf.table import FUSED

RANDOM = np.random.default_rng(0)


def floats(*shape: int) -> np.ndarray:
    return RANDOM.standard_normal(shape).astype(np.float32)


SHAPES = [
    ((3,), (3,)),
    ((3,), (3, 4)),
    ((2, 3), (3,)),
    ((2, 5, 3), (3,)),
    ((3,), (2, 3, 4)),
    ((2, 3), (3, 4)),
    ((5, 2, 3), (3, 4)),
    ((6, 5, 2, 3), (3, 4)),
    ((5, 2, 3), (5, 3, 4)),
    ((2, 3), (5, 3, 4)),
    ((6, 1, 2, 3), (5, 3, 4)),
    ((0, 2, 3), (3, 4)),
    ((2, 0, 3), (3, 4)),
    ((2, 2, 0), (0, 4)),
]


@pytest.mark.parametrize("constant", [False, True])
@pytest.mark.parametrize(("a", "b"), SHAPES)
def test_products_of_all_ranks(a: tuple[int, ...], b: tuple[int, ...], constant: bool) -> None:
    x, y = floats(*a), floats(*b)
    check("MatMul", [x, y], expected=[x @ y], known=[1] if constant else ())


@pytest.mark.parametrize(("first", "second"), [(1, 0), (0, 1), (1, 1)])
@pytest.mark.parametrize(("a", "b"), [pair for pair in SHAPES if len(pair[0]) > 1 and len(pair[1]) > 1])
def test_transposed_products(a: tuple[int, ...], b: tuple[int, ...], first: int, second: int) -> None:
    x, y = floats(*a), floats(*b)
    inputs = [x.swapaxes(-1, -2).copy() if first else x, y.swapaxes(-1, -2).copy() if second else y]
    attributes = {"transA": first, "transB": second}
    check("MatMul", inputs, attributes, 1, domain=FUSED, expected=[x @ y], known=[1])


def test_a_product_keeps_the_static_sizes() -> None:
    model = one_node("MatMul", [floats(2, 7, 3), floats(3, 4)], known=[1])
    for dim, size in zip(model.graph.input[0].type.tensor_type.shape.dim[1:], (7, 3), strict=True):
        dim.dim_value = size
    function = translated(model)
    assert function.structured_outputs["y0"].shape.as_list() == [None, 7, 4]
    # A single unknown size is left to the reshape: nothing computes shapes.
    assert "Shape" not in {operation.type for operation in function.graph.get_operations()}


@pytest.mark.parametrize("dtype", ["uint32", "uint64", "int64"])
def test_products_of_integers_wrap_around(dtype: str) -> None:
    x = np.array([[2**31, 3], [4, 5]], dtype)
    check("MatMul", [x, x], expected=[x @ x])


@pytest.mark.parametrize("c", [(3,), (1, 3), (2, 3), (2, 1), (1,), ()])
@pytest.mark.parametrize("transposed", [0, 1])
@pytest.mark.parametrize("constant", [False, True])
def test_gemm_with_any_c(c: tuple[int, ...], transposed: int, constant: bool) -> None:
    a, b = floats(2, 4), floats(4, 3)
    inputs = [a.T.copy() if transposed else a, b.T.copy() if transposed else b, floats(*c)]
    attributes = {"alpha": 0.5, "beta": 2.0, "transA": transposed, "transB": transposed}
    check("Gemm", inputs, attributes, expected=[0.5 * a @ b + 2 * inputs[2]], known=[1, 2] if constant else ())


@pytest.mark.parametrize(
    ("equation", "shapes"),
    [
        ("...ij,...jk->...ik", [(2, 3, 4), (2, 4, 5)]),
        ("ii->i", [(3, 3)]),
        ("ij,jk,kl", [(2, 3), (3, 4), (4, 5)]),
        ("bA, aA", [(2, 3), (4, 3)]),
        ("i,j->ij", [(2,), (3,)]),
        ("bhqd,bhkd->bhqk", [(2, 2, 3, 4), (2, 2, 5, 4)]),
    ],
)
def test_einsum(equation: str, shapes: list[tuple[int, ...]]) -> None:
    arrays = [floats(*shape) for shape in shapes]
    check("Einsum", arrays, {"equation": equation}, expected=[np.asarray(np.einsum(equation, *arrays))])


def test_gradients_of_a_product() -> None:
    a, b = floats(5, 2, 3), floats(3, 4)
    by_a, by_b = gradients("MatMul", [a, b])
    np.testing.assert_allclose(by_a, np.broadcast_to(b.sum(1), a.shape), rtol=1e-5)
    np.testing.assert_allclose(by_b, np.broadcast_to(a.sum((0, 1))[:, None], b.shape), rtol=1e-5, atol=1e-6)
