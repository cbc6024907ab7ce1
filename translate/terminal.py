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

if TYPE_CHECKING:
    from translate.doctor import Diagnosis
    from translate.inspection import Inspection

_STAGES = {
    "open": "opening the model",
    "export": "exporting to ONNX",
    "passes": "simplifying the graph",
    "lower": "writing the SavedModel",
    "onnx2tf": "running onnx2tf; this takes minutes",
    "reload": "loading the SavedModel",
    "verify": "comparing both models",
}
_STATES = {None: ("not verified", "yellow"), True: ("equal", "green"), False: ("NOT EQUAL", "red")}
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
    written = "nothing" if report["output"] is None else f"{report['output']}  {_size(report['bytes'])}"
    weights = report["weights"]
    rows = [
        ("source", f"{report['source']['path']}  {report['source']['kind']}"),
        ("written", written),
        ("engine", report["engine"]),
        *_interface(report),
        ("weights", _weights(weights["trainable"], weights["frozen"])),
    ]
    if report["transposes"] is not None:
        rows.append(("transposes", f"{report['transposes']} left in the graph"))
    _show(console, "torch2tf", rows, report)


def show_verify(console: Console, report: Mapping[str, Any]) -> None:
    """Print the report of a comparison."""
    rows = [(side, f"{report[side]['path']}  {report[side]['kind']}") for side in ("source", "target")]
    _show(console, "verify", rows, report)


def _show(console: Console, title: str, rows: list[tuple[str, str]], report: Mapping[str, Any]) -> None:
    verdict = report["verdict"]
    rows += [("note", note) for note in report["notes"]]
    if verdict is not None:
        rows += [("differs", difference) for difference in verdict["interface"]]
        rows += [("warning", warning) for warning in verdict["warnings"]]
    rows.append(("seconds", ", ".join(f"{stage} {seconds:.1f}" for stage, seconds in report["seconds"].items())))
    parts: list[RenderableType] = [_grid(rows)]
    if verdict is not None and verdict["runs"]:
        parts += ["", _verdict_table(verdict)]
    state, style = _STATES[None if verdict is None else verdict["passed"]]
    console.print(Panel(Group(*parts), title=f"{title}: {state}", border_style=style, expand=False))


def _verdict_table(verdict: Mapping[str, Any]) -> Table:
    """Return one row for each output at each size: the worst of its seeds."""
    from translate.reports.markdown import run_text

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
        rows.append(("torch2tf", "every operator has a lowering"))
    rows += [("torch2tf", text) for text in filter(None, [found.refusal, *map(str, found.problems)])]
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
    from translate.reports.markdown import spec_text

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


def _size(number: int) -> str:
    size = float(number)
    for unit in ("B", "kB", "MB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} GB"
