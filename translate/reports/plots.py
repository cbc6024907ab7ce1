"""The plots of a report's page. Each returns SVG, or nothing where there is nothing to draw."""

from __future__ import annotations

import math
from collections.abc import Sequence

from translate.reports.svg import Axis, Drawing, label_width, linear_axis, log_axis, log_label, plain_label, shorten
from translate.reports.text import Report, duration, number, outputs, run_text

_WIDTH = 860
_LABELS = 220  # pixels for the names of rows
_ROW = 22
_FEWEST_BINS = 12
# More rows than this are no picture any more; the worst are shown, and the table has all of them.
MOST_ROWS = 40


def error_plot(verdict: Report) -> str:
    """Plot the error of each output in units of what is allowed, one row each, beside the source's own rounding."""
    rows: dict[str, list[tuple[str, Report]]] = {}
    for run, output in outputs(verdict):
        rows.setdefault(output["name"], []).append((run_text(run), output))
    worst = {name: max(_height(output["error"]) for _, output in points) for name, points in rows.items()}
    shown = sorted(rows, key=lambda name: -worst[name])[:MOST_ROWS]
    if not shown:
        return ""
    drawing, axis = _rows(
        shown,
        [output["error"] for name in shown for _, output in rows[name]]
        + [floor for name in shown for _, output in rows[name] if (floor := _noise_floor(output))],
        "Largest error of each output in units of what is allowed; 1 is the limit",
        "error ÷ limit",
    )
    for index, name in enumerate(shown):
        y = _y(index)
        floors = [floor for _, output in rows[name] if (floor := _noise_floor(output))]
        if floors:
            x = axis(max(floors))
            drawing.line(x, y - 7, x, y + 7, "noise", f"{name}: rounding noise of the source {number(max(floors))}")
        for where, output in rows[name]:
            tip = f"{name} at {where}: {number(output['error'])} of the limit"
            drawing.mark(axis(output["error"]), y, output["error"], output["passed"], tip, small=len(rows[name]) > 1)
    return str(drawing)


def gradient_plot(gradients: Sequence[Report]) -> str:
    """Plot the error of each gradient in units of what is allowed, one row each, beside the source's own rounding."""
    shown = sorted(gradients, key=lambda gradient: -_height(gradient["error"]))[:MOST_ROWS]
    if not shown:
        return ""
    floors = [g["noise"] / g["allowed"] if g["noise"] and g["allowed"] else None for g in shown]
    drawing, axis = _rows(
        [gradient["name"] for gradient in shown],
        [*(gradient["error"] for gradient in shown), *(floor for floor in floors if floor)],
        "Largest error of each gradient in units of what is allowed; 1 is the limit",
        "error ÷ limit",
    )
    for index, (gradient, floor) in enumerate(zip(shown, floors, strict=True)):
        y = _y(index)
        if floor:
            drawing.line(axis(floor), y - 7, axis(floor), y + 7, "noise", f"rounding noise {number(floor)}")
        tip = f"{gradient['name']}: {number(gradient['error'])} of the limit"
        drawing.mark(axis(gradient["error"]), y, gradient["error"], gradient["passed"], tip)
    return str(drawing)


