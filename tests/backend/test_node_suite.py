"""ONNX's official node tests against both tables; what does not pass is listed in the tables' exclusions files."""

from __future__ import annotations

import importlib

import onnx
import pytest

from tests.backend.node_suite import cases, check, excluded, exclusions, version_set

# The best numbers known of other ONNX backends: onnx-tf's 1,296 of 1,437; of onnx2pytorch 0.6.0 80 %, and a margin.
BEST = {"tensorflow": 0.902, "torch": 0.9}
FILES = {"tensorflow": "exclusions.toml", "torch": "exclusions_torch.toml"}

CASES = cases()
EXCLUDED = {backend: excluded(file) for backend, file in FILES.items()}


def parameter(case, backend):
    reason = EXCLUDED[backend].get(case.name)
    marks = [] if reason is None else [pytest.mark.xfail(strict=True, reason=reason)]
    return pytest.param(case, backend, id=f"{backend}-{case.name}", marks=marks)


@pytest.mark.parametrize(("case", "backend"), [parameter(case, backend) for backend in FILES for case in CASES])
def test_node(case, backend):
    # Ten random truth values would be those of the case in one run of a hundred.
    if backend == "torch":
        importlib.import_module("torch").manual_seed(0)
    else:
        importlib.import_module("tensorflow").random.set_seed(0)
    check(case, importlib.import_module(f"translate.backend.{backend}").prepare)


@pytest.mark.parametrize("backend", FILES)
def test_more_pass_than_ever_before(backend):
    passing = sum(case.name not in EXCLUDED[backend] for case in CASES)
    print(f"{backend}: {passing} of {len(CASES)} node tests of onnx {onnx.__version__} ({passing / len(CASES):.1%})")
    assert passing / len(CASES) >= BEST[backend]


@pytest.mark.parametrize("file", FILES.values())
def test_exclusions_name_existing_cases(file):
    for entry in exclusions(file):
        assert entry["reason"]
        if entry.get("only") == version_set():
            assert set(entry["cases"]) <= {case.name for case in CASES}
