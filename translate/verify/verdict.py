"""What a comparison of two models found; plain values, rendered by `translate.reports`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from translate.models.base import Spec
from translate.verify.tolerance import Tolerance


@dataclass(frozen=True)
class OutputParity:
    """One output, at one size of the inputs.

    `max_abs` and `max_rel` are the largest `|a - b|` and `|a - b| / |a|` over the elements that are finite on both
    sides, `scale` the source's largest finite magnitude, `error` is `max_abs` in units of the allowed distance
    (1 is the limit, infinite where no distance would do), `cosine` the cosine of the two flattened outputs (None
    where one of them is zero everywhere, or the dtype has none). `problems` say why it did not pass, `notes` what is
    worth knowing though it did.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    max_abs: float = 0.0
    max_rel: float = 0.0
    scale: float = 0.0
    error: float = 0.0
    cosine: float | None = None
    tolerance: Tolerance = field(default_factory=lambda: Tolerance(0.0, 0.0))
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether source and target agree."""
        return not self.problems


@dataclass(frozen=True)
class RunParity:
    """Every output of one run.

    `sizes` are the sizes of the symbolic dimensions, `inputs` is "random" (of seed `seed`) or "sample". `failure` is
    what the target said when it could not be run at all.
    """

    sizes: Mapping[str, int]
    seed: int
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
