"""How the parts of a report read in words; what every format for people shares."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeAlias

Report: TypeAlias = Mapping[str, Any]


def spec_text(spec: Report) -> str:
    """Return an input or output of a report as people read it: `x float32[batch, 3, 8, 8]`."""
    if spec["shape"] is None:
        return f"{spec['name']} {spec['dtype']} of unknown rank"
    return f"{spec['name']} {spec['dtype']}[{', '.join('?' if dim is None else str(dim) for dim in spec['shape'])}]"


def run_text(run: Report) -> str:
    """Return what a run of a report was run on: `batch=2 seq=7`, `sample`, or `edge zeros batch=2`."""
    sizes = " ".join(f"{name}={size}" for name, size in run["sizes"].items())
    if run["inputs"] == "random":
        return sizes or "fixed"
    return f"{run['inputs']} {sizes}".strip()


def number(value: float | None, digits: int = 3) -> str:
    """Return a measured number with `digits` significant digits; infinities and NaN as words, None as nothing."""
    if value is None:
        return ""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "∞" if value > 0 else "-∞"
    if value == 0:
        return "0"
    if 1e-3 <= abs(value) < 1e6:
        return f"{value:,.{max(digits - 1 - math.floor(math.log10(abs(value))), 0)}f}"
    return f"{value:.{digits - 1}e}"


def duration(seconds: float | None) -> str:
    """Return a time as people read it: `850 µs`, `12.3 ms`, `4.56 s`."""
    if seconds is None:
        return ""
    if not math.isfinite(seconds):
        return number(seconds)
    for unit, factor in (("s", 1.0), ("ms", 1e3), ("µs", 1e6)):
        if seconds * factor >= 1:
            return f"{number(seconds * factor)} {unit}"
    return f"{number(seconds * 1e9)} ns"


def size(number_of_bytes: float | None) -> str:
    """Return a number of bytes as people read it: `1.2 MB`."""
    if number_of_bytes is None:
        return ""
    rest = float(number_of_bytes)
    for unit in ("B", "kB", "MB"):
        if rest < 1000:
            return f"{rest:.0f} {unit}" if unit == "B" else f"{rest:.1f} {unit}"
        rest /= 1000
    return f"{rest:.1f} GB"


def count(items: int, noun: str) -> str:
    """Return `1 output`, `3 outputs`."""
    return f"{items:,} {noun}" if items == 1 else f"{items:,} {noun}s"


def clip(text: str, most: int) -> str:
    """Return `text` on one line, its end left out where it has more than `most` characters."""
    line = " ".join(text.split())
    return line if len(line) <= most else f"{line[: most - 1]}…"


def outputs(verdict: Report) -> Iterator[tuple[Report, Report]]:
    """Yield every output of every run, with its run."""
    for run in verdict["runs"]:
        for output in run["outputs"]:
            yield run, output


def failed_first(items: Sequence[tuple[Report, Report]]) -> list[tuple[Report, Report]]:
    """Return (run, output) pairs, those that failed first and the worst of them at the top."""
    return sorted(items, key=lambda item: (item[1]["passed"], -_rank(item[1]["error"]) if not item[1]["passed"] else 0))


def is_near(verdict: Report) -> bool:
    """Whether the target was only asked to be near the source, not equal to it."""
    return any(output["tolerance"]["kind"] == "near" for _, output in outputs(verdict))


def worst(verdict: Report) -> tuple[Report, Report] | None:
    """Return the output, and its run, that lies closest to or furthest beyond its limit; None when nothing was run."""
    return max(outputs(verdict), key=_badness, default=None)


def worst_of_each(verdict: Report) -> list[tuple[Report, Report]]:
    """Return each output, with the run in which it came closest to or furthest beyond its limit."""
    found: dict[str, tuple[Report, Report]] = {}
    for item in outputs(verdict):
        before = found.setdefault(item[1]["name"], item)
        if _badness(item) > _badness(before):
            found[item[1]["name"]] = item
    return list(found.values())


def _badness(item: tuple[Report, Report]) -> tuple[bool, float]:
    return (not item[1]["passed"], _rank(item[1]["error"]))


def _rank(error: float) -> float:
    return math.inf if math.isnan(error) else error


# What XML 1.0 cannot hold, escaped or not (https://www.w3.org/TR/xml/#charsets), newline and tab apart.
_UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff\ufffe\uffff]")


def printable(text: str) -> str:
    r"""Return `text` with control characters and half surrogate pairs written out, as in `\x00`."""
    return _UNPRINTABLE.sub(lambda match: match[0].encode("unicode_escape").decode("ascii"), text)
