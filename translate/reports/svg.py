"""Drawing with axes, as SVG inside a page: positions on linear and logarithmic axes, ticks, and the elements.

Colours are classes of the page's style sheet, so that a drawing follows its light and dark mode.
"""

from __future__ import annotations

import math
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from translate.reports.text import number

# The width of a character in a drawing's font of 12 pixels, on average: text cannot be measured before it is drawn.
_CHARACTER = 6.6


@dataclass(frozen=True)
class Axis:
    """A scale from values `low`..`high` to pixels `start`..`end`; what lies outside is drawn at the border.

    Logarithmic with `log`; zero and NaN then lie at the lower and the upper border.
    """

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def __call__(self, value: float) -> float:
        """Return the pixel of `value`."""
        if math.isnan(value):
            return self.end
        if value <= self.low:
            return self.start
        if value >= self.high:
            return self.end
        low, high, at = (math.log10(v) if self.log else v for v in (self.low, self.high, value))
        return self.start + (self.end - self.start) * (at - low) / (high - low)

    def ticks(self, most: int = 8) -> list[float]:
        """Return round values to mark, at most `most` or so."""
        if self.log:
            first, last = math.ceil(math.log10(self.low) - 1e-9), math.floor(math.log10(self.high) + 1e-9)
            if last - first < 3:
                steps = [factor * 10.0**exponent for exponent in range(first - 1, last + 1) for factor in (1, 2, 5)]
                return [step for step in steps if self.low <= step * (1 + 1e-9) and step <= self.high * (1 + 1e-9)]
            decades = max(1, math.ceil((last - first + 1) / most))
            return [10.0**exponent for exponent in range(first, last + 1, decades)]
        rough = (self.high - self.low) / most
        unit = 10.0 ** math.floor(math.log10(rough))
        step = unit * next(factor for factor in (1, 2, 5, 10) if factor * unit >= rough)
        return [k * step for k in range(math.ceil(self.low / step), math.floor(self.high / step) + 1)]


def log_axis(values: Iterable[float], start: float, end: float) -> Axis:
    """Return a logarithmic axis over whole decades that holds every positive, finite one of `values`."""
    known = [value for value in values if value > 0 and math.isfinite(value)]
    low = math.floor(math.log10(min(known, default=1e-8)))
    high = math.ceil(math.log10(max(known, default=1.0)))
    return Axis(10.0**low, 10.0 ** max(high, low + 1), start, end, log=True)


def linear_axis(low: float, high: float, start: float, end: float) -> Axis:
    """Return a linear axis from `low` to `high`, a little wider than nothing where they are equal."""
    if high - low <= 1e-9 * max(abs(low), abs(high)):
        margin = abs(high) / 2 or 1.0
        low, high = low - margin, high + margin
    return Axis(low, high, start, end)


def plain_label(value: float) -> str:
    """Return a round value as its tick is labelled."""
    return f"{value:.6g}"


def log_label(value: float) -> str:
    """Return a power of ten as its tick is labelled."""
    return f"{value:g}" if 0.001 <= value <= 1000 else f"{value:.0e}".replace("e-0", "e-").replace("e+0", "e")


def shorten(text: str, pixels: float) -> str:
    """Return `text` with its middle left out, where it is wider than `pixels`."""
    room = max(int(pixels / _CHARACTER), 3)
    if len(text) <= room:
        return text
    head = (room - 1) // 2
    return f"{text[:head]}…{text[len(text) - (room - 1 - head) :]}"


def label_width(labels: Iterable[str], least: float, most: float) -> float:
    """Return the pixels that the longest of `labels` needs, within bounds."""
    return min(max(least, max(map(len, labels), default=0) * _CHARACTER + 6), most)


class Drawing:
    """One SVG element; `title` is what it shows in a sentence, for who cannot see it."""

    def __init__(self, width: int, height: int, title: str) -> None:
        self.width, self.height = width, height
        self.root = ElementTree.Element("svg", viewBox=f"0 0 {width} {height}", role="img")
        self.root.set("aria-label", title)

    def add(self, tag: str, css: str, tip: str = "", **attributes: float | str) -> ElementTree.Element:
        """Add an element of the classes `css`, with a text that appears under the pointer."""
        element = ElementTree.SubElement(self.root, tag)
        if css:
            element.set("class", css)
        for name, value in attributes.items():
            element.set(name.rstrip("_").replace("_", "-"), value if isinstance(value, str) else f"{value:.1f}")
        if tip:
            ElementTree.SubElement(element, "title").text = tip
        return element

    def line(self, x1: float, y1: float, x2: float, y2: float, css: str, tip: str = "") -> None:
        """Add a straight line."""
        self.add("line", css, tip, x1=x1, y1=y1, x2=x2, y2=y2)

    def text(self, x: float, y: float, text: str, css: str = "label", anchor: str = "start", tip: str = "") -> None:
        """Add a text; `anchor` is start, middle or end."""
        element = self.add("text", css, x=x, y=y, text_anchor=anchor)
        element.text = text
        if tip:
            ElementTree.SubElement(element, "title").text = tip

    def path(self, points: Sequence[tuple[float, float]], css: str) -> None:
        """Add a line through `points`."""
        if points:
            self.add("path", css, d="M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points), fill="none")

    def mark(self, x: float, y: float, value: float, passed: bool, tip: str = "", small: bool = False) -> None:
        """Add a measured point: a disc where it passed, a cross where it failed, for who cannot tell the colours.

        A `value` of zero, which has no place on a logarithmic axis, is a ring; of infinity and NaN it says so.
        """
        if passed:
            self.add("circle", "dot ok" if value else "ring ok", tip, cx=x, cy=y, r=2.5 if small else 4.0)
        else:
            r = 3.0 if small else 4.5
            self.add(
                "path", "cross bad", tip, d=f"M{x - r:.1f} {y - r:.1f}l{2 * r} {2 * r}m0 {-2 * r}l{-2 * r} {2 * r}"
            )

        if not math.isfinite(value):
            self.text(x - 9, y + 4, number(value), "tick", "end")

    def bottom_axis(
        self, axis: Axis, top: float, bottom: float, title: str, label: Callable[[float], str] = plain_label
    ) -> None:
        """Add the grid lines, tick labels and title of a horizontal axis."""
        for tick in axis.ticks():
            x = axis(tick)
            self.line(x, top, x, bottom, "grid")
            self.text(x, bottom + 16, label(tick), "tick", "middle")
        self.text((axis.start + axis.end) / 2, bottom + 34, title, "tick", "middle")

    def left_axis(
        self, axis: Axis, left: float, right: float, title: str, label: Callable[[float], str] = plain_label
    ) -> None:
        """Add the grid lines, tick labels and title (above the axis) of a vertical axis."""
        for tick in axis.ticks(6):
            y = axis(tick)
            self.line(left, y, right, y, "grid")
            self.text(left - 8, y + 4, label(tick), "tick", "end")
        self.text(left, min(axis.start, axis.end) - 10, title, "tick", "start")

    def __str__(self) -> str:
        return ElementTree.tostring(self.root, encoding="unicode")
