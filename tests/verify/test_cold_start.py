"""A cold start happens in a process of its own and counts only what that process took."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from translate.errors import UsageError
from translate.models import open_model
from translate.models.device import placement
from translate.models.renamed import RenamedInputs
from translate.verify.cases import Case
from translate.verify.cold_start import cold_start, peak_bytes

DIGITS = Path(__file__).parents[2] / "fixtures" / "digits_cnn.pt2"


def test_a_cold_start_in_a_fresh_process() -> None:
    on_cpu = placement("cpu", threads=1)
    model = open_model(DIGITS, placement=on_cpu)
    (spec,) = model.inputs
    shape = (2, *(dim for dim in (spec.shape or ())[1:] if isinstance(dim, int)))
    feeds = {"renamed": np.zeros(shape, np.float32)}
    # The names of the inputs here need not be those of the file.
    renamed = RenamedInputs(model, {spec.name: "renamed"})
    # More than the other process needs, which must not be counted as its own: getrusage would.
    ballast = np.ones(2**30 // 8) if _free_bytes() > 3 * 2**30 else None
    found = cold_start("A", str(DIGITS), renamed, Case("zeros", {"batch": 2}, None, feeds), placement=on_cpu)
    if ballast is not None:
        assert found.peak_bytes < ballast.nbytes
    parts = found.import_seconds + found.load_seconds + found.first_call_seconds
    assert 0 < found.first_call_seconds < parts < found.seconds
    assert 0 < found.imported_bytes <= found.peak_bytes
    assert (found.label, found.device_bytes) == ("A", None)


def _free_bytes() -> int:
    lines = Path("/proc/meminfo").read_text().splitlines() if Path("/proc/meminfo").exists() else []
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")), 0)


def test_a_process_that_fails_is_a_usage_error(tmp_path: Path) -> None:
    model = open_model(DIGITS)
    (spec,) = model.inputs
    shape = (2, *(dim for dim in (spec.shape or ())[1:] if isinstance(dim, int)))
    with pytest.raises(UsageError, match=r"A does not start in a process of its own: .*no such file"):
        cold_start("A", str(tmp_path / "gone.pt2"), model, Case("", {}, None, {spec.name: np.zeros(shape)}))


def test_peak_memory_is_that_of_the_whole_past() -> None:
    before = peak_bytes()
    # More than this process has ever had.
    big = np.ones(before // 8 + 2**20)
    size = big.nbytes
    assert peak_bytes() > size
    del big
    assert peak_bytes() > size
