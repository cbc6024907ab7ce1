"""Every report says the same thing, in every format, whatever is in it."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import pytest

from tests.reports import samples
from translate.errors import UsageError
from translate.reports import check_report_path, render
from translate.verify import Verdict

FORMATS = (".json", ".xml", ".md", ".html")


@functools.cache
def reports() -> dict[str, dict[str, Any]]:
    good = samples.verdict(*samples.runs(samples.output("a")))
    return {
        "not verified": samples.translated(None),
        "translated": samples.translated(good, timing=samples.timing(), max_slowdown=1.2),
        "nothing run": samples.verified(samples.verdict()),
        "no outputs": samples.verified(samples.verdict(*samples.runs())),
        "everything": samples.everything(),
        "bench": samples.raced(samples.timing(labels=("a.pt2", "b_tf", "c.onnx"))),
        "bench of one": samples.raced(samples.timing(labels=("a.pt2",))),
        "hundreds": samples.verified(samples.verdict(*samples.runs(*(samples.output(f"o{i}") for i in range(120))))),
    }


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("name", list(reports()))
def test_every_report_has_every_format(name: str, suffix: str) -> None:
    text = render(reports()[name], suffix)
    # It can be written: no half surrogate pairs.
    assert text.encode("utf-8").endswith(b"\n") or suffix == ".html"


@pytest.mark.parametrize("suffix", FORMATS)
def test_interface_differences_are_in_every_format(suffix: str) -> None:
    differs = Verdict(samples.SIDE, samples.SIDE, (), interface=("output a is missing in the target",))
    values = samples.verified(differs)
    assert values["passed"] is False
    assert "is missing in the target" in render(values, suffix)


@pytest.mark.parametrize("suffix", FORMATS)
def test_the_finding_of_bisect_is_in_every_format(suffix: str) -> None:
    bad = samples.verdict(*samples.runs(samples.output("logits", 340.0)))
    text = render(samples.verified(bad, finding=samples.finding()), suffix)
    assert "layer3.0.bn1" in text
    assert "resnet.py:88" in text


def test_gradients_and_timing_decide_too() -> None:
    good = samples.verdict(*samples.runs(samples.output("a")))
    assert samples.verified(good)["passed"] is True
    assert samples.verified(good, gradients=samples.gradients(agree=False))["passed"] is False
    slow = samples.timing(1.15, 1.3)
    assert samples.verified(good, timing=slow)["passed"] is True
    assert samples.verified(good, timing=slow, max_slowdown=1.2)["passed"] is False


def test_report_paths_are_checked(tmp_path: Path) -> None:
    for suffix in FORMATS:
        check_report_path(tmp_path / f"r{suffix}")
    with pytest.raises(UsageError, match=r"no such report format; there are .json, .xml, .md, .html"):
        check_report_path(tmp_path / "r.pdf")
    with pytest.raises(UsageError, match="not a file in an existing folder"):
        check_report_path(tmp_path / "missing" / "r.json")
