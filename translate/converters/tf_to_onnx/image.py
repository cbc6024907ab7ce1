"""Images `[N, H, W, C]`: sizes, patches, colours."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import onnx_ir as ir

from translate.converters.tf_to_onnx.build import cast, dims, like, op
from translate.converters.tf_to_onnx.conv import Window, back, channels_first, onnx_padding, spatial
from translate.converters.tf_to_onnx.table import lower
from translate.errors import UnsupportedError

_FLOAT, _INT64 = ir.DataType.FLOAT, ir.DataType.INT64


def _resize(x: ir.Value, size: ir.Value, coordinates: str, **attributes: Any) -> ir.Value:
    inner = channels_first(x, "NHWC")
    sizes = op.Concat(op.Shape(inner, start=0, end=2), cast(size, _INT64), axis=0)
    y = op.Resize(inner, None, None, sizes, coordinate_transformation_mode=coordinates, **attributes)
    return back(y, "NHWC")


def _coordinates(align_corners: int, half_pixel_centers: int) -> str:
    return "align_corners" if align_corners else "half_pixel" if half_pixel_centers else "asymmetric"


@lower("ResizeBilinear")
def resize_bilinear(x: ir.Value, size: ir.Value, *, align_corners: int = 0, half_pixel_centers: int = 0) -> ir.Value:
    """Interpolate linearly between pixels; the result is float32."""
    return _resize(cast(x, _FLOAT), size, _coordinates(align_corners, half_pixel_centers), mode="linear")


@lower("ResizeNearestNeighbor")
def resize_nearest(x: ir.Value, size: ir.Value, *, align_corners: int = 0, half_pixel_centers: int = 0) -> ir.Value:
    """The nearest pixel."""
    # With its half pixel added, TensorFlow takes the floor: a tie goes up.
    rounding = "round_prefer_ceil" if align_corners or half_pixel_centers else "floor"
    mode = _coordinates(align_corners, half_pixel_centers)
    return _resize(x, size, mode, mode="nearest", nearest_mode=rounding)


@lower("ResizeBicubic")
def resize_bicubic(x: ir.Value, size: ir.Value, *, align_corners: int = 0, half_pixel_centers: int = 0) -> ir.Value:
    """Interpolate by cubic polynomials; the result is float32.

    TensorFlow rounds positions to 1/1024 of a pixel, ONNX does not. With half-pixel centres its polynomials are Keys'
    (a = -0.5) and what lies outside has no weight; without, a = -0.75 and the border is repeated.
    """
    a, outside = (-0.5, 1) if half_pixel_centers else (-0.75, 0)
    mode = _coordinates(align_corners, half_pixel_centers)
    return _resize(cast(x, _FLOAT), size, mode, mode="cubic", cubic_coeff_a=a, exclude_outside=outside)


@lower("CropAndResize")
def crop_and_resize(
    image: ir.Value,
    boxes: ir.Value,
    box_ind: ir.Value,
    crop_size: ir.Value,
    *,
    method: Literal["bilinear"] = "bilinear",
    extrapolation_value: float = 0.0,
) -> ir.Value:
    """Cut `boxes` [K, (y1, x1, y2, x2)], from 0 to 1, out of the images `box_ind` [K], and resize each to `crop_size`.

    Limits: by bilinear interpolation.
    """
    chosen = op.Gather(channels_first(cast(image, _FLOAT), "NHWC"), box_ind, axis=0)
    low_y, low_x, high_y, high_x = op.node("Split", boxes, outputs=4, axis=1, num_outputs=4)
    counts = cast(crop_size, _INT64)
    # Positions from 0 to 1, [K, H] and [K, W].
    y = _positions(low_y, high_y, op.Slice(counts, [0], [1]))
    x = _positions(low_x, high_x, op.Slice(counts, [1], [2]))
    y, x = op.Unsqueeze(y, [2]), op.Unsqueeze(x, [1])
    zero = op.Mul(op.Add(y, x), like(x, 0))
    grid = op.Concat(op.Unsqueeze(op.Add(x, zero), [3]), op.Unsqueeze(op.Add(y, zero), [3]), axis=3)
    grid = op.Sub(op.Mul(grid, like(x, 2)), like(x, 1))
    sampled = op.GridSample(chosen, grid, mode="linear", padding_mode="border", align_corners=1)
    inside = op.And(_inside(y), _inside(x))
    return op.Where(op.Unsqueeze(inside, [3]), back(sampled, "NHWC"), np.float32(extrapolation_value))


def _positions(low: ir.Value, high: ir.Value, count: ir.Value) -> ir.Value:
    """Return `count` [1] positions from `low` to `high` [K, 1]; the middle where there is but one."""
    last = op.Sub(count, [1])
    steps = op.Range(np.int64(0), op.Squeeze(count, [0]), np.int64(1))
    part = op.Div(cast(steps, _FLOAT), cast(op.Max(last, [1]), _FLOAT))
    part = op.Where(op.Equal(last, [0]), like(low, 0.5), part)
    return op.Add(low, op.Mul(op.Sub(high, low), op.Unsqueeze(part, [0])))


def _inside(position: ir.Value) -> ir.Value:
    return op.And(op.GreaterOrEqual(position, like(position, 0)), op.LessOrEqual(position, like(position, 1)))


@lower("ExtractImagePatches")
def extract_patches(
    x: ir.Value,
    *,
    ksizes: Sequence[int],
    strides: Sequence[int],
    rates: Sequence[int],
    padding: Literal["SAME", "VALID"],
) -> ir.Value:
    """The windows of an image, each as channels in the order rows, columns, channels of the image."""
    height, width = spatial(ksizes, "NHWC")
    channels = dims(x)[-1]
    if channels is None:
        raise UnsupportedError("the number of channels is not known")
    # A convolution whose filters pick one number of the window each.
    count = height * width * channels
    filters = np.eye(count).reshape(count, height, width, channels).transpose(0, 3, 1, 2)
    window = Window([height, width], spatial(strides, "NHWC"), spatial(rates, "NHWC"))
    inner = channels_first(x, "NHWC")
    y = op.Conv(
        inner,
        like(x, filters),
        strides=window.strides,
        dilations=window.dilations,
        **onnx_padding(padding, (), "NHWC", window, inner),
    )
    return back(y, "NHWC")


@lower("AdjustContrastv2")
def adjust_contrast(images: ir.Value, factor: ir.Value) -> ir.Value:
    """Spread each channel from its mean by `factor`."""
    mean = op.ReduceMean(images, [-3, -2], keepdims=1)
    return op.Add(op.Mul(op.Sub(images, mean), factor), mean)


@lower("RGBToHSV")
def rgb_to_hsv(images: ir.Value) -> ir.Value:
    """Red, green, blue to hue, saturation, value, each from 0 to 1."""
    red, green, blue = op.node("Split", images, outputs=3, axis=-1, num_outputs=3)
    value = op.Max(red, green, blue)
    spread = op.Sub(value, op.Min(red, green, blue))
    zero, one = like(value, 0), like(value, 1)
    saturation = op.Where(op.Greater(value, zero), op.Div(spread, op.Where(op.Greater(value, zero), value, one)), zero)
    unit = op.Div(like(value, 1 / 6), op.Where(op.Greater(spread, zero), spread, one))
    by_red = op.Mul(op.Sub(green, blue), unit)
    by_green = op.Add(op.Mul(op.Sub(blue, red), unit), like(value, 2 / 6))
    by_blue = op.Add(op.Mul(op.Sub(red, green), unit), like(value, 4 / 6))
    hue = op.Where(op.Equal(red, value), by_red, op.Where(op.Equal(green, value), by_green, by_blue))
    hue = op.Where(op.Greater(spread, zero), hue, zero)
    hue = op.Where(op.Less(hue, zero), op.Add(hue, one), hue)
    return op.Concat(hue, saturation, value, axis=-1)


@lower("HSVToRGB")
def hsv_to_rgb(images: ir.Value) -> ir.Value:
    """Hue, saturation, value to red, green, blue, each from 0 to 1."""
    hue, saturation, value = op.node("Split", images, outputs=3, axis=-1, num_outputs=3)
    zero, one, two = like(hue, 0), like(hue, 1), like(hue, 2)
    angle = op.Mul(hue, like(hue, 6))
    red = op.Sub(op.Abs(op.Sub(angle, like(hue, 3))), one)
    green = op.Sub(two, op.Abs(op.Sub(angle, two)))
    blue = op.Sub(two, op.Abs(op.Sub(angle, like(hue, 4))))
    pure = op.Clip(op.Concat(red, green, blue, axis=-1), zero, one)
    return op.Mul(op.Add(op.Sub(one, saturation), op.Mul(saturation, pure)), value)


@lower("AdjustSaturation")
def adjust_saturation(images: ir.Value, scale: ir.Value) -> ir.Value:
    """Multiply the saturation of RGB images by `scale`, up to 1."""
    hue, saturation, value = op.node("Split", rgb_to_hsv(images), outputs=3, axis=-1, num_outputs=3)
    scaled = op.Clip(op.Mul(saturation, scale), like(images, 0), like(images, 1))
    result: ir.Value = hsv_to_rgb(op.Concat(hue, scaled, value, axis=-1))
    return result


@lower("AdjustHue")
def adjust_hue(images: ir.Value, delta: ir.Value) -> ir.Value:
    """Turn the hue of RGB images by `delta` of a full circle."""
    hue, saturation, value = op.node("Split", rgb_to_hsv(images), outputs=3, axis=-1, num_outputs=3)
    turned = op.Add(hue, delta)
    turned = op.Sub(turned, op.Floor(turned))
    result: ir.Value = hsv_to_rgb(op.Concat(turned, saturation, value, axis=-1))
    return result
