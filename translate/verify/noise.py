"""How far a model is from itself: the rounding noise that any correct translation of it has as well."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import ml_dtypes
import numpy as np

from translate.models.base import Array, Model
from translate.models.perturb import is_floating

# How the noise was measured: against a run in float64, or by moving inputs and weights to neighbouring numbers.
Method = Literal["float64", "one ulp"]

# Perturbed runs of each case.
PERTURBED_RUNS = 3


@dataclass(frozen=True)
class Noise:
    """The rounding error of one output: the largest and the root mean square over its elements, in its own units."""

    method: Method
    maximum: float
    rms: float


@dataclass(frozen=True)
class Measurement:
    """The rounding errors of one output in one case, one for each element and run."""

    method: Method
    distances: Array


def measure(
    source: Model, feeds: Mapping[str, Array], expected: Mapping[str, Array], *, edge: bool = False
) -> dict[str, Measurement]:
    """Measure the rounding error of each floating-point output of `source`, which returned `expected` for `feeds`.

    It is the distance from the source run in float64 where that can be done, else the distance from runs whose
    inputs and weights are moved to neighbouring numbers. At an `edge` it is always the latter, for which denormals are
    zero, and for which a source that is exact by luck (zeros, all terms equal) is not. Outputs without finite
    elements are left out.
    """
    wanted = [name for name, value in expected.items() if value.dtype.kind == "c" or is_floating(value.dtype)]
    if not wanted:
        return {}
    double = None if edge else source.run_double(copies(feeds))
    measured = _distances("float64", wanted, expected, [double or {}])
    missing = [name for name in wanted if name not in measured]
    if missing:
        runs = [source.run_perturbed(copies(feeds), seed) for seed in range(PERTURBED_RUNS)]
        measured |= _distances("one ulp", missing, expected, runs)
    return measured


def _distances(
    method: Method, names: Sequence[str], expected: Mapping[str, Array], runs: Sequence[Mapping[str, Array]]
) -> dict[str, Measurement]:
    measured: dict[str, Measurement] = {}
    for name in names:
        value = widened(expected[name])
        others = [run[name] for run in runs if name in run and run[name].shape == value.shape]
        if method == "float64":
            # A program that casts to float32 has no float64 result, whatever it is given.
            others = [other for other in others if other.dtype.itemsize > expected[name].dtype.itemsize]
        found = [finite_distances(value, widened(other)) for other in others]
        distances = np.concatenate(found) if found else np.zeros(0)
        if distances.size:
            measured[name] = Measurement(method, distances)
    return measured


def pool(measurements: Iterable[Measurement]) -> Noise:
    """Return the noise of one output over several cases, one at least."""
    measured = list(measurements)
    method: Method = "float64" if all(one.method == "float64" for one in measured) else "one ulp"
    distances = np.concatenate([one.distances for one in measured])
    return Noise(method, largest(distances), root_mean_square(distances))


def widest(noises: Iterable[Noise | None]) -> Noise | None:
    """Return the larger of each figure; None where all are None."""
    known = [noise for noise in noises if noise is not None]
    if not known:
        return None
    method: Method = "float64" if all(noise.method == "float64" for noise in known) else "one ulp"
    return Noise(method, max(noise.maximum for noise in known), max(noise.rms for noise in known))


def copies(feeds: Mapping[str, Array]) -> dict[str, Array]:
    """Copy the arrays: a model that writes into its input must not change another's."""
    return {name: array.copy() for name, array in feeds.items()}


def root_mean_square(numbers: Array) -> float:
    """Return the root mean square of the finite ones among `numbers`, 0 where there are none."""
    wide = widened(numbers)
    greatest = largest(wide)
    if not greatest:
        return 0.0
    # Scaled first, so that squares of large numbers do not overflow.
    return greatest * float(np.sqrt(np.mean(np.square(np.abs(wide[np.isfinite(wide)]) / greatest))))


def widened(array: Array) -> Array:
    """Return `array` in double precision, in which distances are taken."""
    return array.astype(np.complex128 if array.dtype.kind == "c" else np.float64, copy=False)


def finite_distances(a: Array, b: Array) -> Array:
    """Return `|a - b|` of the elements that are finite on both sides, in one dimension."""
    finite = np.isfinite(a) & np.isfinite(b)
    return np.asarray(np.abs(a[finite] - b[finite]))


def largest(array: Array) -> float:
    """Return the largest finite magnitude in `array`, 0 where there is none."""
    wide = widened(array)
    return float(np.max(np.abs(wide), initial=0.0, where=np.isfinite(wide)))


def eps_of(array: Array) -> float:
    """Return the distance from 1 to the next number of the dtype of `array`."""
    return float(ml_dtypes.finfo(array.dtype).eps)
