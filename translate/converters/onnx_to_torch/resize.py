"""Resize and Upsample: torch.nn.functional.interpolate where that computes just this, else one axis after the other."""

from __future__ import annotations

import contextlib
import functools
import math
import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
import torch
import torch.nn.functional as F

from translate.converters.onnx_to_torch.builder import Builder
from translate.converters.onnx_to_torch.shapes import Size, entries, is_number, tensor
from translate.converters.onnx_to_torch.table import lower
from translate.converters.onnx_to_torch.values import Value, record
from translate.errors import UnsupportedError

Either: TypeAlias = torch.Tensor | np.ndarray

# A number: a float where it is known, a value of the graph that stands for one where it is not.
Number: TypeAlias = Any

# For each of the elements that one of the result is made of: which one it is, and its weight, both [wanted].
Taps: TypeAlias = list[tuple[torch.Tensor, torch.Tensor]]


@dataclass(frozen=True)
class Axis:
    """How one axis is resized, from `size` to `wanted` elements.

    `scale` is wanted over size before rounding, and `length` is size times scale, again before rounding; with `exact`
    there is nothing to round. `region` is the normalised begin and end of what tf_crop_and_resize cuts out.
    """

    number: int
    size: Size
    wanted: Size
    scale: Number
    length: Number
    exact: bool
    region: tuple[Any, Any]

    @property
    def is_known(self) -> bool:
        """Whether all is known while translating, so that positions and weights are constants."""
        parts = (self.size, self.wanted, self.scale, self.length, *self.region)
        return not any(isinstance(part, Value) for part in parts)


@lower("Resize", since=18)
def resize(
    x: torch.Tensor,
    roi: Either | None = None,
    scales: Either | None = None,
    sizes: Either | None = None,
    *,
    antialias: int = 0,
    axes: Sequence[int] | None = None,
    coordinate_transformation_mode: Literal[
        "half_pixel", "half_pixel_symmetric", "pytorch_half_pixel", "align_corners", "asymmetric", "tf_crop_and_resize"
    ] = "half_pixel",
    cubic_coeff_a: float = -0.75,
    exclude_outside: int = 0,
    extrapolation_value: float = 0.0,
    keep_aspect_ratio_policy: Literal["stretch", "not_larger", "not_smaller"] = "stretch",
    mode: Literal["nearest", "linear", "cubic"] = "nearest",
    nearest_mode: Literal["round_prefer_floor", "round_prefer_ceil", "floor", "ceil"] = "round_prefer_floor",
) -> torch.Tensor:
    """Resize x [N, C, *spatial] to `sizes`, or by `scales`, of the axes `axes`.

    Limits: where sizes or scales are computed when the model runs and are given for all axes, batch and channels are
    taken to stay as they are. Nearest neighbours are those of PyTorch where it has the mode, computed in float32.
    """
    transform = coordinate_transformation_mode
    given = scales if scales is not None and not is_number(scales.shape[0], 0) else sizes
    if given is None:
        raise UnsupportedError("neither scales nor sizes are given")
    region = roi if transform == "tf_crop_and_resize" else None
    resized = _axes(x, axes, given, given is scales, region, keep_aspect_ratio_policy)
    if not resized:
        return x
    kernel = Kernel(mode, transform, nearest_mode, bool(antialias), cubic_coeff_a, bool(exclude_outside))
    native = _interpolate_mode(x, resized, given is scales, kernel)
    if native is not None:
        return _interpolated(x, resized, given is scales, native, kernel)
    y = x if mode == "nearest" or x.dtype in (torch.float32, torch.float64) else x.to(torch.float32)
    outside = []
    for axis in resized:
        # What is known becomes constants.
        with Builder.pausing() if axis.is_known else contextlib.nullcontext():
            at = _coordinates(axis, transform)
            beyond = ((at < 0) | (at > axis.size - 1)).reshape(_along(axis, x))
            matrix = _matrix(axis, at, kernel).to(y.dtype) if antialias and mode != "nearest" else None
            taps = [] if matrix is not None else _taps(axis, at, kernel)
            taps = [(index, weight.to(y.dtype).reshape(_along(axis, x))) for index, weight in taps]
        if matrix is not None:
            y = torch.matmul(y.movedim(axis.number, -1), matrix.t()).movedim(-1, axis.number)
        elif mode == "nearest":
            y = torch.index_select(y, axis.number, taps[0][0])
        else:
            parts = [torch.index_select(y, axis.number, index) * weight for index, weight in taps]
            y = functools.reduce(operator.add, parts)
        outside.append(beyond)
    y = y if y.dtype == x.dtype else y.to(x.dtype)
    if transform == "tf_crop_and_resize":
        for beyond in outside:
            y = torch.where(beyond, extrapolation_value, y).to(x.dtype)
    return y


