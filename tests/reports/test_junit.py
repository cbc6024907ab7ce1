"""JUnit XML is read by JUnit parsers, and says what failed."""

from __future__ import annotations

from typing import Any

import junitparser

from tests.reports import samples
from translate.reports import render
from translate.reports.baseline import with_baseline
from translate.verify import RunParity


def suites(report: dict[str, Any]) -> dict[str, junitparser.TestSuite]:
    read = junitparser.JUnitXml.fromstring(render(report, ".xml").encode("utf-8"))
    found = {suite.name: suite for suite in read}
    assert read.tests == sum(suite.tests for suite in found.values())
    assert read.failures == sum(suite.failures for suite in found.values())
    for suite in found.values():
        assert suite.tests == len(list(suite))
    return found


def failures(suite: junitparser.TestSuite) -> dict[str, str]:
    return {case.name: case.result[0].text for case in suite if case.result}


def test_there_is_one_case_for_each_output_and_run() -> None:
    runs = samples.runs(samples.output("a"), samples.output("b", 40.0))
    crash = RunParity({"batch": 5}, None, (), "edge zeros", failure="the target fails")
    found = suites(samples.verified(samples.verdict(*runs, crash), finding=samples.finding()))["outputs"]
    assert (found.tests, found.failures) == (9, 5)
    failed = failures(found)
    assert "b [batch=7, seed 1]" in failed
    assert failed["run [edge zeros batch=5]"] == "the target fails"
    # The failure says where it comes from.
    assert "layer3.0.bn1 (resnet.py:88)" in failed["b [batch=2, seed 0]"]


def test_names_of_cases_are_unique() -> None:
    for suite in suites(samples.everything()).values():
        names = [case.name for case in suite]
        assert len(set(names)) == len(names)


def test_gradients_and_timing_are_cases() -> None:
    found = suites(samples.everything())
    assert set(failures(found["gradients"])) == {"parameter bn1.weight", "parameter fc.bias", "loss curve"}
    assert failures(found["timing"])["at most 1.2 times as slow"].startswith("model_tf takes 1.35")


def test_what_was_not_verified_is_skipped() -> None:
    found = suites(samples.translated(None))
    assert (found["parity"].tests, found["parity"].skipped) == (1, 1)


def test_a_verdict_that_ran_nothing_is_a_failure() -> None:
    assert sum(suite.failures for suite in suites(samples.verified(samples.verdict())).values()) == 1


def test_what_xml_cannot_hold_is_written_out() -> None:
    failed = failures(suites(samples.everything())["outputs"])
    name = next(name for name in failed if name.startswith("<script>"))
    assert "\\x00\\x1b[31m \\ud800" in name


def test_a_regression_is_a_failure() -> None:
    good, bad = (samples.verified(samples.verdict(*samples.runs(samples.output("a", e)))) for e in (0.2, 30.0))
    assert suites(with_baseline(bad, "old.json", good))["baseline"].failures == 1
    assert suites(with_baseline(good, "old.json", bad))["baseline"].failures == 0
