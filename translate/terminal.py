"""What people see: progress, and reports as tables on the terminal."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import Console, Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from translate.reports.summary import summary
from translate.reports.text import duration, is_near, run_text, size, spec_text

if TYPE_CHECKING:
    from translate.doctor import Diagnosis
    from translate.inspection import Inspection

_STAGES = {
    "open": "opening the model",
    "export": "exporting to ONNX",
    "passes": "simplifying the graph",
    "lower": "translating the operators",
    "tflite": "converting to TFLite",
    "onnx2tf": "running onnx2tf; this takes minutes",
    "reload": "loading the result",
    "verify": "comparing both models",
    "bisect": "looking for the first value that differs",
    "gradients": "comparing gradients",
    "timing": "timing",
    "cold": "starting fresh processes",
}
_STYLES = {"passed": "green", "failed": "red", "unknown": "yellow"}
_UNPROVEN = {True: "not verified", False: "FAILED"}
_PIPE_WIDTH = 140


@contextlib.contextmanager
def show_progress() -> Iterator[Callable[[str], None]]:
    """Yield what to call with the name of each stage as it begins; shown only on a terminal."""
    # A stream of its own: standard error may be held back meanwhile, see captured_stderr.
    with os.fdopen(os.dup(2), "w") as stream:
        console = Console(file=stream)
        if not console.is_terminal:
            yield lambda stage: None
            return
        with console.status("loading the frameworks") as status:
            yield lambda stage: status.update(_STAGES.get(stage, stage))


def console() -> Console:
    """Return the standard output's console."""
    # Into a file or a pipe a table may be wider than rich's default of 80 columns.
    return Console() if sys.stdout.isatty() else Console(width=_PIPE_WIDTH)


def show_result(console: Console, report: Mapping[str, Any]) -> None:
    """Print the report of a translation."""
    written = "nothing" if report["output"] is None else f"{report['output']}  {size(report['bytes'])}"
    weights = report["weights"]
    rows = [
        ("source", f"{report['source']['path']}  {report['source']['kind']}"),
        ("written", written),
        ("engine", report["engine"]),
        *([("route", _route(report))] if report["route"] is not None else []),
        *_interface(report),
        ("weights", _weights(weights["trainable"], weights["frozen"])),
    ]
    if report["transposes"] is not None:
        rows.append(("transposes", f"{report['transposes']} left in the graph"))
    if report["training"] is not None:
        rows.append(("training", _training(report)))
    _show(console, report["command"], rows, report)


def _training(report: Mapping[str, Any]) -> str:
    """Say what of the signature `training` was proven."""
    training, verdict = report["training"], report["verdict"]
    proven = "not verified" if verdict is None else "compared" if verdict["passed"] else "NOT EQUAL"
    chance = "random draws, fixed for the comparison" if training["is_random"] else "no random draws"
    return f"signature training, {proven}: {len(training['updates'])} buffers change at a call; {chance}"


def _route(report: Mapping[str, Any]) -> str:
    if report["route"] != "layers":
        return "by its graph"
    return "layer by layer" + (f", {len(report['by_graph'])} of them by graph" if report["by_graph"] else "")


def show_verify(console: Console, report: Mapping[str, Any]) -> None:
    """Print the report of a comparison."""
    rows = [(side, f"{report[side]['path']}  {report[side]['kind']}") for side in ("source", "target")]
    _show(console, "verify", rows, report)


def show_bench(console: Console, report: Mapping[str, Any]) -> None:
    """Print the report of a race."""
    models = report["timing"]["models"]
    _show(console, "bench", [("model", f"{model['label']}  {model['kind']}") for model in models], report)


def _show(console: Console, title: str, rows: list[tuple[str, str]], report: Mapping[str, Any]) -> None:
    verdict = report["verdict"]
    rows += [("note", note) for note in report["notes"]]
    if verdict is not None:
        rows += [("differs", difference) for difference in verdict["interface"]]
        rows += [("warning", warning) for warning in verdict["warnings"]]
    found = summary(report)
    rows += [("result", sentence) for sentence in found.sentences]
    finding = report.get("bisect")
    if finding is not None:
        rows += [("reproduce", finding["reproducer"])] if finding["reproducer"] else []
    rows.append(("seconds", ", ".join(f"{stage} {seconds:.1f}" for stage, seconds in report["seconds"].items())))
    parts: list[RenderableType] = [_grid(rows)]
    if verdict is not None and verdict["runs"]:
        parts += ["", _verdict_table(verdict)]
    if report.get("timing") is not None:
        parts += ["", _timing_table(report["timing"])]
        if report["timing"]["cold"]:
            parts += ["", _cold_table(report["timing"]["cold"])]
    panel = Panel(Group(*parts), title=f"{title}: {_title(report)}", border_style=_STYLES[found.state], expand=False)
    console.print(panel)