def histogram_plot(output: Report) -> str:
    """Plot how many elements of one output have which distance, beside the source's own rounding errors."""
    histogram = output["histogram"]
    if histogram is None or not (sum(histogram["errors"]) or histogram["equal"]):
        return ""
    limit, scale = output["tolerance"]["maximum"], output["scale"]
    edge = math.log10(limit / scale) if limit > 0 and scale > 0 else None
    low, bins = _histogram_range(histogram, edge)
    errors = _shares(histogram["errors"], histogram["equal"])
    noise = _shares(histogram["noise"], histogram["noise_equal"])

    left, right, top, bottom = 48.0, 416.0, 26.0, 150.0
    drawing = Drawing(430, 192, f"Distribution of the errors of {output['name']}")
    # Bins are half decades; the bar of exact agreement stands apart, to their left.
    width = (right - left) / (bins + 2)
    vertical = linear_axis(0.0, max([*errors, *noise]), bottom, top)
    drawing.left_axis(vertical, left, right, "share of the elements", lambda value: f"{100 * value:g}%")

    def place(exponent: float) -> float:
        return left + width * (2 + 2 * (exponent - low))

    places = [left, *(place(histogram["first"] + index / 2) for index in range(len(histogram["errors"])))]
    for x, share in zip(places, errors, strict=True):
        if share:
            y, tip = vertical(share), f"{100 * share:.3g}% of the elements"
            drawing.add("rect", "bar", tip, x=x + 0.5, y=y, width=width - 1, height=bottom - y)
    if noise:
        drawing.line(left, vertical(noise[0]), left + width, vertical(noise[0]), "step")
        points = [(place(low), bottom), (place(histogram["first"]), bottom)]
        for index, share in enumerate(noise[1:]):
            x = place(histogram["first"] + index / 2)
            points += [(x, vertical(share)), (x + width, vertical(share))]
        drawing.path([*points, (points[-1][0], bottom), (right, bottom)], "step")
    drawing.line(left, bottom, right, bottom, "axis")
    drawing.text(left + width / 2, bottom + 16, "0", "tick", "middle")
    for exponent in range(math.ceil(low), math.floor(low + bins / 2) + 1):
        if exponent % max(1, round(bins / 12)) == 0:
            drawing.line(place(exponent), bottom, place(exponent), bottom + 4, "axis")
            drawing.text(place(exponent), bottom + 16, log_label(10.0**exponent), "tick", "middle")
    drawing.text((left + right) / 2, bottom + 34, "distance ÷ largest magnitude of the output", "tick", "middle")
    if edge is not None:
        drawing.line(place(edge), top, place(edge), bottom, "limit", f"limit {number(10**edge)}")
    return str(drawing)


def _histogram_range(histogram: Report, edge: float | None) -> tuple[float, int]:
    """Return the exponent at the left, and the number of bins, so that all bins and the limit are in it."""
    low, high = histogram["first"], histogram["first"] + len(histogram["errors"]) / 2
    if edge is not None:
        low, high = min(low, math.floor(edge)), max(high, math.ceil(edge + 0.1))
    # A few bins alone would be bars as wide as the page.
    missing = max(0, _FEWEST_BINS - round(2 * (high - low)))
    low -= math.ceil(missing / 4)
    return low, max(round(2 * (high - low)), _FEWEST_BINS)


def trail_plot(finding: Report) -> str:
    """Plot the error of every value that was compared, in the order of the graph, up to where the two models part."""
    trail = finding["trail"]
    if len(trail) < 2:
        return ""
    left, right, top, bottom = 64, _WIDTH - 16, 34, 250
    drawing = Drawing(
        _WIDTH, 292, "Error of every compared value in the order of the graph, in units of what is allowed"
    )
    floors = [_noise_floor(value) for value in trail]
    axis = log_axis([0.1, 10.0, *(value["error"] for value in trail), *(floor or 0.0 for floor in floors)], bottom, top)
    across = linear_axis(0, len(trail) - 1, left + 10, right - 10)
    drawing.add("rect", "allowed", x=left, y=axis(1.0), width=right - left, height=bottom - axis(1.0))
    drawing.left_axis(axis, left, right, "error ÷ limit", log_label)
    drawing.line(left, axis(1.0), right, axis(1.0), "limit", "the limit")
    for index, (value, floor) in enumerate(zip(trail, floors, strict=True)):
        x = across(index)
        if floor:
            half = min(7.0, 300 / len(trail))
            drawing.line(x - half, axis(floor), x + half, axis(floor), "noise", f"rounding noise {number(floor)}")
        if value["name"] == finding["value"]:
            drawing.line(x, top, x, bottom, "here")
            late = index > len(trail) / 2
            label = shorten(f"parts here: {value['name']}", (x - left if late else right - x) - 12)
            drawing.text(x + (-8 if late else 8), top + 14, label, "label strong", "end" if late else "start")
        tip = f"{value['name']}: {number(value['error'])} of the limit"
        drawing.mark(x, axis(value["error"]), value["error"], value["passed"], tip, small=len(trail) > 60)
    drawing.line(left, bottom, right, bottom, "axis")
    text = f"the {len(trail):,} values compared, from the input on"
    drawing.text((left + right) / 2, bottom + 26, text, "tick", "middle")
    return str(drawing)


