"""Optimizers of the training preview, which take many parameters at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import chain
from typing import TypeVar

Tensor = TypeVar("Tensor")


def each(step: Callable[..., tuple[Tensor, ...]], inputs: Sequence[Tensor], kinds: int) -> tuple[Tensor, ...]:
    """Return the results of `step` for each parameter: the first of all parameters, then the second of all, ...

    `inputs` are all parameters, then all their gradients, ...: of so many `kinds`, which are the arguments of `step`.
    """
    count = len(inputs) // kinds
    results = [step(*inputs[i::count]) for i in range(count)]
    return tuple(chain.from_iterable(zip(*results, strict=True)))
