"""The whole report in a few plain sentences: what stands at the top of every format for people."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from translate.reports.text import Report, clip, count, duration, is_near, number, outputs, run_text, worst

_SENTENCE = 400  # characters; messages of frameworks can be pages
_MOST_TIMES = 3

State = Literal["passed", "failed", "unknown"]


@dataclass(frozen=True)
class Summary:
    """The state, a title of a few words, and sentences that say why."""

    state: State
    title: str
    sentences: tuple[str, ...]


def summary(report: Report) -> Summary:
    """Return what `report` says in plain words."""
    verdict = report["verdict"]
    sentences = [*_verdict(verdict), *_bisect(report), *_gradients(report), *_timing(report), *_baseline(report)]
    return Summary(*_title(report), tuple(clip(sentence, _SENTENCE) for sentence in sentences))


def _title(report: Report) -> tuple[State, str]:
    verdict = report["verdict"]
    near = verdict is not None and is_near(verdict)
    if verdict is not None and not verdict["passed"]:
        return "failed", "Not near" if near else "Not equal: the two models do not compute the same"
    for part, title in (
        ("gradients", "Equal outputs, but they do not train alike"),
        ("timing", "Not proven to be fast enough"),
        ("baseline", "Worse than the baseline"),
    ):
        if report.get(part) is not None and not report[part]["passed"]:
            return "failed", title
    if verdict is None:
        return ("passed", "Timed") if report["command"] == "bench" else ("unknown", "Translated, not verified")
    return "passed", "Near, not equal" if near else "Equal: the two models compute the same"


def _verdict(verdict: Report | None) -> Iterator[str]:
    if verdict is None:
        return
    if verdict["interface"]:
        more = len(verdict["interface"]) - 1
        yield f"The interfaces differ: {verdict['interface'][0]}" + (f", and {more} more." if more else ".")
        return
    broken = [run for run in verdict["runs"] if run["failure"]]
    if broken:
        yield f"{_of(len(broken), len(verdict['runs']), 'run')} failed: {broken[0]['failure']}."
    every = {output["name"] for _, output in outputs(verdict)}
    failed = {output["name"] for _, output in outputs(verdict) if not output["passed"]}
    runs = count(len(verdict["runs"]), "run")
    most = worst(verdict)
    if most is None:
        if not broken:
            yield "Nothing was run."
        return
    run, output = most
    where = f'"{output["name"]}" at {run_text(run)}'
    if failed:
        verb = "differs" if len(failed) == 1 else "differ"
        some = _of(len(failed), len(every), "output")
        wrong = sum(not all(output["passed"] for output in run["outputs"]) for run in verdict["runs"])
        yield f"{some} {verb} in {wrong} of {runs}; the worst is {where}: {output['problems'][0]}."
        return
    near = is_near(verdict)
    verb, many = ("is near", "are near") if near else ("agrees", "agree")
    yield f"{f'The output {verb}' if len(every) == 1 else f'All {len(every):,} outputs {many}'} in {runs}."
    if not output["error"]:
        yield "They are the same to the last bit."
    else:
        noise = output["over_noise"]
        aside = "" if noise is None else f", {number(noise, 2)} times the source's own rounding error"
        yield f"The largest error, of {where}, is {number(output['error'], 2)} of what is allowed{aside}."


def _bisect(report: Report) -> Iterator[str]:
    finding = report.get("bisect")
    if finding is not None:
        yield f"Where it comes from: {finding['summary']}."


def _gradients(report: Report) -> Iterator[str]:
    gradients = report.get("gradients")
    if gradients is None:
        return
    if gradients["failure"]:
        yield f"The target cannot be differentiated: {gradients['failure']}."
    failed = [gradient for gradient in gradients["gradients"] if not gradient["passed"]]
    every = len(gradients["gradients"])
    mode = " in train mode" if report.get("training") else ""
    if failed:
        verb = "differs" if len(failed) == 1 else "differ"
        yield f'{_of(len(failed), every, "gradient")} {verb}{mode}, such as that of "{failed[0]["name"]}".'
    elif every:
        yield f"All {every:,} gradients{mode} agree." if every > 1 else f"The gradient{mode} agrees."
    curve = gradients["curve"]
    if curve is not None:
        yield "The loss falls alike on both sides." if curve["passed"] else "The loss curves part."


def _timing(report: Report) -> Iterator[str]:
    timing = report.get("timing")
    if timing is None:
        return
    said = [*timing["problems"]]
    for case in [] if said else timing["cases"]:
        where = f" at {run_text({'inputs': 'random', 'sizes': case['sizes']})}" if case["sizes"] else ""
        said += [f"{ratio_text(ratio)}{where}" for ratio in case["ratios"]]
        if len(case["models"]) == 1:
            said.append(f"{case['models'][0]['label']} takes {duration(case['models'][0]['call']['p50'])}{where}")
    yield from (f"{sentence}." for sentence in said[:_MOST_TIMES])
    if len(said) > _MOST_TIMES:
        yield f"And {len(said) - _MOST_TIMES} more, see the times."


def ratio_text(ratio: Report) -> str:
    """Return how long a model takes compared with another, in one line."""
    interval = f"{100 * ratio['confidence']:g} % interval {number(ratio['low'])} to {number(ratio['high'])}"
    label, baseline = ratio["label"], ratio["baseline"]
    if ratio["word"] == "too noisy to tell":
        return f"The machine was too noisy to tell whether {label} is faster than {baseline} ({interval})"
    if ratio["word"] == "no different":
        return f"{label} is as fast as {baseline} ({interval})"
    return f"{label} is {ratio['word']}: it takes {number(ratio['value'])} times as long as {baseline} ({interval})"


def _baseline(report: Report) -> Iterator[str]:
    baseline = report.get("baseline")
    if baseline is None:
        return
    worse = sum(change["worse"] is True for change in baseline["changes"])
    better = sum(change["worse"] is False for change in baseline["changes"])
    if worse or better:
        yield f"Since the baseline {worse} worse and {better} better."
    else:
        yield "Nothing is worse or better than in the baseline."


def _of(some: int, every: int, noun: str) -> str:
    return f"The {noun}" if some == every == 1 else f"{some:,} of {count(every, noun)}"
