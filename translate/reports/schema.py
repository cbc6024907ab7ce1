"""The report as plain values: what `--json` prints, and what the other formats are made from.

The schema is versioned: a reader can rely on every field of a version; fields are added without a new version, and
a field that changes its meaning or goes makes a new one. Numbers that are not finite are the strings "inf", "-inf"
and "nan", because JSON has none. docs/report-schema.md says what every field means.
"""

from __future__ import annotations

import dataclasses
import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from translate import __version__
from translate.reports.sections import finding_report, gradients_report, spec_report, timing_report, verdict_report

if TYPE_CHECKING:
    from translate.doctor import Diagnosis
    from translate.inspection import Inspection
    from translate.routes import Result
    from translate.verify.bisect import Finding
    from translate.verify.gradients import GradientVerdict
    from translate.verify.timing import Timing
    from translate.verify.verdict import Verdict

SCHEMA = "translate.report/1"


def result_report(
    result: Result,
    *,
    finding: Finding | None = None,
    gradients: GradientVerdict | None = None,
    timing: Timing | None = None,
    max_slowdown: float | None = None,
    replay: str | None = None,
) -> dict[str, Any]:
    """Return the report of a translation, with what else was asked for.

    `max_slowdown` is what `timing` is judged by, `replay` the folder or file that the inputs were saved in.
    """
    measured = _measured(finding, gradients or result.gradients, timing, max_slowdown, replay)
    return {
        "schema": SCHEMA,
        "version": __version__,
        "command": result.command,
        "passed": result.passed and _agree(measured),
        "source": {"path": result.source, "kind": result.source_kind},
        "engine": result.engine,
        "route": result.route,
        "by_graph": dict(result.by_graph),
        "format": result.format,
        "output": None if result.output is None else str(result.output),
        "bytes": result.bytes,
        "inputs": [spec_report(spec) for spec in result.inputs],
        "outputs": [spec_report(spec) for spec in result.outputs],
        "weights": {"trainable": result.trainable, "frozen": result.frozen},
        "transposes": result.transposes,
        "training": None if result.training is None else dataclasses.asdict(result.training),
        "notes": list(result.notes),
        "verdict": None if result.verdict is None else verdict_report(result.verdict),
        **measured,
        "seconds": {stage: round(seconds, 3) for stage, seconds in result.seconds.items()},
    }


def verify_report(
    source: str,
    target: str,
    verdict: Verdict,
    notes: Sequence[str],
    seconds: float,
    *,
    finding: Finding | None = None,
    gradients: GradientVerdict | None = None,
    timing: Timing | None = None,
    max_slowdown: float | None = None,
    replay: str | None = None,
) -> dict[str, Any]:
    """Return the report of a comparison of the models named `source` and `target`; see `result_report`."""
    measured = _measured(finding, gradients, timing, max_slowdown, replay)
    return {
        "schema": SCHEMA,
        "version": __version__,
        "command": "verify",
        "passed": verdict.passed and _agree(measured),
        "source": {"path": source, "kind": verdict.source.kind},
        "target": {"path": target, "kind": verdict.target.kind},
        "notes": list(notes),
        "verdict": verdict_report(verdict),
        **measured,
        "seconds": {"verify": round(seconds, 3)},
    }


def bench_report(
    timing: Timing,
    notes: Sequence[str],
    seconds: float,
    *,
    max_slowdown: float | None = None,
) -> dict[str, Any]:
    """Return the report of a race: the first model of `timing` is the source, the others are measured against it."""
    measured = _measured(None, None, timing, max_slowdown, None)
    first, *others = timing.models
    return {
        "schema": SCHEMA,
        "version": __version__,
        "command": "bench",
        "passed": _agree(measured),
        "source": {"path": first.label, "kind": first.kind},
        **({"target": {"path": others[0].label, "kind": others[0].kind}} if len(others) == 1 else {}),
        "notes": list(notes),
        "verdict": None,
        **measured,
        "seconds": {"bench": round(seconds, 3)},
    }


def inspection_report(source: str, found: Inspection) -> dict[str, Any]:
    """Return the report of a look at the model named `source`."""
    return {
        "schema": SCHEMA,
        "command": "inspect",
        "source": {"path": source, "kind": found.kind},
        "inputs": [spec_report(spec) for spec in found.inputs],
        "outputs": [spec_report(spec) for spec in found.outputs],
        "operators": dict(found.operators),
        "weights": {"trainable": found.trainable, "frozen": found.frozen},
        "translates_to": found.translates_to,
        "problems": [dataclasses.asdict(problem) for problem in found.problems],
        "refusal": found.refusal,
        "notes": list(found.notes),
        "xla": None if found.xla is None else dataclasses.asdict(found.xla),
    }


def diagnosis_report(found: Diagnosis) -> dict[str, Any]:
    """Return the report of a look at the installation."""
    return {"schema": SCHEMA, "command": "doctor", **dataclasses.asdict(found)}


def render_json(report: Mapping[str, Any]) -> str:
    """Return `report` as JSON text."""
    text = json.dumps(finite(report), indent=2, allow_nan=False)
    # Lists of numbers on one line: a histogram is not to be read down the page. No string holds a line break.
    return _NUMBERS.sub(lambda match: "[" + " ".join(match[1].split()) + "]", text) + "\n"


_NUMBERS = re.compile(r"\[\n([-+.\deE,\s]+?)\n *\]")


def _measured(
    finding: Finding | None,
    gradients: GradientVerdict | None,
    timing: Timing | None,
    max_slowdown: float | None,
    replay: str | None,
) -> dict[str, Any]:
    return {
        "bisect": None if finding is None else finding_report(finding),
        "gradients": None if gradients is None else gradients_report(gradients),
        "timing": None if timing is None else timing_report(timing, max_slowdown),
        "replay": replay,
    }


def _agree(measured: Mapping[str, Any]) -> bool:
    return all(measured[part] is None or measured[part]["passed"] for part in ("gradients", "timing"))


def finite(value: Any) -> Any:
    """Return plain values with the strings "inf", "-inf" and "nan" in place of what JSON has no numbers for."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, Mapping):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [finite(item) for item in value]
    return value
