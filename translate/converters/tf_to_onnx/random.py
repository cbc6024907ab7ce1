"""Random numbers: drawn anew in each run, so that only their distribution is the same."""

from __future__ import annotations

import onnx_ir as ir

from translate.converters.tf_to_onnx.build import cast, like, op
from translate.converters.tf_to_onnx.table import lower


def _zeros(shape: ir.Value, dtype: int) -> ir.Value:
    return op.Expand(op.value(ir.DataType(dtype).numpy().type(0)), cast(shape, ir.DataType.INT64))


def _seed(seed: int, seed2: int) -> float | None:
    return float(seed2 or seed) if seed or seed2 else None


@lower("RandomUniform", deterministic=False)
def random_uniform(shape: ir.Value, *, dtype: int, seed: int = 0, seed2: int = 0) -> ir.Value:
    """Between 0 and 1, each number as likely."""
    return op.RandomUniformLike(_zeros(shape, dtype), seed=_seed(seed, seed2))


@lower("RandomStandardNormal", deterministic=False)
def random_normal(shape: ir.Value, *, dtype: int, seed: int = 0, seed2: int = 0) -> ir.Value:
    """Normally distributed, mean 0 and variance 1."""
    return op.RandomNormalLike(_zeros(shape, dtype), seed=_seed(seed, seed2))


@lower("RandomUniformInt", deterministic=False)
def random_integers(shape: ir.Value, low: ir.Value, high: ir.Value, *, seed: int = 0, seed2: int = 0) -> ir.Value:
    """Whole numbers from `low` up to before `high`, each as likely."""
    assert low.dtype is not None
    part = op.RandomUniformLike(_zeros(shape, int(ir.DataType.DOUBLE)), seed=_seed(seed, seed2))
    wide = cast(op.Sub(high, low), ir.DataType.DOUBLE)
    return op.Add(low, cast(op.Floor(op.Mul(part, wide)), low.dtype))


@lower("Multinomial", deterministic=False)
def multinomial(
    logits: ir.Value, count: ir.Value, *, seed: int = 0, seed2: int = 0, output_dtype: int = int(ir.DataType.INT64)
) -> ir.Value:
    """`count` classes for each row of `logits` [B, C], by the largest of logits plus Gumbel noise."""
    shape = op.Concat(op.Shape(logits, start=0, end=1), op.Reshape(cast(count, ir.DataType.INT64), [1]),
                      op.Shape(logits, start=1, end=2), axis=0)  # fmt: skip
    # The logarithm of 0 would be infinite.
    uniform = op.RandomUniformLike(op.Expand(like(logits, 0), shape), low=1e-7, high=1.0, seed=_seed(seed, seed2))
    noise = op.Neg(op.Log(op.Neg(op.Log(uniform))))
    return cast(op.ArgMax(op.Add(op.Unsqueeze(logits, [1]), noise), axis=2, keepdims=0), output_dtype)
