"""Constants: a lowering to any target."""

from __future__ import annotations

from typing import Any

import numpy as np

from translate.converters.lowering.bind import Array
from translate.errors import UnsupportedError


def constant(
    *,
    sparse_value: Any = None,
    value: Array | None = None,
    value_float: float | None = None,
    value_floats: tuple[float, ...] | None = None,
    value_int: int | None = None,
    value_ints: tuple[int, ...] | None = None,
    value_string: str | None = None,
    value_strings: tuple[str, ...] | None = None,
) -> Array:
    """Return the one value that is given.

    Limits: `sparse_value` is refused.
    """
    if value is not None:
        return value
    if value_float is not None or value_floats is not None:
        return np.array(value_floats if value_float is None else value_float, np.float32)
    if value_int is not None or value_ints is not None:
        return np.array(value_ints if value_int is None else value_int, np.int64)
    if value_string is not None or value_strings is not None:
        return np.array(value_strings if value_string is None else value_string, object)
    raise UnsupportedError("sparse_value is not covered")
