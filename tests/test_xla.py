"""What `torch2tf` writes compiles with XLA, where sizes are known and none depends on data."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import translate
from translate.compilation import compile_with_xla
from translate.errors import UsageError
from translate.inspection import inspect
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


class Distinct(nn.Module):
    def forward(self, x):
        return torch.unique(x)


def test_inspect_says_what_xla_cannot_compile():
    model = open_model(Distinct(), inputs=["x:batch,8"])
    found = inspect(model, [], xla=True)
    assert found.translates_to == "TensorFlow" and found.xla is not None
    assert str(found.xla) == "cannot compile it: it has no UniqueWithCountsV2"
    assert inspect(model, []).xla is None


def test_inspect_says_that_xla_compiles(tmp_path):
    source, target = FIXTURES / "neural_net.pt2", tmp_path / "model"
    translate.torch2tf(source, target, verify=False)
    for path in (source, target):
        found = inspect(open_model(path), [], xla=True)
        assert found.xla is not None and found.xla.refusal == ""
    assert "compiles it, and it runs, at batch=2" in str(inspect(open_model(source), [], xla=True).xla)


def test_a_tflite_file_is_no_function():
    model = open_model(Distinct(), inputs=["x:batch,8"])
    model.kind = "TFLite"
    with pytest.raises(UsageError, match="XLA compiles functions of TensorFlow, and this is a TFLite"):
        compile_with_xla(model, None)