def _title(report: Mapping[str, Any]) -> str:
    verdict = report["verdict"]
    if verdict is None:
        return "timed" if report["command"] == "bench" and report["passed"] else _UNPROVEN[report["passed"]]
    word = "near" if is_near(verdict) else "equal"
    return f"NOT {word.upper()}" if not verdict["passed"] else word if report["passed"] else f"{word}, but FAILED"


def _timing_table(timing: Mapping[str, Any]) -> Table:
    """Return one row for each model at each size."""
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1))
    for column in ("sizes", "model"):
        table.add_column(column, overflow="fold")
    for column in ("p50", "p90", "p99", "items/s", "ratio"):
        table.add_column(column, justify="right", no_wrap=True)
    for case in timing["cases"]:
        sizes = " ".join(f"{name}={size}" for name, size in case["sizes"].items()) or "fixed"
        ratios = {ratio["label"]: ratio for ratio in case["ratios"]}
        for model in case["models"]:
            times = [duration(model["call"][key]) for key in ("p50", "p90", "p99")]
            rate = f"{model['throughput']:.4g}"
            ratio = ratios.get(model["label"])
            against = "" if ratio is None else f"{ratio['value']:.2f} [{ratio['low']:.2f}, {ratio['high']:.2f}]"
            table.add_row(Text(sizes), Text(model["label"]), *times, rate, against)
    return table


def _verdict_table(verdict: Mapping[str, Any]) -> Table:
    """Return one row for each output at each size: the worst of its seeds."""
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1))
    for column in ("sizes", "output"):
        table.add_column(column, overflow="fold")
    for column in ("max abs", "max rel", "scale", "of limit", "cosine"):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("", overflow="fold")
    worst: dict[tuple[str, str], Mapping[str, Any]] = {}
    for run in verdict["runs"]:
        sizes = run_text(run)
        if run["failure"]:
            table.add_row(Text(sizes), *[""] * 6, Text(run["failure"], style="red"))
        for output in run["outputs"]:
            before = worst.setdefault((sizes, output["name"]), output)
            if output["error"] > before["error"]:
                worst[sizes, output["name"]] = output
    for (sizes, name), output in worst.items():
        cosine = "" if output["cosine"] is None else f"{output['cosine']:.6f}"
        numbers = [f"{output[key]:.1e}" for key in ("max_abs", "max_rel", "scale")]
        mark = Text("; ".join(["ok", *output["notes"]]), style="green")
        if not output["passed"]:
            mark = Text("; ".join([*output["problems"], *output["notes"]]), style="red")
        table.add_row(Text(sizes.replace(" ", "\n")), Text(name), *numbers, f"{output['error']:.2g}", cosine, mark)
    return table


def _cold_table(starts: Sequence[Mapping[str, Any]]) -> Table:
    """Return one row for each start of a fresh process."""
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1))
    table.add_column("cold start", overflow="fold")
    for column in ("first result", "imports", "load", "first call", "peak memory"):
        table.add_column(column, justify="right", no_wrap=True)
    for start in starts:
        times = [duration(start[key]) for key in ("seconds", "import_seconds", "load_seconds", "first_call_seconds")]
        table.add_row(Text(start["label"]), *times, size(start["peak_bytes"]))
    return table


def print_inspection(name: str, found: Inspection) -> None:
    """Print what a model is made of."""
    rows = [
        ("model", f"{name}  {found.kind}"),
        *[("input", str(spec)) for spec in found.inputs],
        *[("output", str(spec)) for spec in found.outputs],
        ("weights", _weights(found.trainable, found.frozen)),
        ("operators", ", ".join(f"{operator} {count}" for operator, count in found.operators.items())),
        *[("note", note) for note in found.notes],
    ]
    if found.translates_to is not None:
        rows.append((found.route, "every operator has a lowering"))
    rows += [(found.route, text) for text in filter(None, [found.refusal, *map(str, found.problems)])]
    if found.xla is not None:
        rows.append(("XLA", str(found.xla)))
    console().print(_grid(rows))


def print_diagnosis(found: Diagnosis) -> None:
    """Print what the installation is made of."""
    rows = [
        ("python", f"{found.python} on {found.platform}"),
        *[(name, version or "not installed") for name, version in found.packages.items()],
        *[(f"{framework} runs on", ", ".join(devices)) for framework, devices in found.devices.items()],
        *[(f"--engine {name}", "yes" if usable else "no") for name, usable in found.engines.items()],
        *[("problem", problem) for problem in found.problems],
    ]
    if not found.problems:
        rows.append(("problems", "none"))
    console().print(_grid(rows))


def _interface(report: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [(key.removesuffix("s"), spec_text(spec)) for key in ("inputs", "outputs") for spec in report[key]]


def _grid(rows: Sequence[tuple[str, str]]) -> Table:
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="bold", no_wrap=True)
    grid.add_column(overflow="fold")
    previous = None
    for label, value in rows:
        # Text, not markup: names and paths may hold brackets.
        grid.add_row("" if label == previous else label, Text(value))
        previous = label
    return grid


def _weights(trainable: int, frozen: int) -> str:
    return f"{trainable:,} trainable values, {frozen:,} not" if trainable or frozen else "none as variables"
