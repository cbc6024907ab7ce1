"""Where torch2tf writes its result, unless somebody says so, and the next version for TF Serving."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from translate.errors import UsageError
from translate.publish import next_version
from translate.routes.formats import WRITERS, Format
from translate.routes.result import source_label

if TYPE_CHECKING:
    from translate.serving import Serving


def serving_version(serving: Serving, output: str | Path | None, *, force: bool) -> Path:
    """Return the folder of the version to write. Raises `UsageError` where it cannot be, or `output` is another."""
    from translate.serving import check as check_serving

    if output is not None:
        raise UsageError("-o and --serving are two places; give one of them")
    check_serving(serving, force=force)
    return serving.base / str(next_version(serving.base, serving.version))


def default_output(source: object, format: Format = "saved_model") -> Path:
    """Return what `source` is written to in the working directory: `a/model.pt2` → `model_tf`, or `model.tflite`."""
    label, suffix = source_label(source), WRITERS[format].suffix
    if not Path(label).exists() and ":" in label:
        return Path(f"{label.rpartition(':')[2]}{suffix}")
    path = Path(label).resolve() if isinstance(source, str | Path) else Path(label)
    return Path(f"{path.name if path.is_dir() else path.stem}{suffix}")
