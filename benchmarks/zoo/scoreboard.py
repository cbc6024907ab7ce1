"""The results of the zoo as a page of Markdown."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.zoo.catalogue import ZOO

_HEAD = """# The zoo of `tf2torch`

Written by `make zoo`; do not edit. Each model is made, translated and compared in a process of its own.

- **right**: the verdict of the translation, at several sizes and on two seeds, as in [verdict.md](verdict.md);
- **dynamic**: the batch is open, and it was right at two or more sizes of it;
- **reloads**: `torch.export.load` alone, in a fresh process, gives the same again;
- **transposes**: those of activations that are left in the graph, the ones at its edges included;
- **seconds**: the translation with its proof, on the machine that wrote this page.

Weights are random; statistics of BatchNorm are those of one batch.
"""
_MARKS = {True: "yes", False: "**no**", None: "-"}


def write_scoreboard(path: Path, results: Mapping[str, Mapping[str, Any]]) -> None:
    """Write the page: totals by family, then a row for each model."""
    run = {name: row for name, row in results.items() if not row.get("skipped")}
    packages = ("tensorflow", "keras", "torch", "numpy")
    versions = ", ".join(f"{package} {importlib.metadata.version(package)}" for package in packages)
    lines = [_HEAD, f"With {versions}.", "", "| | models | right | dynamic | reload |", "|---|---|---|---|---|"]
    families = list(dict.fromkeys(entry.family for entry in ZOO.values()))
    for family in [*families, "all"]:
        rows = [row for name, row in run.items() if family in (ZOO[name].family, "all")]
        counts = [sum(bool(row.get(key)) for row in rows) for key in ("right", "dynamic", "reloadable")]
        lines.append(f"| {family} | {len(rows)} | {' | '.join(map(str, counts))} |")
    for family in families:
        names = [name for name in run if ZOO[name].family == family]
        if names:
            lines += ["", f"## {family}", ""]
            lines += [
                "| model | right | dynamic | reloads | transposes | seconds | why not |",
                "|---|---|---|---|---|---|---|",
            ]
            lines += [_row(name, run[name]) for name in names]
    left = [name for name in ZOO if name not in run]
    if left:
        lines += ["", f"Not run: {', '.join(left)}."]
    path.write_text("\n".join(lines) + "\n")


def _row(name: str, row: Mapping[str, Any]) -> str:
    marks = [_MARKS[row.get(key)] for key in ("right", "dynamic", "reloadable")]
    transposes = row.get("transposes")
    cells = [
        name.partition("/")[2],
        *marks,
        "-" if transposes is None else str(transposes),
        str(row.get("seconds", row["total"])),
        str(row["reason"]).replace("|", "\\|").replace("\n", " "),
    ]
    return f"| {' | '.join(cells)} |"
