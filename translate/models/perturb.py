"""Move numbers to their neighbours: how far a model's outputs move then is an estimate of its rounding."""

from __future__ import annotations

from collections.abc import Mapping

import ml_dtypes
import numpy as np

from translate.models.base import Array

# Whole numbers up to here are exact in float32; greater ones are nothing but rounded.
_WHOLE = 2.0**24


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
