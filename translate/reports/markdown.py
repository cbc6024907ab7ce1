"""The report as Markdown: for a pull request, a wiki, or the summary of a CI job, which takes 1 MiB at most."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from translate.reports.summary import ratio_text, summary
from translate.reports.text import (
    Report,
    clip,
    count,
    duration,
    failed_first,
    number,
    outputs,
    printable,
    run_text,
    size,
    spec_text,
)

# GitHub drops a job summary of more than 1 MiB whole; other jobs of the step may write to the same file.
MOST_BYTES = 900_000
_CELL = 400  # characters
_MARKS = {"passed": "✅", "failed": "❌", "unknown": "⚪"}
_COLUMNS = ("output", "sizes", "seed", "shape", "dtype", "max abs", "max rel", "of limit", "over noise", "cosine", "")
_GRADIENT_COLUMNS = ("gradient", "shape", "max abs", "scale", "of limit", "")


def render_markdown(report: Report, most_bytes: int = MOST_BYTES) -> str:
    """Return `report` as a Markdown document of at most `most_bytes` bytes in UTF-8.

    What failed comes first; where there is no room for all, rows of what passed are left out, and their number is said.
    """
    found = summary(report)
    page = _Page(most_bytes)
    page.add(f"# {_MARKS[found.state]} translate {report['command']}: {_inline(found.title)}", "")
    # Each a paragraph of its own.
    page.add_all([f"{_inline(sentence)}\n" for sentence in found.sentences], "sentence")
    page.add_all([*_models(report)], "line")
    verdict = report["verdict"]
    if verdict is not None:
        page.add_all([f"- differs: {_inline(difference)}" for difference in verdict["interface"]], "difference")
        page.add_all([f"- warning: {_inline(warning)}" for warning in verdict["warnings"]], "warning")
    if report.get("baseline") is not None:
        page.section("Since the baseline", _baseline(report["baseline"]), "change")
    if report.get("bisect") is not None:
        page.section("Where they part", _bisect(report["bisect"]), "line")
    if verdict is not None:
        broken = [
            f"- ❌ {_inline(run_text(run))}: {_inline(run['failure'])}" for run in verdict["runs"] if run["failure"]
        ]
        page.section("Runs that failed", broken, "run")
        rows = [_output(run, output) for run, output in failed_first(list(outputs(verdict))) if not output["passed"]]
        page.table("Outputs that differ", _COLUMNS, rows, "output")
    if report.get("gradients") is not None:
        failed = [_gradient(g) for g in report["gradients"]["gradients"] if not g["passed"]]
        page.table("Gradients that differ", _GRADIENT_COLUMNS, failed, "gradient")
        page.add_all([f"- {_inline(note)}" for note in report["gradients"]["notes"]], "note")
    if report.get("timing") is not None:
        page.section("Timing", _ratios(report["timing"]), "line")
        for case in report["timing"]["cases"]:
            page.table("", _TIMING_COLUMNS, [_times(case, model) for model in case["models"]], "model")
    if verdict is not None:
        rows = [_output(run, output) for run, output in outputs(verdict) if output["passed"]]
        page.table("Outputs that agree", _COLUMNS, rows, "output")
    if report.get("gradients") is not None:
        agreed = [_gradient(g) for g in report["gradients"]["gradients"] if g["passed"]]
        page.table("Gradients that agree", _GRADIENT_COLUMNS, agreed, "gradient")
    page.close("Seconds: " + ", ".join(f"{stage} {seconds:.2f}" for stage, seconds in report["seconds"].items()))
    return str(page)


class _Page:
    """Lines of text, and how many bytes may still be added."""

    def __init__(self, most_bytes: int) -> None:
        self.lines: list[str] = []
        # What is said of rows that were left out, and the last line, always find room.
        self.left = most_bytes - 4000

    def add(self, *lines: str) -> bool:
        """Add lines, all or none of them."""
        needed = sum(len(line.encode()) + 1 for line in lines)
        if needed > self.left:
            return False
        self.lines += lines
        self.left -= needed
        return True

    def add_all(self, lines: Sequence[str], noun: str) -> None:
        """Add as many lines as there is room for, and say how many more there are."""
        for index, line in enumerate(lines):
            if not self.add(line):
                self.lines.append(f"… and {count(len(lines) - index, f'more {noun}')}, left out for their size")
                return

    def section(self, title: str, lines: Iterable[str], noun: str) -> None:
        """Add lines under a heading, nothing when there are none."""
        found = list(lines)
        if found and self.add("", f"## {title}", ""):
            self.add_all(found, noun)

    def table(self, title: str, columns: Sequence[str], rows: Sequence[str], noun: str) -> None:
        """Add a table, with a heading when it has a title; nothing when there are no rows."""
        if not rows:
            return
        heading = ["", f"## {title}", ""] if title else [""]
        self.add(*heading, _row(columns), _row(["---"] * len(columns)))
        for index, row in enumerate(rows):
            if not self.add(row):
                more = count(len(rows) - index, f"more {noun}")
                self.lines += ["", f"… and {more}, left out for their size"]
                return

    def close(self, line: str) -> None:
        """Add the last line."""
        self.lines += ["", line[:2000]]

    def __str__(self) -> str:
        return "\n".join(self.lines) + "\n"


_TIMING_COLUMNS = ("model", "sizes", "p50", "p90", "p99", "per second", "copy in", "copy out", "first call")


def _models(report: Report) -> Iterable[str]:
    yield f"- source: {_code(report['source']['path'])} ({_inline(report['source']['kind'])})"
    if "target" in report:
        yield f"- target: {_code(report['target']['path'])} ({_inline(report['target']['kind'])})"
    if report.get("output") is not None:
        yield f"- written: {_code(report['output'])}, {size(report['bytes'])}, engine {report['engine']}"
    for key in ("inputs", "outputs"):
        if key in report:
            yield f"- {key}: " + ", ".join(_code(spec_text(spec)) for spec in report[key])
    if report.get("replay"):
        yield f"- inputs saved in: {_code(report['replay'])}"
    yield from (f"- note: {_inline(note)}" for note in report.get("notes", ()))


def _baseline(baseline: Report) -> Iterable[str]:
    marks = {True: "🔻 worse", False: "🔺 better", None: "🔹"}
    yield f"Compared with {_code(baseline['path'])}."
    yield ""
    if not baseline["changes"]:
        yield "Nothing changed."
    for change in sorted(baseline["changes"], key=lambda change: (not change["fails"], change["worse"] is not True)):
        yield f"- {marks[change['worse']]}: {_code(change['subject'])}: {_inline(change['text'])}"


def _bisect(finding: Report) -> Iterable[str]:
    yield f"- value: {_code(finding['value'])}"
    for key in ("operator", "node", "module", "source", "reproducer"):
        if finding[key]:
            yield f"- {key}: {_code(finding[key])}"
    for label, parities in (("its inputs", finding["before"]), ("its result", [finding["after"]])):
        for parity in parities:
            yield f"- {label} {_code(parity['name'])}: {number(parity['error'])} of the limit"
    if finding["alone"] is not None:
        yield f"- the operator alone, on the same inputs: {number(finding['alone']['error'])} of the limit"
    yield f"- compared {finding['compared']:,} of {finding['total']:,} values"


def _output(run: Report, output: Report) -> str:
    said = "; ".join([*output["problems"], *output["notes"]])
    cells = [
        _code_cell(output["name"]),
        _inline(run_text(run)),
        "" if run["seed"] is None else str(run["seed"]),
        str(output["shape"]),
        output["dtype"],
        *(number(output[key]) for key in ("max_abs", "max_rel", "error", "over_noise")),
        "" if output["cosine"] is None else f"{output['cosine']:.6f}",
        f"{'ok' if output['passed'] else '**differs**'} {_inline(said)}".strip(),
    ]
    return _row(cells)


def _gradient(gradient: Report) -> str:
    said = "; ".join([*gradient["problems"], *gradient["notes"]])
    mark = "ok" if gradient["passed"] else "**differs**"
    numbers = [number(gradient[key]) for key in ("max_abs", "scale", "error")]
    return _row([_code_cell(gradient["name"]), str(gradient["shape"]), *numbers, f"{mark} {_inline(said)}".strip()])


def _ratios(timing: Report) -> Iterable[str]:
    for case in timing["cases"]:
        for ratio in case["ratios"]:
            where = run_text({"inputs": "random", "sizes": case["sizes"]})
            yield f"- {where}: {_inline(ratio_text(ratio))}"
    yield from (f"- ❌ {_inline(problem)}" for problem in timing["problems"])
    yield from (f"- warning: {_inline(warning)}" for warning in timing["warnings"])
    for start in timing["cold"]:
        memory = f", at most {size(start['peak_bytes'])} of memory"
        yield f"- cold start of {_code(start['label'])}: {duration(start['seconds'])} to the first result{memory}"
    for model in timing["models"]:
        settings = ", ".join(f"{name} {value}" for name, value in model["settings"].items())
        yield f"- {_code(model['label'])} ({_inline(model['kind'])}): {_inline(settings) or 'default settings'}"


def _times(case: Report, model: Report) -> str:
    call = model["call"]
    seconds = [call["p50"], call["p90"], call["p99"]]
    copies = [model["upload"]["p50"], model["download"]["p50"], model["first_call"]]
    cells = [_code_cell(model["label"]), run_text({"inputs": "random", "sizes": case["sizes"]})]
    return _row([*cells, *map(duration, seconds), number(model["throughput"]), *map(duration, copies)])


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _code(text: str) -> str:
    """Return a name as code: nothing in it is markup, and a fence longer than any in it holds it."""
    text = printable(clip(text, _CELL))
    fence = "`" * (max(map(len, re.findall("`+", text)), default=0) + 1)
    padding = " " if "`" in text else ""
    return f"{fence}{padding}{text}{padding}{fence}"


def _code_cell(text: str) -> str:
    # Tables split their rows before they look for code.
    return _code(text).replace("|", "\\|")


def _inline(text: str) -> str:
    """Return text in which nothing is markup."""
    return re.sub(r"([\\`*_\[\]<>|#~])", r"\\\1", printable(clip(text, _CELL)))
