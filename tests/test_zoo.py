"""Real models, end to end: each becomes a SavedModel that agrees with PyTorch at several sizes."""

from __future__ import annotations

import gc
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pytest

from tests.zoo import ZOO, available
from translate import torch2tf
from translate.comparison import Pair, compare_pair
from translate.models import Model, open_model
from translate.models.device import placement
from translate.models.inputs import default_sizes, example_feeds
from translate.verify.cases import Case

# What is translated in the newest set too, where the whole zoo would take too long: one of each kind.
IN_EVERY_SET = (
    *("mlp", "lstm_bidirectional", "transformer_encoder", "unet", "cond", "while_loop", "index_play"),
    *("resnet18", "bert", "facenet_pnet", "silero_vad"),
)


@pytest.fixture(autouse=True)
def _release_memory() -> Iterator[None]:
    # Graphs and their variables are held by reference cycles.
    yield
    gc.collect()


def case(name: str) -> object:
    marks = [] if name in IN_EVERY_SET else [pytest.mark.zoo]
    return pytest.param(name, id=name, marks=marks)


@pytest.mark.parametrize("name", [case(name) for name in ZOO])
def test_translates_and_agrees(name: str, tmp_path: Path) -> None:
    if not available(name):
        pytest.skip("its package is not installed; `make test` installs it")
    entry = ZOO[name]
    module, inputs = entry()
    source = open_model(module, inputs=inputs)
    # Real inputs, in addition: the integers lie where the catalogue says.
    sample = tmp_path / "sample.npz"
    np.savez(sample, **example_feeds(source.inputs, default_sizes(source.inputs)[0], 7, entry.bounds))
    result = torch2tf(module, tmp_path / "tf", inputs=inputs, sample=sample)
    assert result.verdict is not None
    assert result.verdict.passed
    batches = {run.sizes.get("batch") for run in result.verdict.runs if run.inputs == "random"}
    assert batches == {1, 2, 5}
    assert any(run.inputs == "data sample.npz" for run in result.verdict.runs)
    assert [spec.name for spec in result.inputs] == [spec.name for spec in source.inputs]
    assert [spec.name for spec in result.outputs] == [spec.name for spec in source.outputs]
    assert result.trainable > 0 or not any(True for _ in module.parameters())
    if entry.family == "hand-written":
        assert_equal_when_compiled(source, tmp_path / "tf", entry.bounds)


def assert_equal_when_compiled(source: Model, target: Path, bounds: Mapping[str, int]) -> None:
    """XLA compiles what was written, and at one set of sizes the numbers agree; `benchmarks.xla_count` has the rest."""
    compiled = open_model(target, placement=placement(xla=True))
    sizes = default_sizes(source.inputs)[0]
    case = Case("random", sizes, 0, example_feeds(source.inputs, sizes, 0, bounds))
    assert compare_pair(Pair(source, compiled, {}, []), [case]).verdict.passed
