"""Operations on images [..., C, H, W], by whatever `data_format` Keras has them in."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from functools import reduce
from typing import Any

import torch
import torch.nn.functional as F

from translate.converters.keras_to_torch.augment_color import ColorTransform
from translate.converters.keras_to_torch.augment_geometry import ImageTransform
from translate.converters.keras_to_torch.layout import Order, channels_first, identity
from translate.converters.keras_to_torch.ops.dtypes import as_tensors, floating
from translate.converters.keras_to_torch.resizing import KERNELS, fitted, resized, rounded
from translate.converters.keras_to_torch.table import lower
from translate.converters.onnx_to_torch.values import Value, builder, record
from translate.converters.onnx_to_torch.windows import Window
from translate.errors import UnsupportedError


def _images(op: Any, rank: int) -> Order:
    """Take images as [C, H, W] or [N, C, H, W]."""
    if op.data_format == "channels_first" or rank not in (3, 4):
        return identity(rank)
    return (2, 0, 1) if rank == 3 else (0, 3, 1, 2)


def _weighted(x: torch.Tensor, weights: Sequence[float]) -> torch.Tensor:
    """Add the channels of images up, with weights."""
    channels = (x.narrow(x.ndim - 3, number, 1) * weight for number, weight in enumerate(weights))
    return reduce(lambda one, other: one + other, channels)


@lower("RGBToGrayscale", part="ops", layout=_images)
def rgb_to_grayscale(op: Any, images: torch.Tensor) -> torch.Tensor:
    """Weigh red, green and blue by how bright they look."""
    return images if images.shape[-3] == 1 else _weighted(floating(images), (0.2989, 0.5870, 0.1140))


@lower("RGBToHSV", part="ops", layout=_images)
def rgb_to_hsv(op: Any, images: torch.Tensor) -> torch.Tensor:
    """Return hue, saturation and value."""
    return ColorTransform.to_hsv(images)


@lower("HSVToRGB", part="ops", layout=_images)
def hsv_to_rgb(op: Any, images: torch.Tensor) -> torch.Tensor:
    """Return red, green and blue."""
    return ColorTransform.to_rgb(images)


@lower("Resize", part="ops", layout=_images)
def resize(op: Any, images: torch.Tensor) -> torch.Tensor:
    """Resize images; before, they may be cropped or padded to the new proportions."""
    x = images.unsqueeze(0) if images.ndim == 3 else images
    x = fitted(x, op.size, op.crop_to_aspect_ratio, op.pad_to_aspect_ratio, float(op.fill_value))
    y = rounded(resized(x, op.size, op.interpolation, op.antialias), images.dtype)
    return y.squeeze(0) if images.ndim == 3 else y


@lower("AffineTransform", part="ops", layout=_images)
def affine_transform(op: Any, images: torch.Tensor, *, transform: torch.Tensor) -> torch.Tensor:
    """Take each pixel from where a transform of eight numbers says."""
    x = images.unsqueeze(0) if images.ndim == 3 else images
    y = ImageTransform().resample(x, transform, op.interpolation, op.fill_mode, float(op.fill_value))
    return y.squeeze(0) if images.ndim == 3 else y


@lower("PerspectiveTransform", part="ops", layout=_images)
def perspective_transform(
    op: Any, images: torch.Tensor, *, start_points: torch.Tensor, end_points: torch.Tensor
) -> torch.Tensor:
    """Move four points [N, 4, 2] of an image to four others.

    Limits: batches of images and of points.
    """
    if images.ndim != 4 or start_points.ndim != 3 or end_points.ndim != 3:
        raise UnsupportedError("a single image, or points for a single one")
    if op.data_format != "channels_first":
        # They came in the order of images.
        start_points, end_points = (x.permute(1, 2, 0) for x in (start_points, end_points))
    transform = ImageTransform().homography(start_points, end_points)
    return ImageTransform().resample(images, transform, op.interpolation, "constant", float(op.fill_value))


@lower("ExtractPatches", part="ops", layout=channels_first)
def extract_patches(op: Any, images: torch.Tensor) -> torch.Tensor:
    """Return the windows over images [N, C, *spatial]: what is in them becomes channels.

    Limits: batches of images.
    """
    spatial = images.ndim - 2
    if spatial not in (2, 3) or (not isinstance(op.size, int) and len(op.size) != spatial):
        raise UnsupportedError("a single image")
    size = (op.size,) * spatial if isinstance(op.size, int) else tuple(op.size)
    strides = (op.strides,) * spatial if isinstance(op.strides, int) else tuple(op.strides or size)
    rate = op.dilation_rate
    dilations = (rate,) * spatial if isinstance(rate, int) else tuple(rate)
    window = Window.over(images, size, strides, dilations, None, "SAME_UPPER" if op.padding == "same" else "VALID")
    # [N, C, *counts, *window]
    parts = window.elements(window.pad(images))
    places = range(2, 2 + spatial)
    parts = parts.permute(0, *range(2 + spatial, 2 + 2 * spatial), 1, *places)
    return parts.flatten(1, spatial + 1)


@lower("MapCoordinates", part="ops")
def map_coordinates(op: Any, inputs: torch.Tensor, *, coordinates: Any) -> torch.Tensor:
    """Take numbers at coordinates [axes, ...], between elements a mixture of them.

    Limits: axes whose sizes are known.
    """
    sizes = inputs.shape
    if not all(isinstance(size, int) for size in sizes):
        raise UnsupportedError("axes whose sizes are open")
    along = [floating(coordinates[axis]) for axis in range(inputs.ndim)]
    choices = []
    for at, size in zip(along, sizes, strict=True):
        if op.order == 0:
            nodes = [(torch.round(at), torch.ones_like(at))]
        else:
            lower_ = torch.floor(at)
            nodes = [(lower_, 1 - (at - lower_)), (lower_ + 1, at - lower_)]
        choices.append([(*_place(index, size, op.fill_mode), weight) for index, weight in nodes])
    parts = []
    for corner in itertools.product(*choices):
        indices, inside, weights = zip(*corner, strict=True)
        values = inputs[tuple(index.to(torch.int64) for index in indices)].to(weights[0].dtype)
        if op.fill_mode == "constant":
            values = torch.where(reduce(torch.logical_and, inside), values, float(op.fill_value))
        parts.append(reduce(lambda one, other: one * other, weights) * values)
    y = reduce(lambda one, other: one + other, parts)
    return y if inputs.dtype.is_floating_point else torch.round(y)


def _place(index: torch.Tensor, size: int, mode: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Return an index that is inside, and whether the one that was asked for is."""
    inside = (index >= 0) & (index < size)
    if mode in ("constant", "nearest"):
        return torch.clamp(index, 0, size - 1), inside
    if mode == "wrap":
        return torch.remainder(index, size), inside
    around = torch.remainder(torch.abs(index), 2 * size)
    back = 2 * size - around - (1 if mode == "reflect" else 0)
    return torch.where(around < size, around, back), inside


