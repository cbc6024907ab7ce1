"""Which keys a query may attend to."""

from __future__ import annotations

from functools import reduce
from operator import and_
from typing import Any


def allowed(
    query: Any, key: Any, end: Any | None, is_causal: int, left_window_size: int, right_window_size: int
) -> Any | None:
    """Say which keys each query may attend to as far as positions tell: a tensor of bools, or None for all of them.

    `query` and `key` are tensors of positions that broadcast, `end`, if it is given, those behind the last key.
    """
    rules = []
    if is_causal:
        rules.append(key <= query)
    if left_window_size >= 0:
        rules.append(key >= query - left_window_size)
    if right_window_size >= 0:
        rules.append(key <= query + right_window_size)
    if end is not None:
        rules.append(key < end)
    return reduce(and_, rules) if rules else None