@lower("Upsample", since=9)
def upsample(x: torch.Tensor, scales: Either, *, mode: Literal["nearest", "linear"] = "nearest") -> torch.Tensor:
    """Resize x [N, C, *spatial] by `scales`, counting from the corners of the first elements."""
    transform: Literal["asymmetric"] = "asymmetric"
    return resize(x, None, scales, coordinate_transformation_mode=transform, mode=mode, nearest_mode="floor")


@dataclass(frozen=True)
class Kernel:
    """How elements of the result are made of those of the input: the attributes of the same names."""

    mode: str
    transform: str
    nearest_mode: str
    antialias: bool
    cubic_coeff_a: float
    exclude_outside: bool


def _axes(
    x: torch.Tensor, axes: Sequence[int] | None, given: Either, scaled: bool, region: Either | None, policy: str
) -> list[Axis]:
    """Return the axes that change; `given` are scales if `scaled`, else sizes."""
    numbers = list(range(x.ndim)) if axes is None else [axis % x.ndim for axis in axes]
    values = _entries(given, len(numbers))
    values = [_shortest(value) for value in values] if scaled else values
    before = [x.size(number) for number in numbers]
    if scaled:
        scales: list[Number] = values
        lengths = [_length(size, scale) for size, scale in zip(before, scales, strict=True)]
        wanted = [_floor(length) for length in lengths]
    else:
        scales = [one / other for one, other in zip(values, before, strict=True)]
        wanted, lengths = values, values
        if policy != "stretch":
            scales = [_extreme(scales, policy)] * len(scales)
            lengths = [size * scale for size, scale in zip(before, scales, strict=True)]
            wanted = [_floor(length + 0.5) for length in lengths]
    stretched = not scaled and policy == "stretch"
    exact = [stretched or _is_whole(length) or _is_whole(scale) for length, scale in zip(lengths, scales, strict=True)]
    every = [
        Axis(*row)
        for row in zip(numbers, before, wanted, scales, lengths, exact, _regions(region, len(numbers)), strict=True)
    ]
    return [axis for axis in every if not _is_kept(axis, axes is None, scaled)]


def _entries(given: Either, count: int) -> list[Number]:
    # A computed vector need not know its length.
    return [given[i].item() for i in range(count)] if isinstance(given, Value) else entries(given)


def _is_kept(axis: Axis, all_given: bool, scaled: bool) -> bool:
    """Whether nothing changes along an axis: the first two do not if that shows only when the model runs."""
    if all_given and axis.number < 2 and (isinstance(axis.scale, Value) or (scaled and axis.scale == 1)):
        return True
    begin, end = axis.region
    return is_number(axis.scale, 1) and not isinstance(begin, Value) and begin == 0 and end == 1


def _shortest(scale: Number) -> Number:
    """Return the shortest number that float32 rounds to `scale`: 0.7, by which 10 is 7, not 0.69999999."""
    return scale if isinstance(scale, Value) else float(str(np.float32(scale)))


def _length(size: Size, scale: Number) -> Number:
    if isinstance(size, Value) or isinstance(scale, Value):
        return size * scale
    return float(np.float32(size) * np.float32(scale))


def _floor(value: Number) -> Size:
    # Scales are float32: a whole number that came out just below is one.
    return record(math.floor, value + 1e-6) if _is_computed(value) else int(value)


def _is_computed(value: Number) -> bool:
    return isinstance(value, Value)


def _extreme(values: Sequence[Number], policy: str) -> Number:
    result = values[0]
    for value in values[1:]:
        if isinstance(value, Value) or isinstance(result, Value):
            result = record(torch.sym_min if policy == "not_larger" else torch.sym_max, result, value)
        else:
            result = min(result, value) if policy == "not_larger" else max(result, value)
    return result


def _is_whole(value: Number) -> bool:
    return not isinstance(value, Value) and float(value).is_integer()


def _regions(region: Either | None, count: int) -> list[tuple[Any, Any]]:
    if region is None:
        return [(0.0, 1.0)] * count
    ends = region.tolist() if isinstance(region, np.ndarray) else [tensor(region)[i] for i in range(2 * count)]
    return list(zip(ends[:count], ends[count:], strict=True))


