"""PyTorch → TensorFlow → PyTorch: the numbers, the weights and their names are those at the beginning."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.there_and_back import FIXTURES, journey
from tests import zoo

ROOT = Path(__file__).parents[1]
# Of each family one; `python -m benchmarks.there_and_back` has the large ones.
ZOO = (
    *("mlp", "two_inputs_dict", "conv3d", "dilated_conv1d", "groupnorm_depthwise", "squeezenet1_1"),
    *("lstm_bidirectional", "gru_attention_step", "transformer_encoder", "bert", "gpt2", "silero_vad"),
)


@pytest.mark.parametrize("name", [*(str(ROOT / path) for path in FIXTURES), *ZOO])
def test_a_model_comes_back_as_it_was(name, tmp_path):
    if name in zoo.ZOO and not zoo.available(name):
        pytest.skip(f"the package that {name} comes from is not installed")
    found = journey(name, tmp_path / "saved_model")
    assert found.missing == []
    assert found.changed == []
    assert found.kinds_changed == []
    assert found.tied
    assert found.error < 1e-5
