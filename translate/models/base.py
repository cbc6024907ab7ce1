"""What every model is to the rest of the project: named inputs, named outputs, and a way to run it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from translate.errors import UsageError

Array = np.ndarray[Any, np.dtype[Any]]
# One dimension: its size, the name of a symbolic size, or None where the size is open and nameless.
Dim = int | str | None


@dataclass(frozen=True)
class Spec:
    """One input or output of a model.

    `dtype` is numpy's name of it (`float32`, `int64`, `bool`, `bfloat16`, `str` for text); `shape` is None when
    not even the rank is known.
    """

    name: str
    dtype: str
    shape: tuple[Dim, ...] | None

    def __str__(self) -> str:
        dims = "?" if self.shape is None else ", ".join("?" if d is None else str(d) for d in self.shape)
        return f"{self.name} {self.dtype}[{dims}]"


class Model(ABC):
    """Anything that can be run.

    `kind` says what it is for people ("PyTorch ExportedProgram"); `inputs` and `outputs` are in the model's own
    order.
    """

    kind: str
    inputs: tuple[Spec, ...]
    outputs: tuple[Spec, ...]

    def upload(self, feeds: Mapping[str, Array]) -> Any:
        """Put one array for each input name where the model computes, as what `call` takes.

        Raises `UsageError` when a name is missing or unknown.
        """
        check_feeds(self.inputs, feeds)
        return dict(feeds)

    @abstractmethod
    def call(self, values: Any) -> Any:
        """Compute once, and return when the results are there: the whole of what is timed."""

    def download(self, results: Any) -> dict[str, Array]:
        """Return what `call` returned as one array for each output name."""
        return dict(results)

    def run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """Run once on `feeds`, one array for each input name, and return one array for each output name.

        Raises `UsageError` when a name is missing or unknown.
        """
        return self.download(self.call(self.upload(feeds)))

    def run_double(self, feeds: Mapping[str, Array]) -> dict[str, Array] | None:
        """Run once in double precision, to measure the model's own rounding; None where it cannot be run so."""
        return None

    def run_perturbed(self, feeds: Mapping[str, Array], seed: int) -> dict[str, Array]:
        """Run once with every floating-point input, and every weight where the model can do that, moved at random to a
        neighbouring number: how far the outputs move is an estimate of the model's own rounding.
        """
        raise NotImplementedError

    def values(self, feeds: Mapping[str, Array], names: Sequence[str]) -> dict[str, Array]:
        """Run once and return the intermediate values called `names`, those that the model knows, in its own dtype."""
        return {}


def check_feeds(specs: Sequence[Spec], feeds: Mapping[str, Array]) -> None:
    """Raise `UsageError` unless `feeds` has one array for each input and none besides."""
    names = [spec.name for spec in specs]
    missing = [name for name in names if name not in feeds]
    unknown = [name for name in feeds if name not in names]
    if missing or unknown:
        complaint = [f"missing {', '.join(missing)}"] * bool(missing) + [f"unknown {', '.join(unknown)}"] * bool(
            unknown
        )
        raise UsageError(f"the inputs are {', '.join(names)}: {'; '.join(complaint)}")