# What torch.nn.functional.interpolate calls the modes, by the number of axes of its input.
_LINEAR = {3: "linear", 4: "bilinear", 5: "trilinear"}


def _interpolate_mode(x: torch.Tensor, resized: Sequence[Axis], scaled: bool, kernel: Kernel) -> str | None:
    """Return the mode in which torch.nn.functional.interpolate computes just this, if there is one."""
    if not 3 <= x.ndim <= 5 or any(axis.number < 2 for axis in resized):
        return None
    if not all(axis.exact or (scaled and not isinstance(axis.scale, Value)) for axis in resized):
        # It takes the quotient of the sizes for the scale, or a scale that is given.
        return None
    if kernel.mode == "nearest":
        return _nearest_mode(x, resized, kernel)
    if not x.dtype.is_floating_point or not all(_is_computed_alike(axis, kernel) for axis in resized):
        return None
    if kernel.antialias and (x.ndim != 4 or not kernel.exclude_outside or kernel.transform == "align_corners"):
        return None
    if kernel.mode == "linear":
        return _LINEAR[x.ndim]
    coefficient, excluded = (-0.5, True) if kernel.antialias else (-0.75, False)
    alike = kernel.cubic_coeff_a == coefficient and kernel.exclude_outside == excluded
    return "bicubic" if x.ndim == 4 and alike else None


def _is_computed_alike(axis: Axis, kernel: Kernel) -> bool:
    if kernel.transform == "align_corners":
        return axis.exact
    if kernel.transform == "pytorch_half_pixel" and _may_be_single(axis.wanted):
        # Of a single element the specification takes the first, PyTorch the middle.
        return False
    return kernel.transform in ("half_pixel", "pytorch_half_pixel")


def _may_be_single(wanted: Size) -> bool:
    """Whether a size is, or may be computed from data to be, 1: sizes that follow from those of inputs are larger."""
    return wanted.node.target == "item" if isinstance(wanted, Value) else bool(wanted == 1)


def _nearest_mode(x: torch.Tensor, resized: Sequence[Axis], kernel: Kernel) -> str | None:
    if not (x.dtype.is_floating_point or x.dtype == torch.uint8):
        return None
    centred = kernel.transform in ("half_pixel", "pytorch_half_pixel")
    if kernel.transform == "asymmetric" and kernel.nearest_mode == "floor":
        return "nearest"
    if centred and kernel.nearest_mode.startswith("round") and all(_is_whole(axis.scale) for axis in resized):
        # Each element is repeated.
        return "nearest"
    single = kernel.transform == "pytorch_half_pixel" and any(_may_be_single(axis.wanted) for axis in resized)
    return "nearest-exact" if centred and kernel.nearest_mode == "round_prefer_ceil" and not single else None


def _interpolated(x: torch.Tensor, resized: Sequence[Axis], scaled: bool, mode: str, kernel: Kernel) -> torch.Tensor:
    changed = {axis.number: axis for axis in resized}
    spatial = range(2, x.ndim)
    options: dict[str, Any] = {"mode": mode}
    if kernel.transform == "align_corners":
        options["align_corners"] = True
    if kernel.antialias and kernel.mode != "nearest":
        options["antialias"] = True
    if scaled and not any(isinstance(axis.scale, Value) for axis in resized):
        scales = [float(changed[number].scale) if number in changed else 1.0 for number in spatial]
        return F.interpolate(x, scale_factor=scales[0] if len(set(scales)) == 1 else scales, **options)
    sizes = [changed[number].wanted if number in changed else x.size(number) for number in spatial]
    return F.interpolate(x, size=sizes, **options)


def _number(value: Number) -> torch.Tensor:
    """Return a number as a tensor without axes."""
    is_tensor = isinstance(value, torch.Tensor) or (
        isinstance(value, Value) and isinstance(value.example, torch.Tensor)
    )
    return value.to(torch.float64) if is_tensor else record(torch.tensor, value, dtype=torch.float64)


def _unscaled(x: torch.Tensor, axis: Axis) -> torch.Tensor:
    # The quotient of two whole numbers is exact where it is whole; one by a rounded scale may come out just below.
    return x * axis.size / axis.wanted if axis.exact else x / axis.scale