@lower("PadImages", part="ops", layout=_images)
def pad_images(op: Any, images: torch.Tensor) -> torch.Tensor:
    """Put zeros around images, up to a size."""
    height, width = images.shape[-2:]
    top, bottom = _margins(op.top_padding, op.bottom_padding, op.target_height, height, 1)
    left, right = _margins(op.left_padding, op.right_padding, op.target_width, width, 1)
    return F.pad(images, [left, right, top, bottom])


@lower("CropImages", part="ops", layout=_images)
def crop_images(op: Any, images: torch.Tensor) -> torch.Tensor:
    """Cut the margins of images off, down to a size."""
    height, width = images.shape[-2:]
    top, bottom = _margins(op.top_cropping, op.bottom_cropping, op.target_height, height, -1)
    left, right = _margins(op.left_cropping, op.right_cropping, op.target_width, width, -1)
    return images[..., top : height - bottom, left : width - right]


def _margins(before: Any, after: Any, target: Any, size: Any, sign: int) -> tuple[Any, Any]:
    """Return both margins, of which one follows from the size that is wanted."""
    if before is None:
        before = (target - size) * sign - after
    if after is None:
        after = (target - size) * sign - before
    return before, after


def _depthwise(x: torch.Tensor, kernels: torch.Tensor) -> Any:
    """Convolve each channel of x [N, C, H, W] with kernels [K, h, w]: [N, C * K, H', W']."""
    channels = int(x.shape[1])
    weight = builder().constant(kernels.repeat(channels, 1, 1).unsqueeze(1))
    held: Any = weight if x.dtype is kernels.dtype else weight.to(x.dtype)
    return F.conv2d(x, held, groups=channels)


