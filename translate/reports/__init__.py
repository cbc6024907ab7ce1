"""Write down what was found: JSON, Markdown, JUnit XML."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

from translate.errors import UsageError
from translate.reports.junit import render_junit
from translate.reports.markdown import render_markdown
from translate.reports.schema import render_json

Report: TypeAlias = Mapping[str, Any]

_FORMATS: dict[str, Callable[[Report], str]] = {
    ".json": render_json,
    ".md": render_markdown,
    ".xml": render_junit,
}


def check_report_path(path: Path) -> None:
    """Raise `UsageError` when there is no report format for the ending of `path`, or no folder to put it in."""
    if path.suffix not in _FORMATS:
        raise UsageError(f"--report {path}: no such report format; there are {', '.join(_FORMATS)}")
    if not path.parent.is_dir() or path.is_dir():
        raise UsageError(f"--report {path}: not a file in an existing folder")


def render(report: Report, suffix: str) -> str:
    """Return `report` (see `translate.reports.schema`) in the format that files ending in `suffix` have."""
    return _FORMATS[suffix](report)
