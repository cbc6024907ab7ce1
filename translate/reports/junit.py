"""The report as JUnit XML, which every CI system shows: a test case for each output of each run, and for each gate."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence

from translate.reports.summary import ratio_text, summary
from translate.reports.text import Report, printable, run_text


def render_junit(report: Report) -> str:
    """Return `report` as a JUnit XML document: a suite for each of interface, outputs, gradients, timing, baseline."""
    document = _Document(report)
    verdict = report["verdict"]
    if verdict is not None:
        document.parity(verdict, report.get("bisect"))
    elif report["command"] != "bench":
        document.skip("parity", "not verified")
    if report.get("gradients") is not None:
        document.gradients(report["gradients"])
    if report.get("timing") is not None:
        document.timing(report["timing"])
    if report.get("baseline") is not None:
        document.baseline(report["baseline"])
    return document.text(f"{sum(report['seconds'].values()):.3f}", summary(report).title)


class _Document:
    """Collects test cases by suite; the class name of a case is what tree views of CI systems group by."""

    def __init__(self, report: Report) -> None:
        self.name = printable(f"translate {report['command']} {report['source']['path']}")
        self.root = ElementTree.Element("testsuites", name=self.name)
        self.suites: dict[str, ElementTree.Element] = {}

    def parity(self, verdict: Report, finding: Report | None) -> None:
        self.case("interface", "names, dtypes and shapes", verdict["interface"])
        # Where the outputs part is the reason of every failure.
        reason = [] if finding is None else [finding["summary"]]
        if finding is not None and finding["reproducer"]:
            reason.append(f"files that show it: {finding['reproducer']}")
        if not verdict["runs"] and not verdict["interface"]:
            self.case("outputs", "compared", ["nothing was run"])
        for run in verdict["runs"]:
            where = f"[{run_text(run)}]" if run["seed"] is None else f"[{run_text(run)}, seed {run['seed']}]"
            if run["failure"]:
                self.case("outputs", f"run {where}", [run["failure"]])
            for output in run["outputs"]:
                self.case("outputs", f"{output['name']} {where}", output["problems"], reason)

    def gradients(self, gradients: Report) -> None:
        if gradients["failure"] or not gradients["gradients"]:
            self.case("gradients", "differentiate", [gradients["failure"] or "nothing could be differentiated"])
        for gradient in gradients["gradients"]:
            self.case("gradients", f"{gradient['kind']} {gradient['name']}", gradient["problems"])
        if gradients["curve"] is not None:
            self.case("gradients", "loss curve", gradients["curve"]["problems"])

    def timing(self, timing: Report) -> None:
        times = [ratio_text(ratio) for case in timing["cases"] for ratio in case["ratios"]]
        limit = timing["max_slowdown"]
        name = "measured, no limit asked for" if limit is None else f"at most {limit:g} times as slow"
        self.case("timing", name, timing["problems"], times)

    def baseline(self, baseline: Report) -> None:
        failing = [change for change in baseline["changes"] if change["fails"]]
        for change in failing:
            self.case(
                "baseline", f"{change['kind']} of {change['subject']}", [f"{change['subject']}: {change['text']}"]
            )
        if not failing:
            self.case("baseline", f"nothing worse than {baseline['path']}", [])

    def case(self, suite: str, name: str, problems: Sequence[str], reason: Sequence[str] = ()) -> None:
        """Add a test case, failed when there are `problems`; `reason` follows them in the text of the failure."""
        case = self._case(suite, name)
        if problems:
            failure = ElementTree.SubElement(case, "failure", message=printable(problems[0]), type="failed")
            failure.text = printable("\n".join([*problems, *reason]))
        elif reason and suite == "timing":
            ElementTree.SubElement(case, "system-out").text = printable("\n".join(reason))

    def skip(self, suite: str, message: str) -> None:
        """Add a test case that was not run."""
        ElementTree.SubElement(self._case(suite, suite), "skipped", message=message)

    def _case(self, suite: str, name: str) -> ElementTree.Element:
        if suite not in self.suites:
            self.suites[suite] = ElementTree.SubElement(self.root, "testsuite", name=suite)
        return ElementTree.SubElement(
            self.suites[suite], "testcase", name=printable(name), classname=f"{self.name}.{suite}", time="0"
        )

    def text(self, seconds: str, title: str) -> str:
        """Return the document with its counts."""
        for element in (*self.suites.values(), self.root):
            element.set("tests", str(len(list(element.iter("testcase")))))
            element.set("failures", str(len(list(element.iter("failure")))))
            element.set("errors", "0")
            element.set("skipped", str(len(list(element.iter("skipped")))))
        self.root.set("time", seconds)
        first = next(iter(self.suites.values()), None)
        if first is not None:
            # Suites are not timed apart.
            first.set("time", seconds)
            properties = ElementTree.Element("properties")
            ElementTree.SubElement(properties, "property", name="verdict", value=title)
            first.insert(0, properties)
        ElementTree.indent(self.root)
        return '<?xml version="1.0" encoding="utf-8"?>\n' + ElementTree.tostring(self.root, encoding="unicode") + "\n"
