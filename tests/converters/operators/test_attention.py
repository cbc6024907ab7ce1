"""What a query may attend to."""

from __future__ import annotations

import numpy as np

from translate.converters.operators.attention import allowed


def test_what_a_query_may_attend_to():
    query, key = np.arange(3)[:, None], np.arange(4)
    assert allowed(query, key, None, 0, -1, -1) is None
    assert allowed(query, key, None, 1, 1, -1).astype(int).tolist() == [[1, 0, 0, 0], [1, 1, 0, 0], [0, 1, 1, 0]]
    assert allowed(query, key, None, 0, -1, 1).astype(int).tolist() == [[1, 1, 0, 0], [1, 1, 1, 0], [1, 1, 1, 1]]
    assert allowed(query, key, 2, 0, -1, -1).astype(int).tolist() == [1, 1, 0, 0]
