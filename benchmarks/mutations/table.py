"""The results of the study as Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from benchmarks.mutations.plant import KINDS

METHODS = {
    "verdict": "the calibrated verdict",
    "allclose 1e-3": "`allclose` at 1e-3",
    "allclose 1e-4": "at 1e-4",
    "allclose 1e-5": "at 1e-5",
    "cosine 0.999": "cosine ≥ 0.999",
}

_HEAD = """# The mutation study

What a verdict is worth shows when translations are wrong. `benchmarks/mutations` plants ten kinds of bug, the mistakes
that translators make, in correct translations and counts which verdicts find them. This page is written by
`python -m benchmarks.mutations --table docs/mutation-study.md` from the results in
`benchmarks/mutations/results.jsonl`; `python -m benchmarks.mutations` makes those.

## How it is done

- Each model is exported to ONNX and lowered to TensorFlow, once as it is and once for each kind of bug. The bug is made
  in the ONNX graph, at one place that is drawn by chance. Kinds that a model has no place for are left out.
- Source and translation run on the random inputs of two seeds.
- A bug counts as planted when it moves the numbers. No verdict decides that: the changed and the unchanged ONNX graph,
  both run by onnxruntime on the same inputs, differ in some output by more than ten times the source's own rounding
  error: its greatest distance from its own run in float64, and no less than one unit in the last place of the output's
  largest magnitude. (Where a source cannot run in float64, its response to moving all inputs and weights to
  neighbouring numbers stands in.) An output of integers, and NaN, counts as moved when anything differs.
- "Swapped axis" also holds a Softmax along another axis and a transposed square operand of a product; an eps that is
  large already goes the other way, to 1e-5.
- Planting asks for ten times the noise and the verdict allows six, so that every planted bug is found says in part that
  the two agree. The other methods, on the same bugs, and the false alarms are the stronger evidence.
- `allclose` is NumPy's, with that number as both `rtol` and `atol`; cosine is that of each flattened output.

## What was found
"""


def write_tables(results: Sequence[dict[str, Any]]) -> str:
    """Return the page: caught bugs by kind and method, false alarms, what was missed, and the models."""
    good = sorted((result for result in results if "failed" not in result), key=lambda result: result["model"])
    parts = [_HEAD, _caught(good), _missed(good), _small(good), _models(good)]
    failed = [f"- {result['model']}: {result['failed']}" for result in results if "failed" in result]
    if failed:
        parts += ["\n## Models that the study failed on\n", *failed]
    return "\n".join(parts) + "\n"


def _bugs(results: Sequence[dict[str, Any]], kind: str) -> list[tuple[str, dict[str, Any]]]:
    return [(result["model"], result["bugs"][kind]) for result in results if result["bugs"][kind] is not None]


def _caught(results: Sequence[dict[str, Any]]) -> str:
    lines = [
        "Caught of planted, by kind of bug and method. The last row counts the alarms at correct translations.\n",
        f"| bug | below rounding | {' | '.join(METHODS.values())} |",
        f"|---|---{'|---' * len(METHODS)}|",
    ]
    totals = dict.fromkeys(METHODS, 0)
    planted_of_all = below_of_all = 0
    for kind in KINDS:
        bugs = [bug for _, bug in _bugs(results, kind)]
        planted = [bug for bug in bugs if bug["moved"] > 1]
        counts = {method: sum(bug["caught"][method] for bug in planted) for method in METHODS}
        cells = " | ".join(f"{counts[method]} / {len(planted)}" for method in METHODS)
        lines.append(f"| {kind} | {len(bugs) - len(planted)} | {cells} |")
        planted_of_all += len(planted)
        below_of_all += len(bugs) - len(planted)
        totals = {method: totals[method] + counts[method] for method in METHODS}
    cells = " | ".join(f"**{totals[method]} / {planted_of_all}**" for method in METHODS)
    lines.append(f"| **all** | {below_of_all} | {cells} |")
    alarms = " | ".join(f"**{sum(r['correct'][method] for r in results)} / {len(results)}**" for method in METHODS)
    lines.append(f"| **false alarms** |  | {alarms} |")
    return "\n".join(lines)


def _missed(results: Sequence[dict[str, Any]]) -> str:
    """Name every single case where the calibrated verdict was wrong."""
    missed = [
        f"- {kind} in {model}, at {bug['where']}: moved {bug['moved']:.3g} times what counts as moved, "
        f"judged {bug['caught']['error']:.3g} of what is allowed"
        for kind in KINDS
        for model, bug in _bugs(results, kind)
        if bug["moved"] > 1 and not bug["caught"]["verdict"]
    ]
    alarms = [
        f"- {result['model']}: judged {result['correct']['error']:.3g} of what is allowed"
        for result in results
        if result["correct"]["verdict"]
    ]
    closest = max(results, key=lambda result: _finite(result["correct"]["error"]), default=None)
    text = [
        "\nPlanted bugs that the calibrated verdict missed:" + ("\n" if missed else " none."),
        *missed,
        "\nCorrect translations that it rejected:" + ("\n" if alarms else " none."),
        *alarms,
    ]
    if closest is not None:
        text.append(
            f"\nThe correct translation that came nearest to its limit is {closest['model']}, at "
            f"{closest['correct']['error']:.2f} of what is allowed."
        )
    return "\n".join(text)


def _finite(number: float) -> float:
    return number if number < float("inf") else 0.0


def _small(results: Sequence[dict[str, Any]]) -> str:
    """Tell what became of the bugs that do not count, and how hard the planted ones are."""
    bugs = [bug for kind in KINDS for _, bug in _bugs(results, kind)]
    below = [bug for bug in bugs if bug["moved"] <= 1]
    still = {method: sum(bug["caught"][method] for bug in below) for method in METHODS}
    none = sum(bug["moved"] == 0 for bug in below)
    by_ulp = [result["model"] for result in results if result["rounding"] != "float64"]
    return (
        f"\nOf the {len(below)} bugs below rounding, {none} change nothing at all on these inputs. The calibrated "
        f"verdict still reports {still['verdict']} of them, `allclose` at 1e-5 {still['allclose 1e-5']}, at 1e-4 "
        f"{still['allclose 1e-4']}.\n\n"
        + (f"Without a float64 run: {', '.join(by_ulp)}." if by_ulp else "Every source ran in float64.")
    )


def _models(results: Sequence[dict[str, Any]]) -> str:
    lines = [
        f"\n## The {len(results)} models\n",
        "Bugs planted (and below rounding), the error of the correct translation in units of what is allowed, and how "
        "the rounding error was measured.\n",
        "| model | from | planted | correct translation | rounding |",
        "|---|---|---|---|---|",
    ]
    for result in results:
        bugs = [bug for bug in result["bugs"].values() if bug is not None]
        planted = sum(bug["moved"] > 1 for bug in bugs)
        lines.append(
            f"| {result['model']} | {result['family']} | {planted} ({len(bugs) - planted}) | "
            f"{result['correct']['error']:.2f} | {result['rounding']} |"
        )
    return "\n".join(lines)
