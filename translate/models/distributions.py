"""How the numbers of example inputs are distributed, and the options that say it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from translate.errors import UsageError
from translate.models.base import Array, Spec
from translate.models.perturb import is_floating


@dataclass(frozen=True)
class Uniform:
    """Evenly between `low` and `high`, both included where the input holds integers; edge inputs may lie elsewhere."""

    low: float = 0.0
    high: float = 1.0

    def draw(self, generator: np.random.Generator, shape: tuple[int, ...], dtype: np.dtype[np.generic]) -> Array:
        """Draw integers or real numbers of `shape`."""
        return _evenly(generator, shape, dtype, self.low, self.high)

    def problem(self, dtype: np.dtype[np.generic]) -> str:
        """Say why an input of `dtype` cannot have this distribution; empty where it can."""
        return _outside(dtype, self.low, self.high)


@dataclass(frozen=True)
class Range(Uniform):
    """All that an input may hold: drawn like `Uniform`, and no edge input leaves it."""


@dataclass(frozen=True)
class Normal:
    """Normally distributed, `mean` and standard deviation `std`."""

    mean: float = 0.0
    std: float = 1.0

    def draw(self, generator: np.random.Generator, shape: tuple[int, ...], dtype: np.dtype[np.generic]) -> Array:
        """Draw real or complex numbers of `shape`, the latter with `std` in either part."""
        values: Array = np.asarray(generator.standard_normal(shape))
        if dtype.kind == "c":
            values = values + 1j * generator.standard_normal(shape)
        return (values * self.std + self.mean).astype(dtype)

    def problem(self, dtype: np.dtype[np.generic]) -> str:
        """Say why an input of `dtype` cannot have this distribution; empty where it can."""
        return "" if _is_real_or_complex(dtype) else "it holds no real numbers"


Distribution: TypeAlias = Uniform | Normal
# By the input's name.
Distributions: TypeAlias = Mapping[str, Distribution]


def _is_real_or_complex(dtype: np.dtype[np.generic]) -> bool:
    return dtype.kind == "c" or is_floating(dtype)


def _evenly(
    generator: np.random.Generator, shape: tuple[int, ...], dtype: np.dtype[np.generic], low: float, high: float
) -> Array:
    if dtype.kind in "iu":
        wide = np.uint64 if dtype.kind == "u" else np.int64
        return np.asarray(generator.integers(int(low), int(high), shape, wide, endpoint=True)).astype(dtype)
    values: Array = np.asarray(generator.uniform(low, high, shape))
    if dtype.kind == "c":
        values = values + 1j * generator.uniform(low, high, shape)
    return values.astype(dtype)


def _outside(dtype: np.dtype[np.generic], low: float, high: float) -> str:
    if dtype.kind not in "iu":
        return "" if _is_real_or_complex(dtype) else "it holds no numbers"
    if low != int(low) or high != int(high):
        return "it holds integers"
    limits = np.iinfo(dtype)  # type: ignore[type-var]  # an integer's, by its kind
    return "" if limits.min <= low <= high <= limits.max else f"its integers lie between {limits.min} and {limits.max}"


def parse_distributions(
    ranges: Sequence[str] = (), normals: Sequence[str] = (), uniforms: Sequence[str] = ()
) -> dict[str, Distribution]:
    """Read the options `--range NAME:LOW,HIGH`, `--normal NAME[:MEAN,STD]` and `--uniform NAME[:LOW,HIGH]`.

    Returns one distribution for each input's name. Raises `UsageError`.
    """
    found: dict[str, Distribution] = {}

    def add(option: str, name: str, distribution: Distribution) -> None:
        if name in found:
            raise UsageError(f"{option}: the distribution of {name} is given twice")
        found[name] = distribution

    for text in ranges:
        name, low, high = _parse("--range", text, "NAME:LOW,HIGH, such as ids:0,30521", None)
        _check_order("--range", text, low, high)
        add(f"--range {text}", name, Range(low, high))
    for text in uniforms:
        name, low, high = _parse("--uniform", text, "NAME or NAME:LOW,HIGH, such as x:-1,1", (0.0, 1.0))
        _check_order("--uniform", text, low, high)
        add(f"--uniform {text}", name, Uniform(low, high))
    for text in normals:
        name, mean, std = _parse("--normal", text, "NAME or NAME:MEAN,STD, such as x:0.45,0.22", (0.0, 1.0))
        if std < 0:
            raise UsageError(f"--normal {text}: a standard deviation is not negative")
        add(f"--normal {text}", name, Normal(mean, std))
    return found


def _parse(option: str, text: str, expected: str, default: tuple[float, float] | None) -> tuple[str, float, float]:
    # An input's own name may hold a colon, as TensorFlow's "x:0" does.
    name, colon, numbers = text.rpartition(":")
    if default is not None and (not colon or "," not in numbers):
        name, numbers = text, "{},{}".format(*default)
    first, comma, second = numbers.partition(",")
    try:
        values = _number(first), _number(second)
    except ValueError:
        values = None
    if not name or not comma or values is None or not np.isfinite(values).all():
        raise UsageError(f"{option} {text!r} is not {expected}")
    return name, *values


def _number(text: str) -> float:
    # An integer stays one: float64 has not all of int64's.
    try:
        return int(text)
    except ValueError:
        return float(text)


def _check_order(option: str, text: str, low: float, high: float) -> None:
    if low > high:
        raise UsageError(f"{option} {text}: {low:g} is greater than {high:g}")


def draw(
    generator: np.random.Generator,
    spec: Spec,
    shape: tuple[int, ...],
    dtype: np.dtype[np.generic],
    bound: int = 1,
    distribution: Distribution | None = None,
) -> Array:
    """Draw one example input.

    Without a distribution real numbers are standard normal, Booleans are fair coins and integers lie in 0 to `bound`,
    inclusive. Raises `UsageError` for a distribution that does not fit and for inputs of text.
    """
    if distribution is not None:
        problem = distribution.problem(dtype)
        if problem:
            raise UsageError(f"input {spec} cannot be drawn from {distribution}: {problem}")
        return distribution.draw(generator, shape, dtype)
    if dtype.kind == "b":
        return np.asarray(generator.integers(0, 2, shape)).astype(dtype)
    if dtype.kind in "iu":
        return np.asarray(generator.integers(0, bound, shape, endpoint=True)).astype(dtype)
    if _is_real_or_complex(dtype):
        return Normal().draw(generator, shape, dtype)
    raise UsageError(f"input {spec.name} is of dtype {spec.dtype}: give example values with --sample or --data")
