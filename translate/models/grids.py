"""Outputs whose numbers lie on a grid, as those of quantised models do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from translate.models.base import Array, Model
from translate.models.renamed import RenamedInputs


@dataclass(frozen=True)
class Grid:
    """The numbers `step * (q - zero)` of the integers `q`; `integers` says whether an output holds these."""

    step: float
    zero: int
    integers: bool

    def real(self, output: Array) -> Array:
        """Return the real numbers, in float32, that an output stands for."""
        if not self.integers:
            return output
        return ((output.astype(np.float64) - self.zero) * self.step).astype(np.float32)


class OnGrids(RenamedInputs):
    """Another model, its outputs as the real numbers on their `grids`, by name; those without a grid stay.

    `steps` are the distances from one number of an output's grid to the next: as far apart may be what two correct
    computations make of a number that lies in the middle between two.
    """

    def __init__(self, model: Model, grids: Mapping[str, Grid]) -> None:
        super().__init__(model, {spec.name: spec.name for spec in model.inputs})
        self._grids = dict(grids)
        self.steps = {name: grid.step for name, grid in grids.items()}
        real = {name for name, grid in grids.items() if grid.integers}
        self.outputs = tuple(replace(spec, dtype="float32") if spec.name in real else spec for spec in model.outputs)

    def download(self, results: object) -> dict[str, Array]:
        """As the model does, in real numbers."""
        return self._real(super().download(results))

    def run_double(self, feeds: Mapping[str, Array]) -> dict[str, Array] | None:
        """As the model does, in real numbers."""
        results = super().run_double(feeds)
        return None if results is None else self._real(results)

    def run_perturbed(self, feeds: Mapping[str, Array], seed: int) -> dict[str, Array]:
        """As the model does, in real numbers."""
        return self._real(super().run_perturbed(feeds, seed))

    def _real(self, results: Mapping[str, Array]) -> dict[str, Array]:
        return {name: self._grids[name].real(a) if name in self._grids else a for name, a in results.items()}
