"""The results of the zoo as a page of Markdown."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.zoo import rivals
from benchmarks.zoo.catalogue import ZOO
from benchmarks.zoo.layers import LEFT_OUT
from benchmarks.zoo.training import GRADIENT_TOLERANCE, LOSS_TOLERANCE, STEPS

_HEAD = f"""# The zoo of `tf2torch`

Written by `make zoo`; do not edit. Each model is made, translated and compared in a process of its own, the layers some
in one.

- **right**: the verdict of the translation, at several sizes and on two seeds, as in [verdict.md](verdict.md);
- **dynamic**: the batch is open, and it was right at two or more sizes of it;
- **reloads**: `torch.export.load` alone, in a fresh process, gives the same again;
- **live**: zeros in the place of the parameters change what the reloaded program gives;
- **gradients**: those of all weights are TensorFlow's, within {GRADIENT_TOLERANCE:g} of the longest;
- **steps**: {STEPS} steps of gradient descent in training mode go down the same loss, within {LOSS_TOLERANCE:g} of the
  first;
- **by graph**: how many layers went by their TensorFlow graph, because no row of the table covers them;
- **transposes**: those of activations that are left in the graph, the ones at its edges included;
- **seconds**: the translation with its proof, on the machine that wrote this page, which did other work meanwhile.

A dash is where there is nothing to say: no parameters, no gradient, randomness in training. Models whose family says
SavedModel, `tf.Module`, TensorFlow 1 and what comes packaged so go by the graph; all others layer by layer.

