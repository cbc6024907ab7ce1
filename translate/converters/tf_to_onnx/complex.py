"""Complex numbers, as real ones with a last axis of two: the real and the imaginary part, as ONNX's DFT has them.

What TensorFlow calls `[..., n]` is `[..., n, 2]` here. Operations that take or return complex numbers are in the domain
`source.COMPLEX`, so that none of them is taken for its real namesake.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np
import onnx_ir as ir

from translate.converters.tf_to_onnx import index, reduce, shape, tensor
from translate.converters.tf_to_onnx.build import Host, cast, like, op, rank
from translate.converters.tf_to_onnx.math import atan2
from translate.converters.tf_to_onnx.source import COMPLEX
from translate.converters.tf_to_onnx.table import TABLE

_INT64 = ir.DataType.INT64
_FIRST, _SECOND = np.int64(0), np.int64(1)


_Lowering = TypeVar("_Lowering", bound=Callable[..., Any])


def lower(*op_types: str) -> Callable[[_Lowering], _Lowering]:
    """Register the decorated function for operations on complex numbers."""
    return TABLE.lower(*op_types, domain=COMPLEX)


def _real(x: ir.Value) -> ir.Value:
    return op.Gather(x, _FIRST, axis=-1)


def _imaginary(x: ir.Value) -> ir.Value:
    return op.Gather(x, _SECOND, axis=-1)


def _pair(real: ir.Value, imaginary: ir.Value) -> ir.Value:
    return op.Concat(op.Unsqueeze(real, [-1]), op.Unsqueeze(imaginary, [-1]), axis=-1)


@lower("Complex")
def complex_(real: ir.Value, imaginary: ir.Value, *, Tout: int = 0) -> ir.Value:
    """A number of its two parts."""
    return _pair(real, imaginary)


@lower("Cast")
def cast_(x: ir.Value, *, DstT: int, Truncate: int = 0) -> ir.Value:
    """A real number as a complex one, or the real part of a complex one."""
    if ir.DataType(DstT) not in (ir.DataType.COMPLEX64, ir.DataType.COMPLEX128):
        return cast(_real(x), DstT)
    double = ir.DataType(DstT) is ir.DataType.COMPLEX128
    real = cast(x, ir.DataType.DOUBLE if double else ir.DataType.FLOAT)
    return _pair(real, op.Mul(real, like(real, 0)))


@lower("Real")
def real(x: ir.Value, *, Tout: int = 0) -> ir.Value:
    """The real part."""
    return _real(x)


@lower("Imag")
def imaginary(x: ir.Value, *, Tout: int = 0) -> ir.Value:
    """The imaginary part."""
    return _imaginary(x)


@lower("Conj")
def conjugate(x: ir.Value) -> ir.Value:
    """The imaginary part with the other sign."""
    return op.Mul(x, like(x, [1, -1]))


@lower("ComplexAbs")
def absolute(x: ir.Value, *, Tout: int = 0) -> ir.Value:
    """The magnitude."""
    return op.ReduceL2(x, [-1], keepdims=0)


@lower("Angle")
def angle(x: ir.Value, *, Tout: int = 0) -> Any:
    """The angle, in radians from -pi to pi."""
    return atan2(_imaginary(x), _real(x))


@lower("Add", "AddV2")
def add(x: ir.Value, y: ir.Value) -> ir.Value:
    """The sum."""
    return op.Add(x, y)


@lower("Sub")
def subtract(x: ir.Value, y: ir.Value) -> ir.Value:
    """The difference."""
    return op.Sub(x, y)


@lower("Neg")
def negate(x: ir.Value) -> ir.Value:
    """The number with the other sign."""
    return op.Neg(x)


@lower("Mul")
def multiply(x: ir.Value, y: ir.Value) -> ir.Value:
    """The product: (a + bi)(c + di) = (ac - bd) + (ad + bc)i."""
    a, b, c, d = _real(x), _imaginary(x), _real(y), _imaginary(y)
    return _pair(op.Sub(op.Mul(a, c), op.Mul(b, d)), op.Add(op.Mul(a, d), op.Mul(b, c)))


@lower("RealDiv", "Div")
def divide(x: ir.Value, y: ir.Value) -> ir.Value:
    """The quotient: x times the conjugate of y, by the square of y's magnitude."""
    return op.Div(multiply(x, conjugate(y)), op.ReduceSumSquare(y, [-1], keepdims=1))


@lower("Square")
def square(x: ir.Value) -> ir.Value:
    """The product with itself."""
    return multiply(x, x)


