"""One step for many parameters."""

from __future__ import annotations

from translate.converters.operators.training import each


def test_inputs_and_results_of_an_optimizer_stand_kind_by_kind():
    results = each(lambda x, gradient, state: (x - gradient, state + 1), [10, 20, 1, 2, 5, 6], 3)
    assert results == (9, 18, 6, 7)
