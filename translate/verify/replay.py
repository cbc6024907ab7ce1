"""Inputs saved so that a comparison can be run again."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from translate.errors import UsageError
from translate.models.inputs import encode_array
from translate.verify.cases import Case


def save_cases(cases: Iterable[Case], folder: str | Path) -> list[Path]:
    """Write each case as one `.npz` in `folder`, made for it, so that `--data folder` compares on the same inputs.

    The file names hold the order, label, sizes and seed. Raises `UsageError` when the folder has something in it or
    cannot be made.
    """
    folder = Path(folder)
    check_new(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"cannot write to {folder}: {error.strerror}") from error
    written: list[Path] = []
    for index, case in enumerate(cases):
        path = folder / f"{index:03d}_{_file_name(case)}.npz"
        # Not np.savez: its own parameter takes the place of an input called "file", and it pickles objects.
        with zipfile.ZipFile(path, "w") as archive:
            for name, array in case.feeds.items():
                key, plain = encode_array(name, array)
                with archive.open(f"{key}.npy", "w", force_zip64=True) as member:
                    np.lib.format.write_array(member, plain, allow_pickle=False)  # type: ignore[no-untyped-call]
        written.append(path)
    return written


def check_new(folder: Path) -> None:
    """Raise `UsageError` where `folder` is one already, with something in it."""
    if folder.is_dir() and any(folder.iterdir()):
        raise UsageError(f"{folder} is not empty: inputs saved beside others could not be told from them")


def _file_name(case: Case) -> str:
    parts = [case.label.removesuffix(".npz"), *(f"{name}{size}" for name, size in case.sizes.items())]
    parts += [] if case.seed is None else [f"seed{case.seed}"]
    return re.sub(r"[^\w.-]+", "-", "_".join(parts))[:120]