Weights are random; statistics of BatchNorm are those of one batch.
"""
_COLUMNS = ("right", "dynamic", "reloadable", "live", "gradients", "steps")
_TITLES = ("right", "dynamic", "reloads", "live", "gradients", "steps")
_MARKS = {True: "yes", False: "**no**", None: "-"}
_ROUNDING = (
    "rounding: in float64, logits of this network with random weights are as far from TensorFlow's as from ours, "
    "{}; the verdict's estimate, by moving inputs and weights to their neighbours, was lower"
)
# What was found out about failures.
_EXPLAINED = {
    "saved_model/EfficientNetB0": _ROUNDING.format("0.3 to 0.6 of 2300, which the softmax makes all or nothing"),
    "saved_model/EfficientNetB2": _ROUNDING.format("2e-4 and 0.8e-4 of 7"),
    "saved_model/EfficientNetV2B2": _ROUNDING.format("4e-3 and 6e-3 of 22"),
    "hub/XLNet": "its layers return None where Keras was told of a tensor",
    "hub/Moonshine": "three convolutions with strides leave nothing of the short sounds that the shapes are tried with",
    "hub/Swin": "`keras.ops.slice_update` is the operator XlaDynamicUpdateSlice in its graph, which is not written",
}
# A family of more models than this shows those of which something is to be said, and names the others.
_MANY = 100


def write_scoreboard(path: Path, results: Mapping[str, Mapping[str, Any]]) -> None:
    """Write the page: totals by family, the rivals, then the models."""
    run = {name: row for name, row in results.items() if not row.get("skipped")}
    packages = ("tensorflow", "keras", "torch", "numpy")
    versions = ", ".join(f"{package} {importlib.metadata.version(package)}" for package in packages)
    families = list(dict.fromkeys(entry.family for entry in ZOO.values()))
    lines = [_HEAD, f"With {versions}.", "", f"| | models | {' | '.join(_TITLES)} |", "|---" * 8 + "|"]
    for family in [*families, "all"]:
        rows = [row for name, row in run.items() if family in (ZOO[name].family, "all")]
        lines.append(f"| {family} | {len(rows)} | {' | '.join(_count(rows, column) for column in _COLUMNS)} |")
    lines += _rivals(run)
    for family in families:
        names = [name for name in run if ZOO[name].family == family]
        if names:
            lines += ["", f"## {family}", "", *_family(names, run)]
    left = [name for name in ZOO if name not in run]
    if left:
        lines += ["", f"Not run: {', '.join(left)}."]
    reasons = "; ".join(f"{name} ({reason})" for name, reason in sorted(LEFT_OUT.items()))
    lines += ["", f"Layers of `keras.layers` that are not in the zoo: {reasons}."]
    path.write_text("\n".join(lines) + "\n")


def _mark(row: Mapping[str, Any], column: str) -> bool | None:
    """Return whether a model passes in a column; None where that says nothing of it."""
    value = row.get(column)
    if column in ("gradients", "steps"):
        tolerance = {"gradients": GRADIENT_TOLERANCE, "steps": LOSS_TOLERANCE}[column]
        return None if value is None else value <= tolerance
    # What failed before has no answer.
    return False if value is None and not row["right"] and column != "live" else value


def _count(rows: Sequence[Mapping[str, Any]], column: str) -> str:
    """Return how many pass, and of how many, where that is not all."""
    marks = [_mark(row, column) for row in rows]
    asked = [mark for mark in marks if mark is not None]
    if not asked:
        return "-"
    return f"{sum(asked)}" if len(asked) == len(rows) else f"{sum(asked)} of {len(asked)}"


def _family(names: Sequence[str], run: Mapping[str, Mapping[str, Any]]) -> list[str]:
    plain: list[str] = []
    if len(names) > _MANY:
        plain = [name for name in names if not run[name].get("by_graph") and _is_good(run[name])]
    shown = [name for name in names if name not in plain]
    lines = []
    if shown:
        columns = ["model", *_TITLES, "by graph", "transposes", "seconds", "why not"]
        lines = [f"| {' | '.join(columns)} |", "|---" * len(columns) + "|", *(_row(name, run[name]) for name in shown)]
    if plain:
        text = ", ".join(f"`{name.partition('/')[2]}`" for name in plain)
        lines += ["", f"Without a no, and by no graph but where that is the family's way: {text}."]
    return lines


def _is_good(row: Mapping[str, Any]) -> bool:
    return all(_mark(row, column) is not False for column in _COLUMNS)


def _row(name: str, row: Mapping[str, Any]) -> str:
    transposes = row.get("transposes")
    cells = [
        name.partition("/")[2],
        *(_MARKS[_mark(row, column)] for column in _COLUMNS),
        str(len(row.get("by_graph", ())) or ""),
        "-" if transposes is None else str(transposes),
        str(row.get("seconds", row["total"])),
        _reason(name, row).replace("|", "\\|").replace("\n", " "),
    ]
    return f"| {' | '.join(cells)} |"


def _reason(name: str, row: Mapping[str, Any]) -> str:
    found = "" if row["right"] else _EXPLAINED.get(name, "")
    return f"{row['reason']} ({found})" if found else str(row["reason"])


def _rivals(run: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Return the table of other ways to PyTorch, on the models that all of them were given."""
    found = {name: ways for name, ways in rivals.read_results().items() if name in run}
    if not found:
        return []
    columns = ("right", "dynamic", "reloadable", "live")
    lines = [
        *("", "## Other ways to PyTorch", ""),
        f"The same {len(found)} models, {sum(name.startswith('keras/') for name in found)} of them of",
        "keras.applications and the others layers, by `python -m benchmarks.zoo.rivals`, which says what they are.",
        "Here a result is right within a thousandth of its largest number; dynamic is right at another batch, too,",
        "after torch.export with an open one; reloads and live are counted among those.",
        *("", "| | right | dynamic | reloads | live |", "|---|---|---|---|---|"),
    ]
    ours = [run[name] for name in found]
    for title, rows in [("translate", ours), *((way, [ways[way] for ways in found.values()]) for way in rivals.WAYS)]:
        lines.append(f"| {title} | {' | '.join(_count(rows, column) for column in columns)} |")
    return lines
