"""Operators of PyTorch in ONNX that its exporter lacks, or that it writes so that they compute something else.

- Resize by a scale factor that is no whole number: ONNX keeps the factor in float32, so that a size of 0.29 * 100 comes
  out one larger and a nearest neighbour one off, and `align_corners` means the unrounded size.
- Adaptive pools: torchlib has none of the maximum and none in three dimensions; those of the average it decomposes
  into a number of steps that depends on the size, which must not be dynamic then.
- embedding_bag: torchlib's is a loop over sequences.
- Distances, stable sorting, searching, cumulative products: torchlib has none. Its amax and amin need an axis.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnx_ir as ir
import torch
from onnxscript import INT64
from onnxscript.function_libs.torch_lib.tensor_typing import TReal
from onnxscript.onnx_opset import opset20 as op

from translate.errors import UnsupportedError

Translation = Callable[..., Any]
# PyTorch multiplies with the reciprocal of a factor: up to here that is the division by it, whatever the size.
_LARGEST_SAFE_FACTOR = 40


def translations() -> dict[Callable[..., Any], Translation]:
    """Return these operators for `torch.onnx.export(custom_translation_table=...)`."""
    aten = torch.ops.aten
    table: dict[Callable[..., Any], Translation] = {
        aten.embedding_bag.default: _embedding_bag,
        aten.embedding_bag.padding_idx: _embedding_bag,
        aten._embedding_bag.default: _embedding_bag,
        aten._embedding_bag_forward_only.default: _embedding_bag,
        aten._cdist_forward.default: _cdist,
        aten.sort.stable: _stable_sort,
        aten.searchsorted.Tensor: _searchsorted,
        aten.amax.default: _greatest,
        aten.amin.default: _least,
        torch.ops.prims.prod.default: _product,
    }
    for rank, linear in enumerate(("linear1d", "bilinear2d", "trilinear3d"), start=1):
        table |= {
            getattr(aten, f"upsample_nearest{rank}d").vec: _nearest,
            getattr(aten, f"_upsample_nearest_exact{rank}d").vec: _nearest_exact,
            getattr(aten, f"upsample_{linear}").vec: _linear,
            getattr(aten, f"adaptive_avg_pool{rank}d").default: _adaptive_average,
            getattr(aten, f"adaptive_max_pool{rank}d").default: _adaptive_maximum,
        }
    table |= {
        aten.upsample_bicubic2d.vec: _cubic,
        aten._adaptive_avg_pool2d.default: _adaptive_average,
        aten._adaptive_avg_pool3d.default: _adaptive_average,
    }
    return table


# --- resize -----------------------------------------------------------------------------------------------------


def _nearest(x: TReal, sizes: INT64 | None = None, factors: Sequence[float] | None = None) -> Any:
    return _nearest_neighbours(x, sizes, factors, offset=0.0)


def _nearest_exact(x: TReal, sizes: INT64 | None = None, factors: Sequence[float] | None = None) -> Any:
    return _nearest_neighbours(x, sizes, factors, offset=0.5)


def _nearest_neighbours(x: Any, sizes: Any, factors: Sequence[float] | None, offset: float) -> Any:
    """Take the element at floor((i + offset) * in / out) along each spatial axis of x [N, C, *spatial].

    The quotient is rounded to float32 as PyTorch does, since a whole number may come out just below itself.
    """
    if factors is not None and all(_is_safe(factor) for factor in factors):
        scales = op.Constant(value_floats=[1.0, 1.0, *factors])
        corner = "asymmetric"
        return op.Resize(x, None, scales, mode="nearest", coordinate_transformation_mode=corner, nearest_mode="floor")
    for number in range(len(x.shape) - 2):
        axis = number + 2
        size = op.Shape(x, start=axis, end=axis + 1)
        if factors is None:
            wanted = op.Slice(sizes, [number], [number + 1], [0])
            step = op.Div(op.Cast(size, to=ir.DataType.FLOAT), op.Cast(wanted, to=ir.DataType.FLOAT))
        else:
            wanted = _scaled(size, factors[number])
            step = op.Constant(value_floats=[1 / factors[number]])
        steps = op.Range(op.Constant(value_int=0), op.Squeeze(wanted), op.Constant(value_int=1))
        at = op.Floor(op.Mul(op.Add(op.Cast(steps, to=ir.DataType.FLOAT), op.Constant(value_float=offset)), step))
        index = op.Min(op.Cast(at, to=ir.DataType.INT64), op.Sub(size, op.Constant(value_int=1)))
        x = op.Gather(x, index, axis=axis)
    return x


def _is_safe(factor: float) -> bool:
    return float(factor).is_integer() and 1 <= factor <= _LARGEST_SAFE_FACTOR


def _scaled(size: Any, factor: float) -> Any:
    """Return size * factor, rounded down in float64 as PyTorch does: int64 [1]."""
    exact = op.Constant(value=ir.tensor(np.array(factor, np.float64)))
    return op.Cast(op.Mul(op.Cast(size, to=ir.DataType.DOUBLE), exact), to=ir.DataType.INT64)


def _linear(
    x: TReal, sizes: INT64 | None = None, align_corners: bool = False, factors: Sequence[float] | None = None
) -> Any:
    return _interpolated(x, sizes, align_corners, factors, mode="linear")


def _cubic(
    x: TReal, sizes: INT64 | None = None, align_corners: bool = False, factors: Sequence[float] | None = None
) -> Any:
    return _interpolated(x, sizes, align_corners, factors, mode="cubic")


def _interpolated(x: Any, sizes: Any, align_corners: bool, factors: Sequence[float] | None, mode: str) -> Any:
    half_pixel = "half_pixel" if mode == "cubic" else "pytorch_half_pixel"
    transform = "align_corners" if align_corners else half_pixel
    scales = None
    if factors is not None and align_corners:
        # Here PyTorch does not use the factors any further.
        parts = [_scaled(op.Shape(x, start=axis, end=axis + 1), f) for axis, f in enumerate(factors, start=2)]
        sizes = parts[0] if len(parts) == 1 else op.Concat(*parts, axis=0)
    elif factors is not None:
        scales = op.Constant(value_floats=[1.0, 1.0, *factors])
    if scales is None:
        sizes = op.Concat(op.Shape(x, start=0, end=2), op.Cast(sizes, to=ir.DataType.INT64), axis=0)
    else:
        sizes = None
    return op.Resize(x, None, scales, sizes, mode=mode, coordinate_transformation_mode=transform, cubic_coeff_a=-0.75)


# --- adaptive pools ---------------------------------------------------------------------------------------------


def _adaptive_average(x: TReal, output_size: Sequence[int]) -> Any:
    return _adaptive(x, output_size, lambda part, axis: op.ReduceMean(part, [axis], keepdims=1))


def _adaptive_maximum(x: TReal, output_size: Sequence[int]) -> Any:
    """Return the maxima alone: ONNX has no operator for where they are."""
    return (_adaptive(x, output_size, lambda part, axis: op.ReduceMax(part, [axis], keepdims=1)),)


def _adaptive(x: Any, output_size: Sequence[int], reduce: Callable[[Any, int], Any]) -> Any:
    """Reduce [..., *spatial] from i * in // out up to, not including, ceil((i + 1) * in / out), axis by axis.

    (The average of a window's rows' averages is the window's: all its rows have the same number of elements.)
    """
    if not all(isinstance(count, int) for count in output_size):
        raise UnsupportedError("an adaptive pool to a number of elements that is computed")
    first = len(x.shape) - len(output_size)
    for axis, count in enumerate(output_size, start=first):
        if count == 1:
            x = reduce(x, axis)
            continue
        size = op.Shape(x, start=axis, end=axis + 1)
        parts = []
        for index in range(count):
            begin = op.Div(op.Mul(size, op.Constant(value_int=index)), op.Constant(value_int=count))
            end = op.Div(
                op.Add(op.Mul(size, op.Constant(value_int=index + 1)), op.Constant(value_int=count - 1)),
                op.Constant(value_int=count),
            )
            parts.append(reduce(op.Slice(x, begin, end, [axis]), axis))
        x = op.Concat(*parts, axis=axis)
    return x


# --- the rest ---------------------------------------------------------------------------------------------------


def _embedding_bag(
    weight: TReal,
    indices: INT64,
    offsets: INT64,
    scale_grad_by_freq: bool = False,
    mode: int = 0,
    sparse: bool = False,
    per_sample_weights: TReal | None = None,
    include_last_offset: bool = False,
    padding_idx: int | None = None,
) -> Any:
    """Sum (mode 0), average (1) or maximise (2) the rows of `weight` [rows, size] in bags: [bags, size].

    Bag i holds `indices` [n] from offsets[i] up to offsets[i + 1]; an empty one is zero.
    """
    if include_last_offset:
        offsets = op.Slice(offsets, [0], [-1], [0])
    # -1 is what the inner operators say for none.
    padded = padding_idx is not None and padding_idx >= 0
    if padded:
        kept = op.Not(op.Equal(indices, op.CastLike(op.Constant(value_int=padding_idx), indices)))
    count, bags = op.Shape(indices), op.Shape(offsets)
    positions = op.Range(op.Constant(value_int=0), op.Squeeze(count), op.Constant(value_int=1))
    begun = op.GreaterOrEqual(op.Unsqueeze(positions, [1]), op.Unsqueeze(op.Cast(offsets, to=ir.DataType.INT64), [0]))
    # The bag of each position [n, 1]: the last one that has begun there.
    bag = op.Sub(op.ReduceSum(op.Cast(begun, to=ir.DataType.INT64), [1], keepdims=1), op.Constant(value_ints=[1]))
    rows = op.Gather(weight, indices, axis=0)
    if per_sample_weights is not None:
        rows = op.Mul(rows, op.Unsqueeze(per_sample_weights, [1]))
    ones = op.Expand(op.CastLike(op.Constant(value_float=1.0), weight), count)
    zero, lowest = (op.CastLike(op.Constant(value_float=value), weight) for value in (0.0, -np.inf))
    if padded:
        ones = op.Where(kept, ones, zero)
        nothing = lowest if mode == 2 else zero
        rows = op.Where(op.Unsqueeze(kept, [1]), rows, nothing)
    size = op.Concat(bags, op.Shape(weight, start=1, end=2), axis=0)
    sizes = op.ScatterND(op.Expand(zero, bags), bag, ones, reduction="add")
    filled = op.Unsqueeze(op.Greater(sizes, zero), [1])
    if mode == 2:
        result = op.Where(filled, op.ScatterND(op.Expand(lowest, size), bag, rows, reduction="max"), zero)
    else:
        result = op.ScatterND(op.Expand(zero, size), bag, rows, reduction="add")
    if mode == 1:
        one = op.CastLike(op.Constant(value_float=1.0), weight)
        result = op.Div(result, op.Unsqueeze(op.Max(sizes, one), [1]))
    return result, op.Squeeze(bag, [1]), op.Cast(sizes, to=ir.DataType.INT64), bags


def _cdist(x: TReal, y: TReal, p: float, compute_mode: int | None = None) -> Any:
    """Return the p-norm of the difference of every row of x [*, P, size] and every row of y [*, R, size]: [*, P, R]."""
    difference = op.Sub(op.Unsqueeze(x, [-2]), op.Unsqueeze(y, [-3]))
    if p == 1:
        return op.ReduceL1(difference, [-1], keepdims=0)
    if p == 2:
        return op.ReduceL2(difference, [-1], keepdims=0)
    if p == float("inf"):
        return op.ReduceMax(op.Abs(difference), [-1], keepdims=0)
    if p == 0:
        differs = op.Not(op.Equal(difference, op.CastLike(op.Constant(value_float=0.0), difference)))
        return op.ReduceSum(op.CastLike(differs, difference), [-1], keepdims=0)
    power, root = (op.CastLike(op.Constant(value_float=float(value)), difference) for value in (p, 1 / p))
    return op.Pow(op.ReduceSum(op.Pow(op.Abs(difference), power), [-1], keepdims=0), root)


def _stable_sort(x: TReal, stable: bool = False, dim: int = -1, descending: bool = False) -> Any:
    """Sort along `dim`: values and indices. Among equals TopK takes the lower index first, and so is stable."""
    axis = dim % len(x.shape)
    return op.TopK(x, op.Shape(x, start=axis, end=axis + 1), axis=axis, largest=int(descending), sorted=1)


def _searchsorted(
    boundaries: TReal,
    x: TReal,
    out_int32: bool = False,
    right: bool = False,
    side: str | None = None,
    sorter: INT64 | None = None,
) -> Any:
    """Count the boundaries [size] or [*, size] below x (or, `right`, not above it): the shape of x."""
    if sorter is not None:
        boundaries = op.GatherElements(boundaries, sorter, axis=-1)
    right = right or side == "right"
    values = op.Unsqueeze(x, [-1])
    if len(boundaries.shape) > 1:
        boundaries = op.Unsqueeze(boundaries, [-2])
    below = op.LessOrEqual(boundaries, values) if right else op.Less(boundaries, values)
    counts = op.ReduceSum(op.Cast(below, to=ir.DataType.INT64), [-1], keepdims=0)
    return op.Cast(counts, to=ir.DataType.INT32) if out_int32 else counts


def _product(x: TReal, dims: Sequence[int] | None = None, output_dtype: int = -1) -> Any:
    if output_dtype != -1:
        raise UnsupportedError("a product in another dtype than its operand's")
    return op.ReduceProd(x, None if dims is None else op.Constant(value_ints=list(dims)), keepdims=0)


def _greatest(x: TReal, dim: Sequence[int] = (), keepdim: bool = False) -> Any:
    return op.ReduceMax(x, _axes(dim), keepdims=keepdim)


def _least(x: TReal, dim: Sequence[int] = (), keepdim: bool = False) -> Any:
    return op.ReduceMin(x, _axes(dim), keepdims=keepdim)


def _axes(dims: Sequence[int]) -> Any:
    """Return the axes of a reduction; none of them are all."""
    return op.Constant(value_ints=list(dims)) if dims else None