def _quotient(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    return torch.where(y == 0, 0.0, x / y)


def _coordinates(axis: Axis, transform: str) -> torch.Tensor:
    """Return where each element of the result lies in the input: float64 [wanted]."""
    x = record(torch.arange, axis.wanted, dtype=torch.float64)
    last, length = axis.size - 1, _number(axis.length)
    if transform == "asymmetric":
        return _unscaled(x, axis)
    if transform == "align_corners":
        return _quotient(x * last, length - 1)
    if transform == "tf_crop_and_resize":
        begin, end = (_number(value) for value in axis.region)
        inside = torch.where(length == 1, (end - begin) * last / 2, _quotient(x * (end - begin) * last, length - 1))
        return begin * last + inside
    if transform == "half_pixel_symmetric":
        # The middle of the input is put on the middle of the result, which may be smaller than the length.
        return (1 - axis.wanted / length) * axis.size / 2 + _unscaled(x + 0.5, axis) - 0.5
    at = _unscaled(x + 0.5, axis) - 0.5
    return torch.where(length > 1, at, 0.0) if transform == "pytorch_half_pixel" else at


_ROUNDED: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "round_prefer_floor": lambda at: torch.ceil(at - 0.5),
    "round_prefer_ceil": lambda at: torch.floor(at + 0.5),
    "floor": torch.floor,
    "ceil": torch.ceil,
}


def _clipped(index: torch.Tensor, axis: Axis) -> torch.Tensor:
    return torch.clamp(index.to(torch.int64), 0, axis.size - 1)


def _along(axis: Axis, x: torch.Tensor) -> list[int]:
    """Return the shape in which [wanted] broadcasts along its axis of x."""
    return [-1] + [1] * (x.ndim - 1 - axis.number)


def cubic_weight(distance: torch.Tensor, a: float) -> torch.Tensor:
    """Keys' kernel: R. Keys, "Cubic convolution interpolation for digital image processing", 1981."""
    d = torch.abs(distance)
    near = ((a + 2) * d - (a + 3)) * d * d + 1
    far = ((a * d - 5 * a) * d + 8 * a) * d - 4 * a
    return torch.where(d <= 1, near, torch.where(d < 2, far, 0.0))


def _weight(distance: torch.Tensor, kernel: Kernel) -> torch.Tensor:
    if kernel.mode == "linear":
        return torch.clamp(1 - torch.abs(distance), min=0.0)
    return cubic_weight(distance, kernel.cubic_coeff_a)


def _taps(axis: Axis, at: torch.Tensor, kernel: Kernel) -> Taps:
    """Return the one, two or four neighbours of each coordinate."""
    if kernel.mode == "nearest":
        return [(_clipped(_ROUNDED[kernel.nearest_mode](at), axis), torch.ones_like(at))]
    low = torch.floor(at)
    indices = [low + i if i else low for i in ((0, 1) if kernel.mode == "linear" else (-1, 0, 1, 2))]
    weights = [_weight(at - index, kernel) for index in indices]
    if kernel.exclude_outside:
        weights = [torch.where(_is_inside(index, axis), w, 0.0) for index, w in zip(indices, weights, strict=True)]
        total = functools.reduce(operator.add, weights)
        weights = [weight / total for weight in weights]
    return [(_clipped(index, axis), weight) for index, weight in zip(indices, weights, strict=True)]


def _is_inside(index: torch.Tensor, axis: Axis) -> torch.Tensor:
    return (index >= 0) & (index < axis.size)


def _matrix(axis: Axis, at: torch.Tensor, kernel: Kernel) -> torch.Tensor:
    """Return the weight of each element for each one of the result, [wanted, size], without aliasing."""
    support = 1 if kernel.mode == "linear" else 2
    if isinstance(axis.scale, Value):
        shrink = record(torch.sym_min, axis.scale, 1.0)
        reach = record(math.ceil, support / shrink) + 1
    else:
        shrink = min(axis.scale, 1.0)
        reach = math.ceil(support / shrink) + 1
    index = record(torch.arange, -reach, axis.size + reach)
    weights = _weight((at.unsqueeze(1) - index) * shrink, kernel)
    weights = weights / weights.sum(-1, keepdim=True)
    if kernel.exclude_outside:
        weights = torch.where(_is_inside(index, axis), weights, 0.0)
        weights = weights / weights.sum(-1, keepdim=True)
    # What lies outside counts as the element at the edge.
    start = record(torch.zeros, [axis.wanted, axis.size], dtype=torch.float64)
    return start.index_add(1, _clipped(index, axis), weights)
