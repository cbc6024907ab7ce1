"""PyTorch → TensorFlow → PyTorch: the numbers, the weights and their names are those at the beginning."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.there_and_back import journey

FIXTURES = Path(__file__).parents[1] / "fixtures"


@pytest.mark.parametrize(
    "name",
    [*(str(FIXTURES / f"{name}.pt2") for name in ("digits_cnn", "neural_net", "char_lm")), "mlp", "two_inputs_dict"],
)
def test_a_model_comes_back_as_it_was(name, tmp_path):
    found = journey(name, tmp_path / "saved_model")
    assert found.missing == []
    assert found.changed == []
    assert found.kinds_changed == []
    assert found.error < 1e-5
