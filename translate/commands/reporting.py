"""What every command does with its report: check where it goes, write it, print it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click
from rich.console import Console

from translate.terminal import console

_Command = TypeVar("_Command", bound=Callable[..., Any])


def report_options(command: _Command) -> _Command:
    """Say where the report goes, and what it is compared with."""
    for option in (
        click.option("--json", "as_json", is_flag=True, help="Print the report as JSON instead of text."),
        click.option("--baseline", metavar="FILE", help="An earlier JSON report; what got worse fails."),
        click.option(
            "--report", "reports", metavar="FILE", multiple=True, help="Write .json, .xml (JUnit), .md or .html."
        ),
    ):
        command = option(command)
    return command


def check_reports(paths: Sequence[str], baseline: str | None) -> tuple[str, Mapping[str, Any]] | None:
    """Refuse what cannot be written or read before any work; return the baseline, if there is one, by its name."""
    from translate.reports import check_report_path
    from translate.reports.baseline import read_baseline

    for path in paths:
        check_report_path(Path(path))
    return None if baseline is None else (baseline, read_baseline(Path(baseline)))


def publish_report(
    report: Mapping[str, Any],
    paths: Sequence[str],
    as_json: bool,
    baseline: tuple[str, Mapping[str, Any]] | None,
    show: Callable[[Console, Mapping[str, Any]], None],
) -> bool:
    """Write and print the report, compared with its baseline; return whether it passed."""
    from translate.publish import write_file
    from translate.reports import render
    from translate.reports.baseline import with_baseline

    report = report if baseline is None else with_baseline(report, *baseline)
    for path in paths:
        write_file(Path(path), render(report, Path(path).suffix))
    if as_json:
        click.echo(render(report, ".json"), nl=False)
    else:
        show(console(), report)
    return bool(report["passed"])
