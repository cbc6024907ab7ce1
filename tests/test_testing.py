"""`assert_parity` says what differs, so that nobody has to run anything else to see it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from translate.errors import OpenError, UsageError
from translate.models.base import Spec
from translate.testing import assert_parity

SPEC = Spec("input", "float32", ("batch", 3))


class Net(nn.Module):
    def __init__(self, scale: float = 1.0) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.linear = nn.Linear(3, 4)
        self.scale = scale

    def forward(self, input: torch.Tensor) -> dict[str, torch.Tensor]:
        hidden = self.linear(input)
        return {"hidden": hidden, "result": torch.tanh(hidden) * self.scale}


def opened(scale: float = 1.0) -> object:
    from translate.models.open import open_model

    return open_model(Net(scale), inputs=[SPEC])


def test_it_returns_the_verdict() -> None:
    verdict = assert_parity(Net(), opened(), inputs=[SPEC], sizes={"batch": [1, 5]})
    assert verdict.passed
    assert {run.sizes["batch"] for run in verdict.runs} == {1, 5}


def test_the_message_is_a_table_of_what_differs() -> None:
    with pytest.raises(AssertionError) as failure:
        assert_parity(Net(), Net(1.001), inputs=[SPEC], sizes={"batch": [1, 5]})
    lines = str(failure.value).splitlines()
    assert lines[0] == "Net and Net do not compute the same"
    assert "1 of 2 outputs differs in 4 of 4 runs" in lines[1]
    assert any(line.split()[:5] == ["output", "run", "max", "abs", "scale"] for line in lines)
    assert sum(line.startswith("result ") for line in lines) == 4
    assert not any(line.startswith("hidden ") for line in lines)
    assert max(map(len, lines)) <= 110


def test_long_tables_are_cut() -> None:
    with pytest.raises(AssertionError, match="and 10 more"):
        assert_parity(Net(), opened(1.001), inputs=[SPEC], sizes={"batch": list(range(1, 16))})


def test_interfaces_that_differ_are_named() -> None:
    with pytest.raises(AssertionError, match='"hidden" is missing in the target'):
        assert_parity(Net(), nn.Linear(3, 4), inputs=[SPEC])


def test_tolerances_and_samples_are_used() -> None:
    assert_parity(Net(), opened(1.001), inputs=[SPEC], rtol=1e-2, atol=1e-3)
    with pytest.raises(AssertionError):
        assert_parity(Net(), opened(1.001), inputs=[SPEC], rtol={"result": 1e-6}, atol=1e-7)


def test_a_sample_is_run_besides() -> None:
    sample = {"input": np.ones((2, 3), np.float32)}
    assert "sample" in {run.inputs for run in assert_parity(Net(), opened(), inputs=[SPEC], sample=sample).runs}


def test_the_report_is_written_also_when_it_fails(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    with pytest.raises(AssertionError):
        assert_parity(Net(), opened(1.001), inputs=[SPEC], report=path)
    assert json.loads(path.read_text())["passed"] is False
    with pytest.raises(UsageError, match="no such report format"):
        assert_parity(Net(), opened(), inputs=[SPEC], report=tmp_path / "report.pdf")


def test_what_cannot_be_opened_is_no_assertion() -> None:
    with pytest.raises(OpenError):
        assert_parity("missing.pt2", "missing_tf")


def test_pytest_shows_the_table_and_not_the_code_of_it(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(
        "from tests.test_testing import Net, SPEC, opened\nfrom translate.testing import assert_parity\n\n"
        "def test_it():\n    assert_parity(Net(), opened(1.001), inputs=[SPEC])\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "--rootdir", str(tmp_path), str(tmp_path)],
        cwd=Path(__file__).parents[1],
        env={"PYTHONPATH": ".", "PATH": ""},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert "do not compute the same" in done.stdout
    assert "failure_text" not in done.stdout


def test_importing_it_imports_no_framework() -> None:
    program = "import sys, translate.testing; print({'torch', 'tensorflow', 'numpy', 'rich'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "set()"
