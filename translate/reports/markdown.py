"""The report as Markdown, for a pull request or a wiki."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

_COLUMNS = ("sizes", "seed", "output", "shape", "dtype", "max abs", "max rel", "scale", "of limit", "cosine", "")


def render_markdown(report: Mapping[str, Any]) -> str:
    """Return `report` as a Markdown document."""
    verdict = report["verdict"]
    state = "not verified" if verdict is None else "equal" if verdict["passed"] else "**not equal**"
    lines = [f"# translate {report['command']}: {state}", ""]
    lines += [f"- source: `{report['source']['path']}` ({report['source']['kind']})"]
    if "target" in report:
        lines += [f"- target: `{report['target']['path']}` ({report['target']['kind']})"]
    if report.get("output") is not None:
        lines += [f"- written: `{report['output']}`, {report['bytes']} bytes, engine {report['engine']}"]
    for key in ("inputs", "outputs"):
        if key in report:
            lines += [f"- {key}: " + ", ".join(f"`{spec_text(spec)}`" for spec in report[key])]
    lines += [f"- note: {note}" for note in report.get("notes", ())]
    if verdict is not None:
        lines += _verdict(verdict)
    lines += ["", "Seconds: " + ", ".join(f"{stage} {seconds:.2f}" for stage, seconds in report["seconds"].items())]
    return "\n".join(lines) + "\n"


def spec_text(spec: Mapping[str, Any]) -> str:
    """Return an input or output of a report as people read it: `x float32[batch, 3, 8, 8]`."""
    if spec["shape"] is None:
        return f"{spec['name']} {spec['dtype']} of unknown rank"
    return f"{spec['name']} {spec['dtype']}[{', '.join('?' if dim is None else str(dim) for dim in spec['shape'])}]"


def run_text(run: Mapping[str, Any]) -> str:
    """Return what a run of a report was run on: `batch=2 seq=7`, or `sample`."""
    if run["inputs"] != "random":
        return str(run["inputs"])
    return " ".join(f"{name}={size}" for name, size in run["sizes"].items()) or "fixed"


def _verdict(verdict: Mapping[str, Any]) -> list[str]:
    lines = ["", "## Parity", ""]
    lines += [f"- {difference}" for difference in verdict["interface"]]
    lines += [f"- warning: {warning}" for warning in verdict["warnings"]]
    if verdict["runs"]:
        lines += ["", _row(_COLUMNS), _row(["---"] * len(_COLUMNS))]
    for run in verdict["runs"]:
        if run["failure"]:
            cells = [run_text(run), str(run["seed"]), *[""] * (len(_COLUMNS) - 3), f"**failed** {run['failure']}"]
            lines += [_row(cells)]
        for output in run["outputs"]:
            cosine = "" if output["cosine"] is None else f"{output['cosine']:.6f}"
            numbers = [f"{output[key]:.2e}" for key in ("max_abs", "max_rel", "scale")]
            said = "; ".join([*output["problems"], *output["notes"]])
            mark = "ok" if output["passed"] else "**differs**"
            cells = [run_text(run), str(run["seed"]), f"`{output['name']}`", str(output["shape"]), output["dtype"]]
            lines += [_row([*cells, *numbers, f"{output['error']:.2g}", cosine, f"{mark} {said}".strip()])]
    return lines


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
