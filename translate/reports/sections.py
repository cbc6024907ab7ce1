"""The parts of a report as plain values: the verdict, bisection, gradients, timing. See `translate.reports.schema`."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from translate.models.base import Spec
    from translate.verify.bisect import Finding
    from translate.verify.descent import LossCurve
    from translate.verify.gradients import GradientParity, GradientVerdict
    from translate.verify.stopwatch import Latency, ModelTiming
    from translate.verify.timing import CaseTiming, Timing
    from translate.verify.verdict import OutputParity, RunParity, Side, Verdict


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


def finding_report(finding: Finding) -> dict[str, Any]:
    """Return where two models part as plain values."""
    return {
        "stage": finding.stage,
        "summary": finding.summary,
        "value": finding.value,
        "operator": finding.operator,
        "node": finding.node,
        "nodes": list(finding.nodes),
        "module": finding.module,
        "source": finding.source,
        "compared": finding.compared,
        "total": finding.total,
        "before": [_output(parity) for parity in finding.before],
        "after": _output(finding.after),
        "alone": None if finding.alone is None else _output(finding.alone),
        "trail": [_trail(parity) for parity in finding.trail],
        "reproducer": None if finding.reproducer is None else str(finding.reproducer),
    }


def gradients_report(gradients: GradientVerdict) -> dict[str, Any]:
    """Return a comparison of gradients as plain values."""
    return {
        "passed": gradients.passed,
        "seed": gradients.seed,
        "sizes": dict(gradients.sizes),
        "failure": gradients.failure,
        "gradients": [_gradient(gradient) for gradient in gradients.gradients],
        "curve": None if gradients.curve is None else _curve(gradients.curve),
        "notes": list(gradients.notes),
    }


def timing_report(timing: Timing, max_slowdown: float | None = None) -> dict[str, Any]:
    """Return times as plain values, judged by the largest allowed ratio to the first model where there is one."""
    complaints = [] if max_slowdown is None else timing.too_slow(max_slowdown)
    return {
        "passed": not complaints,
        "max_slowdown": max_slowdown,
        "problems": complaints,
        "warnings": timing.warnings(),
        "models": [
            {"label": model.label, "kind": model.kind, "settings": dict(model.settings)} for model in timing.models
        ],
        "cases": [_case(case) for case in timing.cases],
        "cold": [dataclasses.asdict(start) for start in timing.cold],
        "budget": timing.options.seconds,
        "seed": timing.options.seed,
        "seconds": timing.seconds,
    }


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
    tolerance = output.tolerance
    return {
        "name": output.name,
        "dtype": output.dtype,
        "shape": list(output.shape),
        "passed": output.passed,
        "max_abs": output.max_abs,
        "max_rel": output.max_rel,
        "rms": output.rms,
        "scale": output.scale,
        "error": output.error,
        "cosine": output.cosine,
        "noise": None if output.noise is None else dataclasses.asdict(output.noise),
        "over_noise": output.over_noise,
        "rms_over_noise": output.rms_over_noise,
        "tolerance": {**dataclasses.asdict(tolerance), "scaled": tolerance.kind in ("exact", "calibrated")},
        "agreement": [dataclasses.asdict(agreement) for agreement in output.agreement],
        "histogram": None if output.histogram is None else _lists(dataclasses.asdict(output.histogram)),
        "problems": list(output.problems),
        "notes": list(output.notes),
    }


def _trail(parity: OutputParity) -> dict[str, Any]:
    """Return what a plot of the errors along a graph needs."""
    keys = ("name", "dtype", "passed", "max_abs", "rms", "scale", "error", "noise", "over_noise", "tolerance")
    return {key: value for key, value in _output(parity).items() if key in keys}


def _gradient(gradient: GradientParity) -> dict[str, Any]:
    return {**_lists(dataclasses.asdict(gradient)), "passed": gradient.passed}


def _curve(curve: LossCurve) -> dict[str, Any]:
    return {**_lists(dataclasses.asdict(curve)), "passed": curve.passed}


def _case(case: CaseTiming) -> dict[str, Any]:
    return {
        "label": case.label,
        "sizes": dict(case.sizes),
        "items": case.items,
        "models": [_model_timing(model) for model in case.models],
        "ratios": [{**dataclasses.asdict(ratio), "word": ratio.word} for ratio in case.ratios],
    }


def _model_timing(model: ModelTiming) -> dict[str, Any]:
    copies = {kind: _latency(getattr(model, kind)) for kind in ("upload", "download")}
    call = {**_latency(model.call), "samples": _rounded(model.call.samples)}
    timed = {**dataclasses.asdict(model), "steady": model.steady, "rounds": _rounded(model.rounds)}
    return {**timed, "call": call, **copies}


def _latency(latency: Latency) -> dict[str, Any]:
    return {key: getattr(latency, key) for key in ("count", "mean", "p50", "p90", "p99")}


def _rounded(seconds: Sequence[float]) -> list[float]:
    """Return times to four digits: there may be thousands of them, and clocks are no better."""
    return [float(f"{value:.4g}") for value in seconds]


def _lists(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return `values` with a list in place of every tuple, as they are when read back from JSON."""
    return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}
