"""The report as one page that needs nothing else: no other file, no network, no JavaScript."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from translate.reports import plots
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
    worst_of_each,
)

# A browser still scrolls through this many rows without a pause.
_MOST_ROWS = 3000
_MOST_HISTOGRAMS = 12


def render_html(report: Report) -> str:
    """Return `report` as an HTML page. Whatever names and messages hold, they are text in it, never markup."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        clip=clip,
        count=count,
        duration=duration,
        number=number,
        ratio=ratio_text,
        run=run_text,
        size=size,
        spec=spec_text,
    )
    environment.filters["case"] = lambda case: run_text({"inputs": "random", "sizes": case["sizes"]})
    page = environment.get_template("page.html").render(
        report=report,
        found=summary(report),
        style=Markup((Path(__file__).parent / "page.css").read_text(encoding="utf-8")),
        **_verdict(report),
        **_measured(report),
    )
    return printable(page)


def _verdict(report: Report) -> dict[str, object]:
    verdict = report["verdict"]
    if verdict is None:
        return {"verdict": None}
    rows = failed_first(list(outputs(verdict)))
    worst = failed_first(worst_of_each(verdict))
    by_error = sorted(worst, key=lambda item: (item[1]["passed"], -item[1]["error"]))
    histograms = [(run, output, plots.histogram_plot(output)) for run, output in by_error]
    histograms = [(run, output, Markup(plot)) for run, output, plot in histograms if plot]
    return {
        "verdict": verdict,
        "worst": worst,
        "rows": rows[:_MOST_ROWS],
        "rows_left_out": max(len(rows) - _MOST_ROWS, 0),
        "error_plot": Markup(plots.error_plot(verdict)),
        "plotted": min(len(worst), plots.MOST_ROWS),
        "histograms": histograms[:_MOST_HISTOGRAMS],
        "histograms_left_out": max(len(histograms) - _MOST_HISTOGRAMS, 0),
    }


def _measured(report: Report) -> dict[str, object]:
    bisect, gradients, timing = report.get("bisect"), report.get("gradients"), report.get("timing")
    return {
        "bisect": bisect,
        "bisect_rows": _around(bisect) if bisect else [],
        "trail_plot": Markup(plots.trail_plot(bisect)) if bisect else "",
        "gradients": gradients,
        "gradient_rows": _failed_first(gradients["gradients"]) if gradients else [],
        "gradient_plot": Markup(plots.gradient_plot(gradients["gradients"])) if gradients else "",
        "loss_plot": Markup(plots.loss_plot(gradients["curve"])) if gradients and gradients["curve"] else "",
        "timing": timing,
        "ratio_plot": Markup(plots.ratio_plot(timing)) if timing else "",
        "latency_plots": [(case, Markup(plots.latency_plot(case))) for case in timing["cases"]] if timing else [],
        "baseline": report.get("baseline"),
    }


def _failed_first(gradients: Iterable[Report]) -> list[Report]:
    return sorted(gradients, key=lambda gradient: gradient["passed"])


def _around(bisect: Report) -> list[tuple[str, Report]]:
    """Return the values at the place where two models part, and what each is."""
    rows = [("read by the operator", parity) for parity in bisect["before"]]
    rows.append(("its result", bisect["after"]))
    if bisect["alone"] is not None:
        rows.append(("its result, alone on the same inputs", bisect["alone"]))
    return rows
