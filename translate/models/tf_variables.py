"""The numbers of TensorFlow's variables, Keras's included: read without a copy, moved and put back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from translate.models.base import Array
from translate.models.perturb import WayBack, is_floating, move


def numbers(variable: Any) -> Array:
    """Return the value of a variable, not to be written to: its own memory where numpy knows the dtype."""
    tensor = _own(variable).read_value()
    try:
        return np.asarray(memoryview(tensor))
    except ValueError:
        # numpy's own buffers know no bfloat16.
        copied: Array = tensor.numpy()
        return copied


@contextmanager
def moved(variables: Sequence[Any], seed: int) -> Iterator[None]:
    """Move floating-point variables at random to neighbouring numbers, see `perturb`, and back afterwards."""
    generator = np.random.default_rng(seed)
    ways: list[tuple[Any, WayBack]] = []
    try:
        # Whole variables: once a part of one was assigned, TensorFlow copies it whenever it is read.
        for variable in map(_own, variables):
            if is_floating(np.dtype(variable.dtype.as_numpy_dtype)):
                ways.append((variable, _move(variable, generator)))
        yield
    finally:
        for variable, way in reversed(ways):
            variable.assign(way.follow(numbers(variable)))


def _move(variable: Any, generator: np.random.Generator) -> WayBack:
    other, way = move(numbers(variable), generator)
    variable.assign(other)
    return way


def _own(variable: Any) -> Any:
    """Return TensorFlow's variable: Keras has a class of its own around it."""
    return variable if hasattr(variable, "read_value") else variable.value
