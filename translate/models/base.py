"""What every model is to the rest of the project: named inputs, named outputs, and a way to run it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

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

    @abstractmethod
    def run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """Run once on `feeds`, one array for each input name, and return one array for each output name.

        Raises `UsageError` when a name is missing or unknown.
        """

    def run_double(self, feeds: Mapping[str, Array]) -> dict[str, Array] | None:
        """Run once in double precision, to measure the model's own rounding; None where it cannot be run so."""
        return None
