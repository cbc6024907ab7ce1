"""A baseline tells what became worse, and fails for what is certain."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.reports import samples
from translate.errors import UsageError
from translate.models.base import Spec
from translate.reports import render
from translate.reports.baseline import read_baseline, with_baseline
from translate.verify import Side


def report(error: float = 0.2, **parts: Any) -> dict[str, Any]:
    return samples.verified(samples.verdict(*samples.runs(samples.output("a", error))), **parts)


def changes(before: dict[str, Any], now: dict[str, Any]) -> tuple[bool, list[tuple[str, bool | None, bool]]]:
    """Compare as the command line does, with what was written and read back; return kind, worse, fails."""
    found = with_baseline(now, "old.json", json.loads(render(before, ".json")))
    return found["passed"], [(c["kind"], c["worse"], c["fails"]) for c in found["baseline"]["changes"]]


def test_the_same_again_is_no_change() -> None:
    everything = samples.everything()
    _, found = changes(everything, everything)
    assert found == []
    assert changes(report(), report()) == (True, [])


def test_what_agreed_and_does_not_any_more_fails() -> None:
    assert changes(report(0.2), report(30.0)) == (False, [("parity", True, True)])
    assert changes(report(30.0), report(0.2)) == (True, [("parity", False, False)])


def test_an_error_that_grew_within_its_limit_is_said() -> None:
    assert changes(report(0.2), report(0.9)) == (True, [("error", True, False)])
    assert changes(report(0.9), report(0.2)) == (True, [("error", False, False)])
    assert changes(report(0.2), report(0.3)) == (True, [])
    # From equal to the last bit to anything at all.
    assert changes(report(0.0), report(0.01)) == (True, [("error", True, False)])


def test_a_changed_interface_fails() -> None:
    def with_outputs(*specs: Spec) -> dict[str, Any]:
        found = samples.verdict(*samples.runs(samples.output("a")))
        return samples.verified(replace(found, target=Side("SavedModel", (), specs)))

    one = with_outputs(Spec("a", "float32", ("batch", 3)))
    assert changes(one, with_outputs(Spec("a", "float32", (1, 3)))) == (False, [("interface", True, True)])
    assert changes(one, with_outputs(Spec("b", "float32", ("batch", 3)))) == (False, [("interface", True, True)] * 2)


def test_only_a_slowdown_beyond_both_intervals_fails() -> None:
    def timed(low: float, high: float) -> dict[str, Any]:
        return report(timing=samples.timing(low, high))

    slower = ("timing", True, True)
    assert changes(timed(0.9, 1.1), timed(1.2, 1.4)) == (False, [slower] * 3)
    assert changes(timed(0.9, 1.1), timed(1.05, 1.4)) == (True, [])
    assert changes(timed(1.2, 1.4), timed(0.9, 1.1)) == (True, [("timing", False, False)] * 3)


def test_times_of_other_devices_are_not_compared() -> None:
    now = samples.timing(2.0, 2.1)
    now = replace(now, models=tuple(replace(model, settings={"device": "gpu:0"}) for model in now.models))
    assert changes(report(timing=samples.timing()), report(timing=now)) == (True, [("timing", None, False)] * 3)


def test_what_is_not_looked_at_any_more_is_said() -> None:
    two = samples.verified(samples.verdict(*samples.runs(samples.output("a"), samples.output("b"))))
    assert changes(two, report()) == (True, [("coverage", True, False)])
    assert changes(report(gradients=samples.gradients()), report()) == (True, [("coverage", True, False)])


def test_gradients_are_compared_by_name() -> None:
    good, bad = (report(gradients=samples.gradients(agree=agree)) for agree in (True, False))
    passed, found = changes(good, bad)
    assert (passed, found.count(("gradient", True, True))) == (False, 2)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("<html>", "is not JSON"),
        ("[1]", "has the schema None"),
        ('{"schema": "other/1"}', "has the schema 'other/1'"),
        ('{"schema": "translate.report/1", "command": "doctor"}', "neither a verdict nor times"),
        ('{"schema": "translate.report/1", "verdict": {"runs": 3}, "source": {"path": "a"}}', "is damaged"),
        ('{"schema": "translate.report/1", "verdict": {}}', "is damaged"),
    ],
)
def test_a_bad_or_foreign_file_is_a_usage_error(tmp_path: Path, content: str, complaint: str) -> None:
    path = tmp_path / "old.json"
    path.write_text(content)
    with pytest.raises(UsageError, match=complaint):
        read_baseline(path)


def test_a_missing_file_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="No such file"):
        read_baseline(tmp_path / "missing.json")


def test_a_written_report_is_a_baseline(tmp_path: Path) -> None:
    path = tmp_path / "old.json"
    path.write_text(render(samples.everything(), ".json"))
    assert read_baseline(path)["command"] == "verify"
