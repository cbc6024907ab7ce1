"""Padding."""

from __future__ import annotations

from translate.converters.operators.windows import explicit, halves


def test_padding():
    assert explicit([1, 2, 3, 4], "NOTSET", 2) == [(1, 3), (2, 4)]
    assert explicit([1, 2, 3, 4], "VALID", 2) == explicit(None, "NOTSET", 2) == [(0, 0), (0, 0)]
    assert halves(5, "SAME_UPPER") == (2, 3)
    assert halves(5, "SAME_LOWER") == (3, 2)