def latency_plot(case: Report) -> str:
    """Plot how the times of calls are distributed, one row for each model, with median, 90th and 99th percentile."""
    models = [model for model in case["models"] if model["call"]["samples"]]
    if not models:
        return ""
    left, right, row = _LABELS + 12, _WIDTH - 20, 74
    bottom = 20 + row * len(models)
    # What lies beyond the worst 99th percentile is a handful of calls that would squeeze the rest to one side.
    low = min(min(model["call"]["samples"]) for model in models)
    high = max(model["call"]["p99"] for model in models)
    axis = _time_axis(low, high, left, right)
    where = run_text({"sizes": case["sizes"], "inputs": "random"})
    drawing = Drawing(_WIDTH, bottom + 44, f"Distribution of the time of one call at {where}, for each model")
    title = "time of one call" + (", on a logarithmic scale" if axis.log else "")
    drawing.bottom_axis(axis, 14, bottom, title, duration)
    bins = 60
    for index, model in enumerate(models):
        base = 14 + row * (index + 1) - 4
        counts = [0] * bins
        for sample in model["call"]["samples"]:
            counts[min(int((axis(sample) - left) / (right - left) * bins), bins - 1)] += 1
        side = ("source", "target")[index] if index < 2 else "other"
        for place, amount in enumerate(counts):
            if amount:
                tall = (row - 26) * amount / max(counts)
                x = left + (right - left) * place / bins
                drawing.add(
                    "rect", f"fill {side}", "", x=x, y=base - tall, width=(right - left) / bins - 0.5, height=tall
                )
        drawing.line(left, base, right, base, "axis")
        for key in ("p50", "p90", "p99"):
            x = axis(model["call"][key])
            drawing.line(x, base - row + 22, x, base, f"percentile {key}", f"{key} {duration(model['call'][key])}")
        drawing.text(left - 12, base - 22, shorten(model["label"], _LABELS - 10), "label", "end", tip=model["label"])
        drawing.text(left - 12, base - 6, f"median {duration(model['call']['p50'])}", "tick", "end")
    return str(drawing)


def _time_axis(low: float, high: float, start: float, end: float) -> Axis:
    """Return an axis for times, logarithmic where a few slow calls would squeeze all others to one side."""
    if low > 0 and high > 5 * low:
        return Axis(low / 1.1, high * 1.1, start, end, log=True)
    span = high - low or high or 1.0
    return linear_axis(max(0.0, low - 0.05 * span), high + 0.1 * span, start, end)


def ratio_plot(timing: Report) -> str:
    """Plot how many times as long as the first model each of the others takes, with intervals, one row for each."""
    rows = [(case, ratio) for case in timing["cases"] for ratio in case["ratios"]]
    if not rows:
        return ""
    limit = timing["max_slowdown"]
    left, right, bottom = _LABELS + 12, _WIDTH - 20, _y(len(rows) - 1) + 16
    ends = [ratio[key] for _, ratio in rows for key in ("low", "high")] + [1.0] + ([] if limit is None else [limit])
    margin = 0.08 * (max(ends) - min(ends)) or 0.1
    axis = linear_axis(max(0.0, min(ends) - margin), max(ends) + margin, left, right)
    drawing = Drawing(_WIDTH, int(bottom + 42), "Ratio of times, with confidence intervals; 1 is as fast as the first")
    drawing.bottom_axis(axis, 8, bottom, "time ÷ time of the first model; less is faster")
    drawing.line(axis(1.0), 8, axis(1.0), bottom, "here", "as fast as the first model")
    if limit is not None:
        drawing.line(axis(limit), 8, axis(limit), bottom, "limit", f"the limit {limit:g}")
    many = len({ratio["label"] for _, ratio in rows}) > 1
    for index, (case, ratio) in enumerate(rows):
        y = _y(index)
        where = run_text({"sizes": case["sizes"], "inputs": "random"})
        name = f"{ratio['label']}, {where}" if many else where
        drawing.text(left - 12, y + 4, shorten(name, _LABELS - 10), "label", "end", tip=name)
        tip = f"{number(ratio['value'])}, {100 * ratio['confidence']:g} % interval "
        tip += f"{number(ratio['low'])} to {number(ratio['high'])}"
        drawing.line(axis(ratio["low"]), y, axis(ratio["high"]), y, "interval", tip)
        drawing.mark(axis(ratio["value"]), y, ratio["value"], limit is None or ratio["high"] <= limit, tip)
    return str(drawing)


