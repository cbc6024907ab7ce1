"""Trained models that come inside Python packages."""

from __future__ import annotations

from functools import partial
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from benchmarks.zoo.entry import Entry


def _packaged(package: str, path: str, _: Path | None = None) -> Path:
    try:
        return Path(str(distribution(package).locate_file(path)))
    except PackageNotFoundError as error:
        raise ModuleNotFoundError(f"{package} is not installed", name=package) from error


def _factory(place: str, _: Path) -> str:
    return str(Path(__file__).with_name(place))


_PITCH = "basic_pitch/saved_models/icassp_2022"
_DEEPCUT = "deepcut/weight/cnn_without_ne_ab.h5"
PACKAGED = {
    "packaged/basic_pitch": Entry("packaged", partial(_packaged, "basic-pitch", f"{_PITCH}/nmp")),
    "packaged/basic_pitch_onnx": Entry("packaged", partial(_packaged, "basic-pitch", f"{_PITCH}/nmp.onnx")),
    "packaged/deepcut": Entry(
        "packaged",
        partial(_factory, "deepcut.py:network"),
        weights=partial(_packaged, "deepcut", _DEEPCUT),
        route="layers",
        trains=True,
        integers=12,
    ),
}