@lower("Exp")
def exponential(x: ir.Value) -> ir.Value:
    """The exponential: exp(a + bi) = exp(a)(cos b + i sin b)."""
    b = _imaginary(x)
    return op.Mul(op.Exp(op.Unsqueeze(_real(x), [-1])), _pair(op.Cos(b), op.Sin(b)))


@lower("BatchMatMulV2", "MatMul")
def mat_mul(
    x: ir.Value,
    y: ir.Value,
    *,
    adj_x: int = 0,
    adj_y: int = 0,
    transpose_a: int = 0,
    transpose_b: int = 0,
    grad_a: int = 0,
    grad_b: int = 0,
    grad_x: int = 0,
    grad_y: int = 0,
) -> ir.Value:
    """The product of matrices, either of which may be transposed or conjugated and transposed."""
    x, y = conjugate(x) if adj_x else x, conjugate(y) if adj_y else y
    a, b = _real(x), _imaginary(x)
    c, d = _real(y), _imaginary(y)
    if adj_x or transpose_a:
        a, b = _swapped(a), _swapped(b)
    if adj_y or transpose_b:
        c, d = _swapped(c), _swapped(d)
    return _pair(op.Sub(op.MatMul(a, c), op.MatMul(b, d)), op.Add(op.MatMul(a, d), op.MatMul(b, c)))


def _swapped(x: ir.Value) -> ir.Value:
    axes = list(range(rank(x)))
    return op.Transpose(x, perm=[*axes[:-2], axes[-1], axes[-2]])


def _transform(
    x: ir.Value, axis: int, length: ir.Value | None = None, *, inverse: int | None = None, onesided: int | None = None
) -> ir.Value:
    """ONNX's transform along `axis`, counted from the end, of numbers that have their last axis of one or two."""
    # ONNX wants an axis before the one that is transformed.
    lonely = rank(x) == 2
    found = op.DFT(op.Unsqueeze(x, [0]) if lonely else x, length, np.int64(axis), inverse=inverse, onesided=onesided)
    return op.Squeeze(found, [0]) if lonely else found


def _length(lengths: ir.Value, place: int) -> ir.Value:
    return op.Gather(cast(lengths, _INT64), np.int64(place), axis=0)


def _whole(x: ir.Value, length: ir.Value) -> ir.Value:
    """Return the spectrum `[..., length, 2]` of real numbers, given its first half, cut or filled with zeros to size.

    ONNX's transform back to real numbers takes no less.
    """
    size = op.Reshape(length, [1])
    half = op.Add(op.Div(size, np.asarray([2])), np.asarray([1]))
    missing = op.Max(op.Sub(half, op.Shape(x, start=-2, end=-1)), np.asarray([0]))
    x = op.Pad(x, op.Concat(np.asarray([0, 0]), missing, np.asarray([0]), axis=0), None, [-2, -1])
    x = op.Slice(x, [0], half, [-2])
    # The second half is the first one backwards, and conjugate, without its ends.
    return op.Concat(x, conjugate(op.Slice(x, op.Sub(size, half), [0], [-2], [-1])), axis=-2)


def _over(count: int, *, inverse: int | None = None) -> Any:
    def lowering(x: ir.Value) -> ir.Value:
        for axis in range(count):
            x = _transform(x, -2 - axis, inverse=inverse)
        return x

    lowering.__doc__ = f"The discrete Fourier transform over the last {count} axes{', backwards' if inverse else ''}."
    return lowering


def _real_over(count: int) -> Any:
    def lowering(x: ir.Value, lengths: ir.Value, *, Tcomplex: int = 0) -> ir.Value:
        x = _transform(op.Unsqueeze(x, [-1]), -2, _length(lengths, count - 1), onesided=1)
        for axis in range(1, count):
            x = _transform(x, -2 - axis, _length(lengths, count - 1 - axis))
        return x

    lowering.__doc__ = f"The first half of the spectrum of real numbers, over the last {count} axes."
    return lowering


def _real_back_over(count: int) -> Any:
    def lowering(x: ir.Value, lengths: ir.Value, *, Treal: int = 0) -> ir.Value:
        for axis in range(count - 1, 0, -1):
            x = _transform(x, -2 - axis, _length(lengths, count - 1 - axis), inverse=1)
        return _real(_transform(_whole(x, _length(lengths, count - 1)), -2, inverse=1))

    lowering.__doc__ = f"The real numbers of which a first half of a spectrum is, over the last {count} axes."
    return lowering


for _count, _name in ((1, "FFT"), (2, "FFT2D"), (3, "FFT3D")):
    lower(_name)(_over(_count))
    lower(f"I{_name}")(_over(_count, inverse=1))
    lower(f"R{_name}")(_real_over(_count))
    lower(f"IR{_name}")(_real_back_over(_count))


