"""What two models are compared on: random inputs, edge inputs, real samples, at chosen sizes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from translate.models.base import Array


@dataclass(frozen=True)
class Case:
    """One set of inputs.

    `label` says where they come from ("random", "edge zeros", "sample", "data digits.npz[3]"), `sizes` are those of the
    symbolic dimensions, `seed` is None where nothing is random, `feeds` the arrays by input name.
    """

    label: str
    sizes: Mapping[str, int]
    seed: int | None
    feeds: Mapping[str, Array]
