"""What `torch2tf` writes compiles with XLA, where sizes are known and none depends on data."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import translate
from translate.models import open_model
from translate.models.device import placement
from translate.models.inputs import default_sizes, example_feeds

FIXTURES = Path(__file__).parents[1] / "fixtures"


@pytest.mark.parametrize("name", ["digits_cnn", "neural_net", "text_classifier", "char_lm"])
def test_the_fixtures_compile_and_are_equal(name, tmp_path):
    source, target = FIXTURES / f"{name}.pt2", tmp_path / "model"
    translate.torch2tf(source, target, verify=False)
    opened, compiled = open_model(source), open_model(target, placement=placement(xla=True))
    # Each choice of sizes is compiled for itself.
    for sizes in default_sizes(opened.inputs)[:2]:
        feeds = example_feeds(opened.inputs, sizes)
        expected, found = opened.run(feeds), compiled.run(feeds)
        for output, array in expected.items():
            scale = max(1.0, np.abs(array).max())
            np.testing.assert_allclose(found[output], array, rtol=1e-4, atol=1e-5 * scale)