# What only moves numbers does so with pairs of them: an axis that is counted from the end has one more behind it.


def _axis(axis: int) -> int:
    return axis if axis >= 0 else axis - 1


@lower("Reshape")
def reshape(x: ir.Value, sizes: ir.Value) -> Any:
    """The numbers in another shape."""
    return shape.reshape(x, op.Concat(sizes, like(sizes, [2]), axis=0))


@lower("Transpose")
def transpose(x: ir.Value, perm: Host) -> ir.Value:
    """The axes in another order."""
    return op.Transpose(x, perm=[*map(int, perm), len(perm)])


@lower("ExpandDims")
def expand_dims(x: ir.Value, axis: Host) -> ir.Value:
    """A new axis."""
    return op.Unsqueeze(x, [_axis(int(axis.item()))])


@lower("Squeeze")
def squeeze(x: ir.Value, *, squeeze_dims: Sequence[int] = ()) -> Any:
    """Without axes of size one. Limits: they must be named."""
    return shape.squeeze(x, squeeze_dims=[_axis(axis) for axis in squeeze_dims])


@lower("ConcatV2")
def concat(*xs: ir.Value | Host) -> ir.Value:
    """One after the other."""
    *values, axis = xs
    assert isinstance(axis, np.ndarray)
    return op.Concat(*values, axis=_axis(int(axis.item())))


@lower("Pack")
def pack(*xs: ir.Value, axis: int = 0) -> Any:
    """Side by side on a new axis."""
    return tensor.pack(*xs, axis=_axis(axis))


@lower("StridedSlice")
def strided_slice(
    x: ir.Value,
    begin: Host,
    end: Host,
    strides: Host,
    *,
    begin_mask: int = 0,
    end_mask: int = 0,
    ellipsis_mask: int = 0,
    new_axis_mask: int = 0,
    shrink_axis_mask: int = 0,
) -> Any:
    """Python's slicing."""
    # The axis of the parts, whole, after whatever an ellipsis stands for.
    last = 1 << len(strides) if ellipsis_mask else 0
    added = [0] if ellipsis_mask else []
    return index.strided_slice(
        x,
        np.append(begin, added).astype(begin.dtype),
        np.append(end, added).astype(end.dtype),
        np.append(strides, [1] if ellipsis_mask else []).astype(strides.dtype),
        begin_mask=begin_mask | last,
        end_mask=end_mask | last,
        ellipsis_mask=ellipsis_mask,
        new_axis_mask=new_axis_mask,
        shrink_axis_mask=shrink_axis_mask,
    )


@lower("Slice")
def slice_(x: ir.Value, begin: Host, size: Host) -> Any:
    """A block of the given sizes; -1 is all that follows."""
    return index.slice_(x, np.append(begin, 0).astype(begin.dtype), np.append(size, -1).astype(size.dtype))


@lower("GatherV2")
def gather(x: ir.Value, indices: ir.Value, axis: Host, *, batch_dims: int = 0) -> Any:
    """Some along an axis."""
    return index.gather(x, indices, np.asarray(_axis(int(axis.item()))), batch_dims=batch_dims)


@lower("Pad")
def pad(x: ir.Value, paddings: ir.Value) -> Any:
    """Zeros around."""
    return tensor.pad(x, op.Concat(paddings, like(paddings, [[0, 0]]), axis=0))


@lower("Tile")
def tile(x: ir.Value, multiples: ir.Value) -> Any:
    """Several times over."""
    return tensor.tile(x, op.Concat(multiples, like(multiples, [1]), axis=0))


@lower("Sum")
def sum_(x: ir.Value, axes: Host, *, keep_dims: int = 0) -> Any:
    """The sum over axes."""
    return reduce.sum_(x, np.asarray([_axis(axis) for axis in axes.reshape(-1).tolist()]), keep_dims=keep_dims)


@lower("Mean")
def mean(x: ir.Value, axes: Host, *, keep_dims: int = 0) -> Any:
    """The mean over axes."""
    return reduce.mean(x, np.asarray([_axis(axis) for axis in axes.reshape(-1).tolist()]), keep_dims=keep_dims)


@lower("Shape")
def shape_(x: ir.Value, *, out_type: int = int(ir.DataType.INT32)) -> ir.Value:
    """The sizes."""
    return cast(op.Shape(x, end=-1), out_type)


@lower("ZerosLike")
def zeros_like(x: ir.Value) -> Any:
    """Zeros of the same shape."""
    return shape.zeros_like(x)
