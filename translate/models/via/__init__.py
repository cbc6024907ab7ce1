"""A SavedModel run as production loads it: by TensorFlow's C API, by OpenVINO, by a live TF Serving."""

from __future__ import annotations

from pathlib import Path

from translate.errors import OpenError, UsageError
from translate.models.base import Model
from translate.models.device import Placement

CHOICES = "c-api, openvino or http://HOST:8501/v1/models/NAME"


def open_via(
    via: str,
    path: str | Path,
    *,
    signature: str = "serving_default",
    placement: Placement | None = None,
    notes: list[str] | None = None,
) -> Model:
    """Open the SavedModel in the folder `path` by the runtime `via`: `c-api`, `openvino` or a URL of TF Serving.

    The model behind a URL is whatever the server has loaded; neither `path` nor `placement` counts then. What the user
    should know but is no error is appended to `notes`.
    Raises `OpenError` when the runtime is missing or cannot load the model, `UsageError` for an unknown `via` or a
    `placement` that the runtime does not have.
    """
    notes = notes if notes is not None else []
    if via.startswith(("http://", "https://")):
        from translate.models.via.http import HttpModel

        return HttpModel(via, signature)
    if via not in ("c-api", "openvino"):
        raise UsageError(f"--via {via}: expected {CHOICES}")
    folder = Path(path)
    if not (folder / "saved_model.pb").is_file():
        raise OpenError(f"--via {via} runs a SavedModel folder; {folder} has no saved_model.pb")
    if via == "c-api":
        from translate.models.via.c_api import CApiModel

        return CApiModel(folder, signature, placement)
    from translate.models.via.openvino import OpenvinoModel

    return OpenvinoModel(folder, signature, placement, notes)
