"""Edge inputs: where translations part that agree on ordinary numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import ml_dtypes
import numpy as np

from translate.errors import UsageError
from translate.models.base import Array, Spec
from translate.models.distributions import Distributions, Normal, Range
from translate.models.inputs import Bounds, example_feeds, numpy_dtype, open_dims, shape_at
from translate.models.perturb import is_floating

_LARGE = 1e4
# How many places of an input are NaN or infinite.
_PLACES = 3


def parse_edges(options: Sequence[str]) -> tuple[str, ...]:
    """Read `--edges` options, names of edges with commas between them, or `none`. Raises `UsageError`."""
    names = [name.strip() for option in options for name in option.split(",")]
    if names == ["none"]:
        return ()
    for name in names:
        if name not in EDGES:
            raise UsageError(f"--edges {name!r} is not one of {', '.join(EDGES)}, or none")
    return tuple(dict.fromkeys(names))


def edge_feeds(
    edge: str,
    specs: Sequence[Spec],
    sizes: Mapping[str, int],
    seed: int,
    bounds: Bounds | None = None,
    distributions: Distributions | None = None,
) -> dict[str, Array] | None:
    """Make the inputs of one edge at `sizes`; None where the edge applies to no input.

    An input that the edge does not speak of is random, see `example_feeds`. Integers stay within 0 and
    `bounds[name]`, and no input leaves the `Range` that the user gave it.
    """
    specs, bounds, distributions = open_dims(specs), bounds or {}, distributions or {}
    feeds = example_feeds(specs, sizes, seed, bounds, distributions)
    changed = EDGES[edge](feeds, np.random.default_rng(seed), bounds)
    if not changed:
        return None
    for spec in specs:
        if spec.name in changed:
            shape = shape_at(spec, sizes)
            array = np.asarray(changed[spec.name]).reshape(shape).astype(numpy_dtype(spec.dtype))
            feeds[spec.name] = _within(array, bounds.get(spec.name), distributions.get(spec.name))
    return feeds


def _within(array: Array, bound: int | None, distribution: object) -> Array:
    if isinstance(distribution, Range) and array.dtype.kind != "b":
        # NaN stays: it was asked for.
        return np.clip(array, distribution.low, distribution.high).astype(array.dtype)
    if array.dtype.kind in "iu" and bound is not None:
        return np.minimum(array, bound).astype(array.dtype)
    return array


_Feeds = Mapping[str, Array]
_Changes = dict[str, Array]
# Takes random inputs, a generator and the greatest integers; returns the inputs that the edge speaks of.
_Edge = Callable[[_Feeds, np.random.Generator, Bounds], _Changes]


def _zeros(feeds: _Feeds, generator: np.random.Generator, bounds: Bounds) -> _Changes:
    return {name: np.zeros(array.shape) for name, array in feeds.items()}


def _ones(feeds: _Feeds, generator: np.random.Generator, bounds: Bounds) -> _Changes:
    return {name: np.ones(array.shape) for name, array in feeds.items()}


def _large(feeds: _Feeds, generator: np.random.Generator, bounds: Bounds) -> _Changes:
    """Real numbers of about 1e4, less in a narrow dtype so that squares do not overflow; the greatest integers."""
    changed: _Changes = {}
    for name, array in feeds.items():
        if array.dtype.kind in "iu":
            changed[name] = np.full(array.shape, bounds.get(name, 1))
        elif _is_real_or_complex(array):
            scale = min(_LARGE, float(ml_dtypes.finfo(array.dtype).max) ** 0.5 / 2)
            changed[name] = Normal(0, scale).draw(generator, array.shape, _wide(array))
    return changed


def _tiny(feeds: _Feeds, generator: np.random.Generator, bounds: Bounds) -> _Changes:
    """Real numbers around the smallest normal one, most of them below it: denormal."""
    changed: _Changes = {}
    for name, array in feeds.items():
        if _is_real_or_complex(array):
            limits = ml_dtypes.finfo(array.dtype)
            scale = float(limits.smallest_normal) * 2.0 ** generator.uniform(-limits.nmant, 2, array.shape)
            changed[name] = Normal().draw(generator, array.shape, _wide(array)) * scale
    return changed


def _masked(feeds: _Feeds, generator: np.random.Generator, bounds: Bounds) -> _Changes:
    """A mask whose first row is 0 everywhere and whose last, if there are two, is 1: masked, whatever a 1 means."""
    changed: _Changes = {}
    for name, array in feeds.items():
        if name.lower().endswith("mask") and array.ndim and array.size:
            rows = array.copy().reshape(array.shape[0] if array.ndim > 1 else 1, -1)
            rows[-1] = 1
            rows[0] = 0
            changed[name] = rows
    return changed


def _some(value: float) -> _Edge:
    """A few places of the first input of real numbers are `value`, every second one of them negated."""

    def edge(feeds: _Feeds, generator: np.random.Generator, bounds: Bounds) -> _Changes:
        for name, array in feeds.items():
            if _is_real_or_complex(array) and array.size:
                flat = array.astype(_wide(array)).reshape(-1)
                places = generator.choice(flat.size, min(_PLACES, flat.size), replace=False)
                flat[places] = np.resize([value, -value], places.size)
                return {name: flat}
        return {}

    return edge


def _is_real_or_complex(array: Array) -> bool:
    return array.dtype.kind == "c" or is_floating(array.dtype)


def _wide(array: Array) -> np.dtype[np.generic]:
    return np.dtype("complex128" if array.dtype.kind == "c" else "float64")


EDGES: Mapping[str, _Edge] = {
    "zeros": _zeros,
    "ones": _ones,
    "large": _large,
    "tiny": _tiny,
    "masked": _masked,
    "nan": _some(np.nan),
    "inf": _some(np.inf),
}
# The edges in which nothing is random.
CONSTANT = frozenset({"zeros", "ones"})