def loss_plot(curve: Report) -> str:
    """Plot the loss before and after each step of gradient descent, on both sides."""
    values = [value for key in ("source", "target") for value in curve[key] if math.isfinite(value)]
    if not values:
        return ""
    left, right, top, bottom = 72, _WIDTH - 16, 34, 220
    low, high = min(values), max(values)
    log = low > 0 and high > 30 * low
    axis = log_axis(values, bottom, top) if log else linear_axis(low, high, bottom, top)
    steps = max(len(curve["source"]), len(curve["target"])) - 1
    across = linear_axis(0, max(steps, 1), left, right)
    drawing = Drawing(_WIDTH, 262, "The loss at each step of gradient descent, on both sides")
    drawing.left_axis(axis, left, right, "loss", log_label if log else plain_label)
    drawing.bottom_axis(Axis(0, max(steps, 1), left, right), bottom, bottom, "step", lambda value: f"{value:g}")
    for side in ("source", "target"):
        points = [(across(i), axis(value)) for i, value in enumerate(curve[side]) if math.isfinite(value)]
        drawing.path(points, f"curve {side}")
        for (x, y), value in zip(points, filter(math.isfinite, curve[side]), strict=True):
            drawing.add("circle", f"fill {side}", f"{side}: {value:.6g}", cx=x, cy=y, r=3)
    return str(drawing)


def _rows(names: Sequence[str], values: Sequence[float], title: str, axis_title: str) -> tuple[Drawing, Axis]:
    """Return a drawing with a labelled row for each of `names` and a logarithmic axis on which 1 is the limit."""
    labels = label_width(names, _LABELS, _WIDTH / 2)
    left, right, bottom = labels + 12, _WIDTH - 20, _y(len(names) - 1) + 16
    drawing = Drawing(_WIDTH, int(bottom + 42), title)
    axis = log_axis([*values, 0.1, 10.0], left, right)
    drawing.add("rect", "allowed", x=left, y=8.0, width=axis(1.0) - left, height=bottom - 8)
    drawing.bottom_axis(axis, 8, bottom, axis_title, log_label)
    drawing.line(axis(1.0), 8, axis(1.0), bottom, "limit", "the limit")
    for index, name in enumerate(names):
        drawing.text(left - 12, _y(index) + 4, shorten(name, labels - 4), "label", "end", tip=name)
        drawing.line(left, _y(index), right, _y(index), "row")
    return drawing, axis


def _y(row: int) -> float:
    return 22.0 + _ROW * row


def _height(error: float) -> float:
    return math.inf if math.isnan(error) else error


def _noise_floor(output: Report) -> float | None:
    """Return the source's own rounding in units of the limit of the largest distance."""
    noise, limit = output["noise"], output["tolerance"]["maximum"]
    return noise["maximum"] / limit if noise is not None and noise["maximum"] and limit else None


def _shares(bins: Sequence[int], equal: int) -> list[float]:
    total = sum(bins) + equal
    return [value / total for value in (equal, *bins)] if total else []
