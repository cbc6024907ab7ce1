"""What changed since an earlier report: what is worse, what is better, what is not looked at any more.

The exit code follows `fails`: something that agreed before and does not now, an interface that changed, and a model
that became slower for certain, its ratio to the source above the earlier interval. An error that grew and is still
within its limit is said, and fails nothing. A new baseline is how a change is accepted.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from translate.errors import UsageError
from translate.reports.schema import SCHEMA
from translate.reports.text import Report, count, number, run_text, spec_text

# Rounding is the same on the same machine, and another order of summation moves its maximum by less than this.
GROWN = 2.0

Kind = Literal["models", "interface", "parity", "error", "gradient", "coverage", "timing"]


@dataclass(frozen=True)
class Change:
    """One thing that differs between two reports.

    `subject` is what it is about: an output, a gradient, a model. `worse` is None for what is neither worse nor better.
    `fails` says whether it makes the comparison fail.
    """

    kind: Kind
    subject: str
    text: str
    worse: bool | None
    fails: bool = False


@dataclass(frozen=True)
class _Outcome:
    passed: bool
    # Distance over rounding noise where that is known, else over the limit.
    error: float
    unit: str


@dataclass(frozen=True)
class _Ratio:
    low: float
    high: float
    settings: str


@dataclass(frozen=True)
class _Facts:
    """What two reports are compared by; the keys say what belongs together."""

    models: tuple[str, ...]
    interface: dict[str, str]
    outputs: dict[tuple[str, str], _Outcome]
    gradients: dict[str, _Outcome]
    ratios: dict[tuple[str, int], _Ratio]


def read_baseline(path: Path) -> Report:
    """Return the JSON report in `path`, to compare a later one with.

    Raises `UsageError` when it cannot be read or is no report of `torch2tf`, `tf2torch`, `verify` or `bench`.
    """
    try:
        report = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"--baseline {path}: {error.strerror}") from error
    except ValueError as error:
        raise UsageError(f"--baseline {path} is not JSON; a baseline is what --report FILE.json wrote") from error
    if not isinstance(report, dict) or report.get("schema") != SCHEMA:
        found = report.get("schema") if isinstance(report, dict) else None
        raise UsageError(f"--baseline {path} has the schema {found!r}, not {SCHEMA}; --report FILE.json writes one")
    if report.get("verdict") is None and report.get("timing") is None:
        raise UsageError(f"--baseline {path} holds neither a verdict nor times: there is nothing to compare with")
    try:
        _facts(report)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UsageError(f"--baseline {path} is damaged: {type(error).__name__}: {error}") from error
    return report


def with_baseline(report: Report, path: str, baseline: Report) -> dict[str, Any]:
    """Return `report` with what changed since `baseline`, read from `path`; `passed` takes it into account."""
    changes = list(_changes(_facts(baseline), _facts(report)))
    fails = any(change.fails for change in changes)
    section = {"path": path, "passed": not fails, "changes": [asdict(change) for change in changes]}
    return {**report, "baseline": section, "passed": report["passed"] and not fails}


def _facts(report: Report) -> _Facts:
    verdict = report.get("verdict")
    gradients = report.get("gradients")
    timing = report.get("timing")
    models = (report["source"]["path"], report["target"]["path"]) if "target" in report else (report["source"]["path"],)
    return _Facts(
        models=models,
        interface={} if verdict is None else dict(_interface(verdict["target"])),
        outputs={} if verdict is None else dict(_outputs(verdict)),
        gradients={} if gradients is None else {
            gradient["name"]: _Outcome(gradient["passed"], float(gradient["error"]), "the limit")
            for gradient in gradients["gradients"]
        },
        ratios={} if timing is None else dict(_ratios(timing)),
    )  # fmt: skip


def _interface(side: Report) -> Iterator[tuple[str, str]]:
    for role in ("inputs", "outputs"):
        for spec in side[role]:
            yield f'{role.removesuffix("s")} "{spec["name"]}"', spec_text(spec)


def _outputs(verdict: Report) -> Iterator[tuple[tuple[str, str], _Outcome]]:
    for run in verdict["runs"]:
        where = f"{run_text(run)}, seed {run['seed']}"
        for output in run["outputs"]:
            noise = output.get("over_noise")
            error, unit = (output["error"], "the limit") if noise is None else (noise, "the rounding noise")
            yield (output["name"], where), _Outcome(output["passed"], float(error), unit)
        if run["failure"]:
            yield ("the run", where), _Outcome(False, float("inf"), "the limit")


def _ratios(timing: Report) -> Iterator[tuple[tuple[str, int], _Ratio]]:
    settings = ", ".join(sorted({f"{k}={v}" for model in timing["models"] for k, v in model["settings"].items()}))
    for case in timing["cases"]:
        where = run_text({"inputs": "random", "sizes": case["sizes"]})
        for index, ratio in enumerate(case["ratios"], start=1):
            yield (where, index), _Ratio(float(ratio["low"]), float(ratio["high"]), settings)


def _changes(before: _Facts, now: _Facts) -> Iterator[Change]:
    if before.models != now.models:
        yield Change("models", "models", f"the baseline compared {' and '.join(before.models)}", None)
    yield from _interface_changes(before.interface, now.interface)
    yield from _output_changes(before.outputs, now.outputs)
    for name, old in before.gradients.items():
        if name in now.gradients:
            yield from _outcome_changes("gradient", f"gradient of {name}", old, now.gradients[name])
    missing = [name for name in before.gradients if name not in now.gradients]
    if missing:
        yield Change("coverage", "gradients", f"{count(len(missing), 'gradient')} not compared any more", True)
    yield from _timing_changes(before, now)


def _interface_changes(before: Mapping[str, str], now: Mapping[str, str]) -> Iterator[Change]:
    # Without a verdict on either side nothing is known about the interface.
    if not before or not now:
        return
    for what in [*before, *(new for new in now if new not in before)]:
        if what not in now:
            yield Change("interface", what, f"{what} is gone", True, fails=True)
        elif what not in before:
            yield Change("interface", what, f"{what} is new: {now[what]}", True, fails=True)
        elif before[what] != now[what]:
            yield Change("interface", what, f"{what} was {before[what]} and is {now[what]}", True, fails=True)


def _output_changes(
    before: Mapping[tuple[str, str], _Outcome], now: Mapping[tuple[str, str], _Outcome]
) -> Iterator[Change]:
    """Compare each output by its worst over the runs that both reports have."""
    both = [key for key in before if key in now]
    for name in dict.fromkeys(name for name, _ in both):
        runs = [key for key in both if key[0] == name]
        yield from _outcome_changes("parity", name, _worst(before, runs), _worst(now, runs))
    # A run that failed as a whole has no outputs; its outputs are no news.
    failed = {where for (name, where), outcome in now.items() if name == "the run"}
    for name, where in now:
        if name == "the run" and ("the run", where) not in before:
            yield Change("parity", name, f"the run at {where} fails, which it did not", True, fails=True)
    missing = [key for key in before if key not in now and key[1] not in failed and key[0] != "the run"]
    if missing:
        text = (
            f"{count(len(missing), 'comparison')} of the baseline not made any more, such as {' at '.join(missing[0])}"
        )
        yield Change("coverage", "outputs", text, True)


def _worst(outcomes: Mapping[tuple[str, str], _Outcome], keys: list[tuple[str, str]]) -> _Outcome:
    return max((outcomes[key] for key in keys), key=lambda outcome: (not outcome.passed, outcome.error))


def _outcome_changes(kind: Kind, subject: str, before: _Outcome, now: _Outcome) -> Iterator[Change]:
    if before.passed != now.passed:
        text = "agreed, and does not any more" if before.passed else "did not agree, and does now"
        yield Change(kind, subject, text, before.passed, fails=before.passed)
    elif before.unit == now.unit:
        text = f"error was {number(before.error)} and is {number(now.error)} times {now.unit}"
        if now.error > GROWN * before.error:
            yield Change("error", subject, text, True)
        elif before.error > GROWN * now.error:
            yield Change("error", subject, text, False)


def _timing_changes(before: _Facts, now: _Facts) -> Iterator[Change]:
    for (where, index), old in before.ratios.items():
        new = now.ratios.get((where, index))
        if new is None:
            continue
        subject = f"time at {where}" if index == 1 else f"time of model {index + 1} at {where}"
        if new.settings != old.settings:
            text = f"not compared: measured with {new.settings or 'other settings'}, the baseline with {old.settings}"
            yield Change("timing", subject, text, None)
        elif new.low > old.high or new.high < old.low:
            text = (
                f"relative to the source was {number(old.low)} to {number(old.high)} "
                f"and is {number(new.low)} to {number(new.high)}"
            )
            slower = new.low > old.high
            yield Change("timing", subject, text, slower, fails=slower)
