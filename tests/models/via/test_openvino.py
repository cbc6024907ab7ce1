"""A SavedModel in OpenVINO, where that is installed."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from tests.models.via.conftest import FIXTURES
from translate.errors import OpenError, UsageError
from translate.models.device import placement
from translate.models.open import open_model
from translate.models.via import open_via
from translate.verify import compare

pytestmark = pytest.mark.xdist_group("via")


def test_says_what_to_install(mixed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(OpenError, match="pip install openvino"):
        open_via("openvino", mixed)
    with pytest.raises(UsageError, match="--via onnx: expected c-api, openvino or http"):
        open_via("onnx", mixed)


class TestInstalled:
    @pytest.fixture(autouse=True)
    def _installed(self) -> None:
        pytest.importorskip("openvino", reason="OpenVINO is optional")

    def test_agrees_with_the_source(self, digits: Path, planted: Path) -> None:
        source = open_model(FIXTURES / "digits_cnn.pt2")
        assert compare(source, open_via("openvino", digits, placement=placement(threads=1))).passed
        assert not compare(source, open_via("openvino", planted)).passed

    def test_results_are_not_overwritten_by_the_next_call(self, digits: Path) -> None:
        model = open_via("openvino", digits)
        first = model.run({"image": np.ones((2, 1, 8, 8), np.float32)})["output"]
        kept = first.copy()
        model.run({"image": np.zeros((2, 1, 8, 8), np.float32)})
        np.testing.assert_array_equal(first, kept)

    def test_what_it_cannot_read_is_named(self, mixed: Path) -> None:
        with pytest.raises(OpenError, match=r"cannot load .*StringUpper"):
            open_via("openvino", mixed)
        with pytest.raises(UsageError, match="serving_default only"):
            open_via("openvino", mixed, signature="strict")
        with pytest.raises(UsageError, match="OpenVINO runs on the CPU only"):
            open_via("openvino", mixed, placement=placement("gpu:0"))
