"""What a comparison of two models found; plain values, rendered by `translate.reports`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from translate.models.base import Spec
from translate.verify.noise import Noise
from translate.verify.tolerance import Tolerance


@dataclass(frozen=True)
class Agreement:
    """How often the greatest values along the last axis are in the same places on both sides.

    `k` is 1 (the arg-max) or 5 (the set of the five greatest), `rows` the number of vectors along the last axis, `same`
    how many of them agree, `near_ties` how many of the others differ only in values that the rounding noise cannot
    tell apart. It is reported and decides nothing.
    """

    k: int
    rows: int
    same: int
    near_ties: int


@dataclass(frozen=True)
class Histogram:
    """How many elements have which distance, in bins of half a decade of `|distance| / scale`.

    Bin `i` holds the elements with `10 ** (first + i / 2) <= |distance| / scale < 10 ** (first + (i + 1) / 2)`; the
    outermost bins hold what is beyond them too, `equal` counts the distances of zero, `noise` is empty where this run's
    noise was not measured.
    """

    first: float
    errors: tuple[int, ...]
    noise: tuple[int, ...] = ()
    equal: int = 0
    noise_equal: int = 0


@dataclass(frozen=True)
class OutputParity:
    """One output of one run.

    The distance of an element is `|a - b|`, `a` the source's value, `b` the target's. Over the elements that are finite
    on both sides:

    - `max_abs` and `rms` are the largest distance and the root mean square of the distances, `max_rel` the largest
      `|a - b| / |a|`, `scale` the source's largest magnitude, `cosine` that of the two flattened outputs (None where
      one of them is zero everywhere, or the dtype has none);
    - `noise` is the source's own rounding error, None where it was not measured, as for integers;
    - `tolerance` is the rule that was applied, with its limits, and `error` the distance in units of it: 1 is the
      limit, infinite where no distance would do;
    - `agreement` tells whether the greatest values are in the same places; empty for outputs where that means nothing;
    - `histogram` is for plots, None for what must agree exactly.

    `problems` say why it did not pass, `notes` what is worth knowing though it did.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    max_abs: float = 0.0
    max_rel: float = 0.0
    rms: float = 0.0
    scale: float = 0.0
    error: float = 0.0
    cosine: float | None = None
    noise: Noise | None = None
    tolerance: Tolerance = field(default_factory=Tolerance)
    agreement: tuple[Agreement, ...] = ()
    histogram: Histogram | None = None
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether source and target agree."""
        return not self.problems

    @property
    def over_noise(self) -> float | None:
        """The largest distance in units of the largest rounding error of the source; None where that is not known."""
        return self.max_abs / self.noise.maximum if self.noise is not None and self.noise.maximum else None

    @property
    def rms_over_noise(self) -> float | None:
        """The root mean square of the distances in units of that of the source's rounding errors; None likewise."""
        return self.rms / self.noise.rms if self.noise is not None and self.noise.rms else None


@dataclass(frozen=True)
class RunParity:
    """Every output of one run, on one `translate.verify.cases.Case`.

    `sizes` are the sizes of the symbolic dimensions, `inputs` is the case's label ("random", "sample", "edge zeros"),
    `seed` None where nothing was random. `failure` is what the target said when it could not be run at all.
    """

    sizes: Mapping[str, int]
    seed: int | None
    outputs: tuple[OutputParity, ...]
    inputs: str = "random"
    failure: str = ""

    @property
    def passed(self) -> bool:
        """Whether the target ran and every output agrees."""
        return not self.failure and all(output.passed for output in self.outputs)


@dataclass(frozen=True)
class Side:
    """One of the two models: what it is and its interface."""

    kind: str
    inputs: tuple[Spec, ...]
    outputs: tuple[Spec, ...]


@dataclass(frozen=True)
class Verdict:
    """Whether two models compute the same thing.

    `interface` lists what differs in names, dtypes and shapes (empty when nothing does; when something does, the
    models are not run), `warnings` what weakens the verdict although nothing failed.
    """

    source: Side
    target: Side
    runs: tuple[RunParity, ...]
    interface: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether the interfaces are the same and every output of every run agrees."""
        return not self.interface and bool(self.runs) and all(run.passed for run in self.runs)
