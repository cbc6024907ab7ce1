"""Functions that ONNX has not: nodes of a domain of our own, which only PyTorch's table reads.

Such a model is no ONNX that others can run; `onnx_file.py` refuses to write it. No evaluator of ONNX can fold such a
node, hence `deterministic=False`.
"""

from __future__ import annotations

from typing import Any

import onnx_ir as ir

from translate.converters.operators.functions import FUNCTIONS
from translate.converters.tf_to_onnx.build import dims, op
from translate.converters.tf_to_onnx.table import lower
from translate.errors import UnsupportedError

Shape = ir.Shape | None


def call(name: str, *inputs: ir.Value, shape: Shape, dtype: ir.DataType | None = None, **attributes: Any) -> ir.Value:
    """Add a node of our own domain; its result has the dtype of its first input where `dtype` is not given."""
    result: ir.Value = op.node(name, *inputs, domain=FUNCTIONS, **attributes)
    return _typed(result, dtype or inputs[0].dtype, shape)


def _typed(value: ir.Value, dtype: ir.DataType | None, shape: Shape) -> ir.Value:
    assert dtype is not None
    value.type, value.shape = ir.TensorType(dtype), shape
    return value


def without(x: ir.Value, count: int) -> Shape:
    """Return the shape of `x` without its last `count` axes."""
    return None if x.shape is None else ir.Shape(list(x.shape)[: len(x.shape) - count])


def _unary(name: str) -> None:
    def lowering(x: ir.Value) -> ir.Value:
        return call(name, x, shape=x.shape)

    lowering.__doc__ = "PyTorch's function; ONNX has none."
    lower(name, deterministic=False)(lowering)


def _binary(name: str) -> None:
    def lowering(x: ir.Value, y: ir.Value) -> ir.Value:
        with op.aside():
            shape = op.Add(x, y).shape
        return call(name, x, y, shape=shape)

    lowering.__doc__ = "PyTorch's function; ONNX has none."
    lower(name, deterministic=False)(lowering)


for _name in (
    *("Lgamma", "Digamma", "Erfinv", "Ndtri", "BesselI0", "BesselI0e", "BesselI1", "BesselI1e", "BesselJ0", "BesselJ1"),
    *("BesselK0", "BesselK0e", "BesselK1", "BesselK1e", "BesselY0", "BesselY1"),
):
    _unary(_name)
for _name in ("Igamma", "Igammac", "Zeta", "NextAfter"):
    _binary(_name)


@lower("Cholesky", deterministic=False)
def cholesky(x: ir.Value) -> ir.Value:
    """The lower triangle whose product with its transpose is `x` `[..., n, n]`."""
    return call("Cholesky", x, shape=x.shape)


@lower("MatrixTriangularSolve", deterministic=False)
def triangular_solve(x: ir.Value, y: ir.Value, *, lower: int = 1, adjoint: int = 0) -> ir.Value:
    """The product of the inverse of a triangle `[..., n, n]` and `y` `[..., n, k]`."""
    return call("MatrixTriangularSolve", x, y, shape=product_shape(x, y), lower=lower, adjoint=adjoint)


def product_shape(x: ir.Value, y: ir.Value) -> Shape:
    """Return the shape of the product of square matrices `x` and `y`."""
    with op.aside():
        shape: Shape = op.MatMul(x, y).shape
    return shape


@lower("LogMatrixDeterminant", deterministic=False)
def log_determinant(x: ir.Value) -> Any:
    """The sign of the determinant, and the logarithm of its size."""
    sign, logarithm = op.node("LogMatrixDeterminant", x, domain=FUNCTIONS, outputs=2)
    return _typed(sign, x.dtype, without(x, 2)), _typed(logarithm, x.dtype, without(x, 2))


@lower("SelfAdjointEigV2", deterministic=False)
def eigenvalues(x: ir.Value, *, compute_v: int = 1) -> Any:
    """The eigenvalues of symmetric matrices, rising. Limits: no vectors, of which no sign is right."""
    if compute_v:
        raise UnsupportedError("an eigenvector has either sign, each library its own")
    return call("EigenvaluesOfSymmetric", x, shape=without(x, 1)), op.value([])


@lower("Svd", deterministic=False)
def singular_values(x: ir.Value, *, compute_uv: int = 1, full_matrices: int = 0) -> Any:
    """The singular values, falling. Limits: no vectors, of which no sign is right."""
    if compute_uv:
        raise UnsupportedError("a singular vector has either sign, each library its own")
    rows, columns = dims(x)[-2:]
    count = None if rows is None or columns is None else min(rows, columns)
    outer = without(x, 2)
    shape = None if outer is None else ir.Shape([*outer, count])
    return call("SingularValues", x, shape=shape), op.value([]), op.value([])


@lower("Bitcast", deterministic=False)
def bitcast(x: ir.Value, *, type: int) -> ir.Value:
    """The same bits as another dtype. Limits: of the same width."""
    to = ir.DataType(type)
    assert x.dtype is not None
    if x.dtype.bitwidth != to.bitwidth:
        raise UnsupportedError(f"the bits of {x.dtype.name.lower()} as {to.name.lower()}, which changes the shape")
    return call("Bitcast", x, shape=x.shape, dtype=to, to=int(to))
