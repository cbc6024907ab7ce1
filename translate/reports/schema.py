"""The report as plain values: what `--json` prints, and what the other formats are made from.

The schema is versioned: a reader can rely on every field of a version; fields are added without a new version, and
a field that changes its meaning or goes makes a new one. Numbers that are not finite are the strings "inf", "-inf"
and "nan", because JSON has none.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from translate.doctor import Diagnosis
    from translate.inspection import Inspection
    from translate.models.base import Spec
    from translate.routes import Result
    from translate.verify.verdict import OutputParity, RunParity, Side, Verdict

SCHEMA = "translate.report/1"


def result_report(result: Result) -> dict[str, Any]:
    """Return the report of a translation."""
    return {
        "schema": SCHEMA,
        "command": "torch2tf",
        "passed": result.passed,
        "source": {"path": result.source, "kind": result.source_kind},
        "engine": result.engine,
        "output": None if result.output is None else str(result.output),
        "bytes": result.bytes,
        "inputs": [spec_report(spec) for spec in result.inputs],
        "outputs": [spec_report(spec) for spec in result.outputs],
        "weights": {"trainable": result.trainable, "frozen": result.frozen},
        "transposes": result.transposes,
        "notes": list(result.notes),
        "verdict": None if result.verdict is None else verdict_report(result.verdict),
        "seconds": {stage: round(seconds, 3) for stage, seconds in result.seconds.items()},
    }


def verify_report(source: str, target: str, verdict: Verdict, notes: Sequence[str], seconds: float) -> dict[str, Any]:
    """Return the report of a comparison of the models named `source` and `target`."""
    return {
        "schema": SCHEMA,
        "command": "verify",
        "passed": verdict.passed,
        "source": {"path": source, "kind": verdict.source.kind},
        "target": {"path": target, "kind": verdict.target.kind},
        "notes": list(notes),
        "verdict": verdict_report(verdict),
        "seconds": {"verify": round(seconds, 3)},
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
    }


def diagnosis_report(found: Diagnosis) -> dict[str, Any]:
    """Return the report of a look at the installation."""
    return {"schema": SCHEMA, "command": "doctor", **dataclasses.asdict(found)}


def verdict_report(verdict: Verdict) -> dict[str, Any]:
    """Return a verdict as plain values."""
    return {
        "passed": verdict.passed,
        "source": _side(verdict.source),
        "target": _side(verdict.target),
        "interface": list(verdict.interface),
        "runs": [_run(run) for run in verdict.runs],
        "warnings": list(verdict.warnings),
    }


def spec_report(spec: Spec) -> dict[str, Any]:
    """Return an input or output as plain values; an open dimension is its name or null."""
    return {"name": spec.name, "dtype": spec.dtype, "shape": None if spec.shape is None else list(spec.shape)}


def render_json(report: Mapping[str, Any]) -> str:
    """Return `report` as JSON text."""
    return json.dumps(_finite(report), indent=2, allow_nan=False) + "\n"


def _side(side: Side) -> dict[str, Any]:
    return {
        "kind": side.kind,
        "inputs": [spec_report(spec) for spec in side.inputs],
        "outputs": [spec_report(spec) for spec in side.outputs],
    }


def _run(run: RunParity) -> dict[str, Any]:
    return {
        "sizes": dict(run.sizes),
        "inputs": run.inputs,
        "seed": run.seed,
        "passed": run.passed,
        "failure": run.failure,
        "outputs": [_output(output) for output in run.outputs],
    }


def _output(output: OutputParity) -> dict[str, Any]:
    return {
        "name": output.name,
        "dtype": output.dtype,
        "shape": list(output.shape),
        "passed": output.passed,
        "max_abs": output.max_abs,
        "max_rel": output.max_rel,
        "scale": output.scale,
        "error": output.error,
        "cosine": output.cosine,
        "tolerance": {
            "rtol": output.tolerance.rtol,
            "atol": output.tolerance.atol,
            "scaled": output.tolerance.scaled,
        },
        "problems": list(output.problems),
        "notes": list(output.notes),
    }


def _finite(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_finite(item) for item in value]
    return value
