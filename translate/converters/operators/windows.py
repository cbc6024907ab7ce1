"""Padding, as convolutions and pools share it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

# A size that is known, or whatever a framework has for one that is not.
Size: TypeAlias = Any


def explicit(pads: Sequence[int] | None, auto_pad: str, axes: int) -> list[tuple[int, int]]:
    """Return the padding before and after each of so many axes; `pads` are all that begin, then all that end.

    It is that of NOTSET and VALID, for which the sizes do not matter.
    """
    if auto_pad == "VALID" or pads is None:
        return [(0, 0)] * axes
    return [(pads[axis], pads[axis + axes]) for axis in range(axes)]


def halves(total: Size, auto_pad: str) -> tuple[Size, Size]:
    """Share out padding before and after; an odd element comes last with SAME_UPPER, and first with SAME_LOWER."""
    less = total // 2
    return (less, total - less) if auto_pad == "SAME_UPPER" else (total - less, less)
