"""Positions and ticks of axes, which no one can check by eye on every page."""

from __future__ import annotations

import math
import re
from dataclasses import replace

import pytest

from tests.reports import samples
from translate.reports.plots import histogram_plot, latency_plot
from translate.reports.sections import timing_report, verdict_report
from translate.reports.svg import Axis, linear_axis, log_axis, shorten
from translate.verify.verdict import Histogram, OutputParity


def test_values_lie_where_they_should() -> None:
    linear, log = Axis(0, 10, 100, 200), Axis(0.01, 100, 0, 400, log=True)
    assert (linear(0), linear(5), linear(10)) == (100, 150, 200)
    assert log(1) == pytest.approx(200)
    # A vertical axis goes up.
    assert Axis(0, 10, 200, 100)(2.5) == 175


@pytest.mark.parametrize(("value", "place"), [(math.nan, 400), (math.inf, 400), (-math.inf, 0), (0.0, 0), (-3.0, 0)])
def test_what_has_no_place_lies_at_the_border(value: float, place: float) -> None:
    assert Axis(0.01, 100, 0, 400, log=True)(value) == place


def test_logarithmic_axes_hold_all_values_in_whole_decades() -> None:
    axis = log_axis([3e-7, 0.2, 0.0, math.nan, math.inf], 0, 100)
    assert (axis.low, axis.high) == (pytest.approx(1e-7), 1.0)
    assert axis.ticks() == pytest.approx([10.0**e for e in range(-7, 1)])
    assert len(log_axis([1e-300, 1e300], 0, 100).ticks()) < 12
    assert log_axis([], 0, 100).ticks()


def test_ticks_are_round() -> None:
    assert linear_axis(0.93, 1.27, 0, 100).ticks(4) == pytest.approx([1.0, 1.1, 1.2])
    assert Axis(1.2e-4, 6e-3, 0, 1, log=True).ticks() == pytest.approx([2e-4, 5e-4, 1e-3, 2e-3, 5e-3])
    assert linear_axis(3.0, 3.0, 0, 100).ticks()
    assert linear_axis(0.0, 0.0, 0, 100).ticks()


def test_long_names_keep_both_ends() -> None:
    short = shorten("encoder.layers.11.attention.output.dense.weight", 200)
    assert short.startswith("encoder.")
    assert short.endswith("weight")
    assert "…" in short
    assert shorten("x", 200) == "x"


def rectangles(plot: str, css: str) -> list[tuple[float, float]]:
    """Return the left edge and the height of each rectangle of a class."""
    found = [dict(re.findall(r'([\w-]+)="([^"]*)"', tag)) for tag in re.findall(r"<rect[^>]*>", plot)]
    return [(float(tag["x"]), float(tag["height"])) for tag in found if tag["class"] == css]


def output_report(output: OutputParity) -> dict[str, object]:
    found: dict[str, object] = verdict_report(samples.verdict(*samples.runs(output)))["runs"][0]["outputs"][0]
    return found


def test_bars_are_as_high_as_their_share() -> None:
    histogram = Histogram(-7.0, (10, 30), (), equal=20)
    plot = histogram_plot(output_report(samples.output("a", histogram=histogram)))
    (zero, zero_height), (first, first_height), (second, second_height) = rectangles(plot, "bar")
    assert zero < first < second
    assert (zero_height / first_height, second_height / first_height) == pytest.approx((2.0, 3.0), rel=0.01)
    # Two bins do not fill the page.
    assert second - first < 40


def test_a_few_slow_calls_do_not_hide_the_others() -> None:
    timing = samples.timing()
    (model, *_), case = timing.cases[0].models, timing.cases[0]
    call = replace(model.call, p99=100 * model.call.p50)
    case = replace(case, models=(replace(model, call=call),), ratios=())
    plot = latency_plot(timing_report(replace(timing, cases=(case,)))["cases"][0])
    assert "on a logarithmic scale" in plot
    assert len(rectangles(plot, "fill source")) >= 5
