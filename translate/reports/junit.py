"""The report as JUnit XML, which every CI system shows: one test case for each output of each run."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping
from typing import Any

from translate.reports.markdown import run_text


def render_junit(report: Mapping[str, Any]) -> str:
    """Return `report` as a JUnit XML document."""
    verdict = report["verdict"]
    name = f"translate {report['command']} {report['source']['path']}"
    suite = ElementTree.Element("testsuite", name=name, time=f"{sum(report['seconds'].values()):.3f}")
    if verdict is None:
        ElementTree.SubElement(_case(suite, "parity", name), "skipped", message="not verified")
    else:
        interface = _case(suite, "interface", name)
        if verdict["interface"]:
            _fail(interface, verdict["interface"])
        for run in verdict["runs"]:
            if run["failure"]:
                _fail(_case(suite, f"run [{run_text(run)}, seed {run['seed']}]", name), [run["failure"]])
            for output in run["outputs"]:
                case = _case(suite, f"{output['name']} [{run_text(run)}, seed {run['seed']}]", name)
                if not output["passed"]:
                    _fail(case, output["problems"])
    suite.set("tests", str(len(suite)))
    suite.set("failures", str(len(suite.findall("testcase/failure"))))
    suite.set("errors", "0")
    suite.set("skipped", str(len(suite.findall("testcase/skipped"))))
    ElementTree.indent(suite)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + ElementTree.tostring(suite, encoding="unicode") + "\n"


def _case(suite: ElementTree.Element, name: str, classname: str) -> ElementTree.Element:
    return ElementTree.SubElement(suite, "testcase", name=name, classname=classname)


def _fail(case: ElementTree.Element, problems: list[str]) -> None:
    ElementTree.SubElement(case, "failure", message=problems[0]).text = "\n".join(problems)
