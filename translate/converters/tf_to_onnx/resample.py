"""Images `[N, H, W, C]` resampled by weights: each size becomes the product with a matrix [out, in]."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Literal

import numpy as np
import onnx_ir as ir

from translate.converters.tf_to_onnx.build import cast, like, op
from translate.converters.tf_to_onnx.conv import back, channels_first
from translate.converters.tf_to_onnx.table import lower

_FLOAT, _INT64 = ir.DataType.FLOAT, ir.DataType.INT64
# From the number of pixels, int64 [1], before and after, and the axis (0 for rows, 1 for columns), to [out, in].
_Weights = Callable[[ir.Value, ir.Value, int], ir.Value]


def _resample(images: ir.Value, size: ir.Value, weights: _Weights) -> ir.Value:
    inner = channels_first(cast(images, _FLOAT), "NHWC")
    after = cast(size, _INT64)
    rows, columns = (
        weights(op.Shape(inner, start=axis + 2, end=axis + 3), op.Slice(after, [axis], [axis + 1]), axis)
        for axis in (0, 1)
    )
    return back(op.MatMul(op.MatMul(rows, inner), op.Transpose(columns, perm=[1, 0])), "NHWC")


def _numbers(count: ir.Value, axis: int) -> ir.Value:
    """Return the numbers from 0 up to before `count` [1], float32 [1, count] or, of axis 1, [count, 1]."""
    return op.Unsqueeze(cast(op.Range(np.int64(0), op.Squeeze(count, [0]), np.int64(1)), _FLOAT), [axis])


@lower("ResizeArea")
def resize_area(images: ir.Value, size: ir.Value, *, align_corners: int = 0) -> ir.Value:
    """The mean of the area that each new pixel covers; the result is float32."""
    one, zero = np.float32(1), np.float32(0)

    def weights(before: ir.Value, after: ir.Value, _: int) -> ir.Value:
        scale = op.Div(cast(before, _FLOAT), cast(after, _FLOAT))
        if align_corners:
            inner = op.Div(op.Sub(cast(before, _FLOAT), one), op.Max(op.Sub(cast(after, _FLOAT), one), one))
            scale = op.Where(op.Greater(after, [1]), inner, scale)
        left, number = _numbers(before, 0), _numbers(after, 1)
        # What reaches beyond the last pixel is its.
        last = op.Equal(left, op.Sub(cast(before, _FLOAT), one))
        right = op.Where(last, np.float32(3e38), op.Add(left, one))
        low, high = op.Mul(number, scale), op.Mul(op.Add(number, one), scale)
        return op.Div(op.Max(op.Sub(op.Min(right, high), op.Max(left, low)), zero), scale)

    return _resample(images, size, weights)


def _lanczos(x: ir.Value, radius: float) -> ir.Value:
    angle = op.Mul(x, like(x, math.pi))
    parts = op.Mul(op.Sin(angle), op.Sin(op.Div(angle, like(x, radius))))
    # Where it is 0 / 0 it is 1.
    tiny = op.LessOrEqual(x, like(x, 1e-3))
    value = op.Div(op.Mul(parts, like(x, radius)), op.Mul(angle, op.Where(tiny, like(x, 1), angle)))
    return op.Where(op.Greater(x, like(x, radius)), like(x, 0), op.Where(tiny, like(x, 1), value))


def _polynomials(x: ir.Value, inner: tuple[float, ...], outer: tuple[float, ...]) -> ir.Value:
    """Return one polynomial below 1, another up to 2, and 0 beyond; coefficients of the highest power first."""

    def polynomial(coefficients: tuple[float, ...]) -> ir.Value:
        value = op.value(like(x, coefficients[0]))
        for coefficient in coefficients[1:]:
            value = op.Add(op.Mul(value, x), like(x, coefficient))
        return value

    near = op.Where(op.Less(x, like(x, 1)), polynomial(inner), polynomial(outer))
    return op.Where(op.Less(x, like(x, 2)), near, like(x, 0))


def _gaussian(x: ir.Value, radius: float) -> ir.Value:
    value = op.Exp(op.Mul(op.Mul(x, x), like(x, -1 / (2 * (radius / 3) ** 2))))
    return op.Where(op.Less(x, like(x, radius)), value, like(x, 0))


def _box(x: ir.Value) -> ir.Value:
    half = like(x, 0.5)
    edge = op.Where(op.Equal(x, half), half, like(x, 0))
    return op.Where(op.Less(x, half), like(x, 1), edge)


# Weights by the distance from the middle, as `tf.image.resize` documents them: Lanczos; Keys, "Cubic convolution
# interpolation", 1981; Mitchell and Netravali, "Reconstruction filters in computer graphics", 1988.
_KERNELS: dict[str, Callable[[ir.Value], ir.Value]] = {
    "lanczos1": lambda x: _lanczos(x, 1),
    "lanczos3": lambda x: _lanczos(x, 3),
    "lanczos5": lambda x: _lanczos(x, 5),
    "gaussian": lambda x: _gaussian(x, 1.5),
    "box": _box,
    "triangle": lambda x: op.Max(op.Sub(like(x, 1), x), like(x, 0)),
    "keyscubic": lambda x: _polynomials(x, (1.5, -2.5, 0, 1), (-0.5, 2.5, -4, 2)),
    "mitchellcubic": lambda x: _polynomials(x, (7 / 6, -2, 0, 8 / 9), (-7 / 18, 2, -10 / 3, 16 / 9)),
}


@lower("ScaleAndTranslate")
def scale_and_translate(
    images: ir.Value,
    size: ir.Value,
    scale: ir.Value,
    translation: ir.Value,
    *,
    kernel_type: Literal[
        "lanczos1", "lanczos3", "lanczos5", "gaussian", "box", "triangle", "keyscubic", "mitchellcubic"
    ] = "lanczos3",
    antialias: int = 1,
) -> ir.Value:
    """Scale and move images, each new pixel a mean by a kernel that is as wide as what it covers if `antialias`."""
    half = np.float32(0.5)

    def weights(before: ir.Value, after: ir.Value, axis: int) -> ir.Value:
        step = op.Reciprocal(op.Slice(scale, [axis], [axis + 1]))
        offset = op.Mul(step, op.Slice(translation, [axis], [axis + 1]))
        middle = op.Sub(op.Mul(op.Add(_numbers(after, 1), half), step), offset)
        width = op.Max(step, np.float32(1)) if antialias else op.value(np.ones(1, np.float32))
        distance = op.Abs(op.Div(op.Sub(op.Add(_numbers(before, 0), half), middle), width))
        value = _KERNELS[kernel_type](distance)
        total = op.ReduceSum(value, [1], keepdims=1)
        # What is sampled outside of the image is 0.
        inside = op.And(op.GreaterOrEqual(middle, np.float32(0)), op.LessOrEqual(middle, cast(before, _FLOAT)))
        inside = op.And(inside, op.Greater(op.Abs(total), np.float32(1000 * np.finfo(np.float32).tiny)))
        return op.Where(inside, op.Div(value, op.Where(inside, total, np.float32(1))), np.float32(0))

    return _resample(images, size, weights)


Fill = Literal["CONSTANT", "NEAREST", "REFLECT", "WRAP"]


@lower("ImageProjectiveTransformV3")
def projective_transform(
    images: ir.Value,
    transforms: ir.Value,
    output_shape: ir.Value,
    fill_value: ir.Value,
    *,
    interpolation: Literal["NEAREST", "BILINEAR"],
    fill_mode: Fill = "CONSTANT",
) -> ir.Value:
    """The image at ((a·x + b·y + c) / k, (d·x + e·y + f) / k), k = g·x + h·y + 1; (a ... h) are `transforms` [N, 8]."""
    inner = channels_first(cast(images, _FLOAT), "NHWC")
    after = cast(output_shape, _INT64)
    y = op.Unsqueeze(_numbers(op.Slice(after, [0], [1]), 1), [0])
    x = op.Unsqueeze(_numbers(op.Slice(after, [1], [2]), 0), [0])
    a, b, c, d, e, f, g, h = (op.Unsqueeze(op.Slice(transforms, [i], [i + 1], [1]), [2]) for i in range(8))

    def combined(p: ir.Value, q: ir.Value, r: Any) -> ir.Value:
        return op.Add(op.Add(op.Mul(p, x), op.Mul(q, y)), r)

    divisor = combined(g, h, np.float32(1))
    # One transform may be that of all images.
    each = op.Concat(op.Shape(inner, start=0, end=1), after, axis=0)
    coordinates = []
    for axis, value in ((3, op.Div(combined(a, b, c), divisor)), (2, op.Div(combined(d, e, f), divisor))):
        count = cast(op.Shape(inner, start=axis, end=axis + 1), _FLOAT)
        place = _folded(op.Expand(value, each), count, fill_mode)
        if interpolation == "NEAREST":
            # Ties go away from zero, in ONNX to the even number.
            place = op.Mul(op.Sign(place), op.Floor(op.Add(op.Abs(place), np.float32(0.5))))
        place = op.Sub(op.Div(op.Add(op.Mul(place, np.float32(2)), np.float32(1)), count), np.float32(1))
        coordinates.append(op.Unsqueeze(place, [3]))
    mode = "nearest" if interpolation == "NEAREST" else "linear"
    fill = cast(fill_value, _FLOAT)
    grid = op.Concat(*coordinates, axis=3)
    sampled = op.GridSample(op.Sub(inner, fill), grid, mode=mode, padding_mode="zeros", align_corners=0)
    assert images.dtype is not None
    return cast(back(op.Add(sampled, fill), "NHWC"), images.dtype)


@lower("ImageProjectiveTransformV2")
def projective_transform_v2(
    images: ir.Value,
    transforms: ir.Value,
    output_shape: ir.Value,
    *,
    interpolation: Literal["NEAREST", "BILINEAR"],
    fill_mode: Fill = "CONSTANT",
) -> ir.Value:
    """As V3, with zeros around the image."""
    zero = op.value(np.float32(0))
    result: ir.Value = projective_transform(
        images, transforms, output_shape, zero, interpolation=interpolation, fill_mode=fill_mode
    )
    return result


def _folded(place: ir.Value, count: ir.Value, mode: Fill) -> ir.Value:
    """Return the place inside the image that is repeated at `place`, which may be outside."""
    zero, one = np.float32(0), np.float32(1)
    last = op.Sub(count, one)
    if mode == "CONSTANT":
        return place
    if mode == "REFLECT":
        period = op.Mul(count, np.float32(2))
        place = op.Sub(place, op.Mul(op.Floor(op.Div(place, period)), period))
        place = op.Where(op.GreaterOrEqual(place, count), op.Sub(op.Sub(period, place), one), place)
    if mode == "WRAP":
        # How often is counted in steps of the last pixel, as TensorFlow's kernel does.
        times = op.Div(place, op.Max(last, one))
        below, above = op.Sub(op.Ceil(times), one), op.Floor(times)
        turns = op.Where(op.Less(place, zero), below, op.Where(op.Greater(place, last), above, zero))
        place = op.Sub(place, op.Mul(turns, count))
    return op.Max(op.Min(place, last), zero)
