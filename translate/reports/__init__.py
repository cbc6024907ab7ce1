"""Write down what was found: JSON, Markdown, JUnit XML, HTML."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from translate.errors import UsageError
from translate.reports.html import render_html
from translate.reports.junit import render_junit
from translate.reports.markdown import render_markdown
from translate.reports.schema import render_json
from translate.reports.text import Report

_FORMATS: dict[str, Callable[[Report], str]] = {
    ".json": render_json,
    ".xml": render_junit,
    ".md": render_markdown,
    ".html": render_html,
}


def check_report_path(path: Path) -> None:
    """Raise `UsageError` when there is no report format for the ending of `path`, or no folder to put it in."""
    if path.suffix not in _FORMATS:
        raise UsageError(f"--report {path}: no such report format; there are {', '.join(_FORMATS)}")
    if not path.parent.is_dir() or path.is_dir() or not os.access(path.parent, os.W_OK):
        raise UsageError(f"--report {path}: not a file in an existing folder that can be written to")


def render(report: Report, suffix: str) -> str:
    """Return `report` (see `translate.reports.schema`) in the format that files ending in `suffix` have."""
    return _FORMATS[suffix](report)
