"""ONNX's official node tests against the TensorFlow table; what does not pass is listed in exclusions.toml."""

from __future__ import annotations

import tomllib
from pathlib import Path

import onnx
import pytest

from tests.backend.node_suite import cases, check
from translate.backend.tensorflow import prepare

# The number that onnx-tf, the abandoned ONNX backend for TensorFlow, reached at its best: 1,296 of 1,437.
ONNX_TF_BEST = 0.902

CASES = cases()
SET = "pinned" if onnx.__version__ < "1.20" else "newest"


def excluded() -> dict[str, str]:
    content = tomllib.loads(Path(__file__).with_name("exclusions.toml").read_text())
    return {
        name: entry["reason"]
        for entry in content.get("exclude", [])
        if entry.get("only", SET) == SET
        for name in entry["cases"]
    }


EXCLUDED = excluded()


def parameter(case):
    marks = [pytest.mark.xfail(strict=True, reason=EXCLUDED[case.name])] if case.name in EXCLUDED else []
    return pytest.param(case, id=case.name, marks=marks)


@pytest.mark.parametrize("case", [parameter(case) for case in CASES])
def test_node(case):
    check(case, prepare)


def test_more_pass_than_ever_before():
    passing = sum(case.name not in EXCLUDED for case in CASES)
    print(f"{passing} of {len(CASES)} node tests of onnx {onnx.__version__} ({passing / len(CASES):.1%})")
    assert passing / len(CASES) >= ONNX_TF_BEST


def test_exclusions_name_existing_cases():
    content = tomllib.loads(Path(__file__).with_name("exclusions.toml").read_text())
    for entry in content.get("exclude", []):
        assert entry["reason"]
        if entry.get("only", SET) == SET and "only" in entry:
            assert set(entry["cases"]) <= {case.name for case in CASES}
