"""Every report says the same thing, and can be read by whoever it is for."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import pytest

from translate.errors import UsageError
from translate.models.base import Spec
from translate.reports import check_report_path, render
from translate.reports.schema import result_report, verify_report
from translate.routes import Result
from translate.verify import OutputParity, RunParity, Side, Verdict

SPEC = Spec("x|y", "float32", ("batch", 3, None))
SIDE = Side("PyTorch module", (SPEC,), (SPEC,))
GOOD = OutputParity("a", "float32", (2, 3), max_abs=1e-7, scale=1.0, error=0.01, cosine=1.0, notes=("NaN on both",))
BAD = OutputParity("b", "float32", (2, 3), max_rel=float("inf"), error=float("inf"), problems=("4 values <differ>",))
RUN = RunParity({"batch": 2}, 0, (GOOD, BAD))
CRASH = RunParity({"batch": 5}, 1, (), failure="the target fails")


def verdict(*runs: RunParity) -> Verdict:
    return Verdict(SIDE, SIDE, runs, warnings=("output b hardly depends",))


def report(verdict: Verdict | None) -> dict[str, Any]:
    result = Result(
        source="m.pt2",
        source_kind="PyTorch module",
        engine="native",
        output=Path("m_tf"),
        bytes=1234,
        inputs=(SPEC,),
        outputs=(SPEC,),
        trainable=7,
        frozen=3,
        transposes=1,
        notes=("set to eval",),
        verdict=verdict,
        seconds={"open": 1.25, "verify": 0.5},
    )
    return result_report(result)


def test_json_is_strict_and_versioned() -> None:
    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is no JSON")

    read = json.loads(render(report(verdict(RUN)), ".json"), parse_constant=refuse)
    assert read["schema"] == "translate.report/1"
    assert read["passed"] is False
    assert read["inputs"] == [{"name": "x|y", "dtype": "float32", "shape": ["batch", 3, None]}]
    assert read["weights"] == {"trainable": 7, "frozen": 3}
    good, bad = read["verdict"]["runs"][0]["outputs"]
    assert (good["passed"], bad["passed"], bad["error"]) == (True, False, "inf")
    assert json.loads(render(report(None), ".json"))["verdict"] is None


def test_junit_counts_one_case_for_each_output() -> None:
    suite = ElementTree.fromstring(render(report(verdict(RUN, CRASH)), ".xml"))
    assert (suite.get("tests"), suite.get("failures"), suite.get("skipped")) == ("4", "2", "0")
    failures = [failure.get("message") for failure in suite.iter("failure")]
    assert failures == ["4 values <differ>", "the target fails"]
    assert ElementTree.fromstring(render(report(None), ".xml")).get("skipped") == "1"


def test_markdown_tables_keep_their_columns() -> None:
    text = render(report(verdict(RUN, CRASH)), ".md")
    rows = [line for line in text.splitlines() if line.startswith("| ")]
    assert len(rows) == 5
    assert len({row.replace("\\|", "").count("|") for row in rows}) == 1
    assert "not equal" in text.splitlines()[0]
    assert "x|y float32[batch, 3, ?]" in text
    assert "not verified" in render(report(None), ".md").splitlines()[0]


def test_interface_differences_are_in_every_report() -> None:
    differs = Verdict(SIDE, SIDE, (), interface=('output "a" is missing in the target',))
    values = verify_report("a", "b", differs, ["a note"], 1.0)
    for suffix in (".json", ".md", ".xml"):
        assert "is missing in the target" in render(values, suffix)
    assert values["passed"] is False


def test_report_paths_are_checked(tmp_path: Path) -> None:
    check_report_path(tmp_path / "r.json")
    with pytest.raises(UsageError, match=r"no such report format; there are .json, .md, .xml"):
        check_report_path(tmp_path / "r.html")
    with pytest.raises(UsageError, match="not a file in an existing folder"):
        check_report_path(tmp_path / "missing" / "r.json")
