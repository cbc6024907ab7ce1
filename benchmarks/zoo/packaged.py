"""Trained models that come inside Python packages."""

from __future__ import annotations

from functools import partial
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from benchmarks.zoo.entry import Entry


def _packaged(package: str, path: str, _: Path) -> Path:
    try:
        return Path(str(distribution(package).locate_file(path)))
    except PackageNotFoundError as error:
        raise ModuleNotFoundError(f"{package} is not installed", name=package) from error


_PITCH = "basic_pitch/saved_models/icassp_2022"
PACKAGED = {
    "packaged/basic_pitch": Entry("packaged", partial(_packaged, "basic-pitch", f"{_PITCH}/nmp")),
    "packaged/basic_pitch_onnx": Entry("packaged", partial(_packaged, "basic-pitch", f"{_PITCH}/nmp.onnx")),
}
