"""Move numbers to their neighbours: how far a model's outputs move then is an estimate of its rounding."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import ml_dtypes
import numpy as np
import numpy.typing as npt

from translate.models.base import Array

# Whole numbers up to here are exact in float32; greater ones are nothing but rounded.
_WHOLE = 2.0**24
# How many numbers are moved at once.
_CHUNK = 2**20
# How many bytes of a tensor.
_PART_BYTES = 2**26


def neighbours(array: Array, generator: np.random.Generator) -> Array:
    """Return `array` with each floating-point element moved up or down, at random, to the next number of its dtype.

    Whole numbers stay: they are exact in any arithmetic, and often mean something (a mask, a class, a factor of two
    between sizes) that their neighbours do not. Denormals become zero, which is what TensorFlow makes of them. Infinity
    and NaN stay. Other dtypes are returned as they are.
    """
    if array.dtype.kind == "c":
        real, imaginary = (neighbours(np.ascontiguousarray(part), generator) for part in (array.real, array.imag))
        return np.asarray(real + 1j * imaginary).astype(array.dtype)
    if not is_floating(array.dtype):
        return array
    limits = ml_dtypes.finfo(array.dtype)
    up = generator.random(array.shape, np.float32) < 0.5
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        moved = np.nextafter(array, np.where(up, limits.max, limits.min))
        moved = np.where(np.abs(moved) < limits.tiny, np.zeros((), array.dtype), moved)
        stays = ~np.isfinite(array) | ((np.abs(array) <= _WHOLE) & (array == np.rint(array)))
    return np.where(stays, array, moved).astype(array.dtype, copy=False)


@dataclass(frozen=True)
class WayBack:
    """How to find the numbers again that were moved: a byte for each, where a copy would take as much as they do.

    `steps` are units in the last place, `far` the places of numbers that were moved otherwise (denormals), and
    `originals` what was there.
    """

    steps: npt.NDArray[np.int8]
    far: npt.NDArray[np.int64]
    originals: Array

    def follow(self, moved: Array) -> Array:
        """Return the numbers that became `moved`."""
        flat = _flat_parts(moved).copy()
        bits = _bits(flat)
        signed = np.dtype(f"i{bits.itemsize}")
        for chunk in _chunks(bits.size):
            bits[chunk] += self.steps[chunk].astype(signed).view(bits.dtype)
        flat[self.far] = self.originals
        return flat.view(moved.dtype).reshape(moved.shape)


def move(array: Array, generator: np.random.Generator) -> tuple[Array, WayBack]:
    """Return real or complex floating-point numbers as `neighbours` does, and the way back."""
    flat = _flat_parts(array)
    moved, steps = np.empty_like(flat), np.empty(flat.shape, np.int8)
    far: list[npt.NDArray[np.int64]] = []
    for chunk in _chunks(flat.size):
        moved[chunk] = neighbours(flat[chunk], generator)
        before = _bits(flat[chunk])
        # Of unsigned integers, which come round: what lies a step below is the greatest.
        distance = before - _bits(moved[chunk])
        is_near = distance + distance.dtype.type(1) <= 2
        steps[chunk] = np.where(is_near, distance, 0).astype(np.int8)
        far.append(np.flatnonzero(~is_near) + chunk.start)
    places = np.concatenate(far) if far else np.zeros(0, np.int64)
    return moved.view(array.dtype).reshape(array.shape), WayBack(steps, places, flat[places])


def parts(shape: Sequence[int], itemsize: int) -> Iterator[Any]:
    """Yield indices of the parts of a tensor, along its first axis, that are small enough to be copied one by one."""
    rows = shape[0] if shape else 1
    row_bytes = math.prod(shape[1:]) * itemsize
    count = max(1, _PART_BYTES // max(1, row_bytes))
    if count >= rows:
        yield ...
        return
    yield from (slice(start, start + count) for start in range(0, rows, count))


def _chunks(size: int) -> Iterator[slice]:
    return (slice(start, start + _CHUNK) for start in range(0, size, _CHUNK))


def _flat_parts(array: Array) -> Array:
    """Return the numbers in one dimension, complex ones as pairs of real ones."""
    flat = np.ascontiguousarray(array).reshape(-1)
    return flat.view(flat.real.dtype) if flat.dtype.kind == "c" else flat


def _bits(array: Array) -> npt.NDArray[np.unsignedinteger[Any]]:
    return array.view(f"u{array.dtype.itemsize}")


def neighbouring_feeds(feeds: Mapping[str, Array], seed: int) -> dict[str, Array]:
    """Return `feeds` with every floating-point input moved by `neighbours`."""
    generator = np.random.default_rng(seed)
    return {name: neighbours(array, generator) for name, array in feeds.items()}


def is_floating(dtype: np.dtype[np.generic]) -> bool:
    """Say whether `dtype` holds real floating-point numbers, those of `ml_dtypes` included."""
    # The types of ml_dtypes are numpy's kind "V"; its integers are too.
    if dtype.kind != "V":
        return dtype.kind == "f"
    try:
        return bool(ml_dtypes.finfo(dtype).bits)
    except ValueError:
        return False