@lower("GaussianBlur", part="ops", layout=_images)
def gaussian_blur(op: Any, images: torch.Tensor) -> Any:
    """Blur images; there is nothing but zeros around them."""
    if any(isinstance(one, Value) for one in (*op.kernel_size, *op.sigma)):
        raise UnsupportedError("a kernel that is computed")
    sides = []
    for size, sigma in zip(op.kernel_size, op.sigma, strict=True):
        at = torch.arange(int(size), dtype=torch.float32) - (int(size) - 1) / 2
        side = torch.exp(-0.5 * (at / float(sigma)) ** 2)
        sides.append(side / side.sum())
    height, width = (int(size) for size in op.kernel_size)
    kernel = torch.outer(sides[1], sides[0]).reshape(height, width)
    x = images.unsqueeze(0) if images.ndim == 3 else images
    margins = [(width - 1) // 2, width // 2, (height - 1) // 2, height // 2]
    y = _depthwise(F.pad(x, margins), kernel.unsqueeze(0))
    return y.squeeze(0) if images.ndim == 3 else y


@lower("SobelEdges", part="ops", layout=_images)
def sobel_edges(op: Any, images: torch.Tensor) -> Any:
    """Return how fast images change, downwards and to the right.

    Limits: batches of images.
    """
    if images.ndim != 4:
        raise UnsupportedError("a single image")
    down = torch.tensor([[-1.0, -2.0, -1.0], [0.0, 0.0, 0.0], [1.0, 2.0, 1.0]])
    y = _depthwise(F.pad(images, [1, 1, 1, 1], mode="reflect"), torch.stack([down, down.t()]))
    y = torch.unflatten(y, 1, (-1, 2))
    # The two of them are the last axis.
    return y.permute(0, 1, 3, 4, 2) if op.data_format == "channels_first" else y.permute(0, 3, 4, 1, 2)


@lower("ScaleAndTranslate", part="ops")
def scale_and_translate(
    op: Any, images: torch.Tensor, *, output_shape: Any, scale: Any, translation: Any
) -> torch.Tensor:
    """Scale axes and move what is on them.

    Limits: floating-point images.
    """
    if not images.dtype.is_floating_point:
        raise UnsupportedError("images of ints")
    kernel = KERNELS[
        {"linear": "bilinear", "trilinear": "bilinear", "cubic": "bicubic", "tricubic": "bicubic"}.get(
            op.method, op.method
        )
    ]
    for number, axis in enumerate(op.spatial_dims):
        axis %= images.ndim
        factor, move = (floating(x) for x in as_tensors(scale[number], translation[number]))
        size = images.size(axis)
        at = (record(torch.arange, output_shape[axis]) + 0.5 - move) / factor - 0.5
        widest = torch.clamp(1 / factor, min=1.0) if op.antialias else 1.0
        weights = kernel(torch.abs(at.unsqueeze(1) - record(torch.arange, size)) / widest)
        total = torch.sum(weights, 1, True)
        weights = torch.where(torch.abs(total) > 1000 * torch.finfo(torch.float32).eps, weights / total, 0.0)
        inside = ((at >= -0.5) & (at <= size - 0.5)).unsqueeze(1)
        weights = torch.where(inside, weights, 0.0)
        images = torch.movedim(torch.matmul(torch.movedim(images, axis, -1), weights.t()), -1, axis)
    return images
