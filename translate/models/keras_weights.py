"""Weights of Keras models from files that hold only them, or a whole model."""

from __future__ import annotations

import contextlib
import tempfile
import warnings
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from translate.errors import OpenError


def load_keras_weights(model: Any, path: Path) -> None:
    """Load what `model.save_weights` wrote, or the weights of a whole model, into a built `keras.Model`.

    `path` is a file in HDF5, of Keras 3 or the legacy format, or a `.keras` archive. Raises `OpenError` for another
    file, and where it does not fit the model.
    """
    if not path.is_file():
        raise OpenError(f"no such weights file: {path}")
    suffix = ".keras" if zipfile.is_zipfile(path) else _format_of_weights(path)
    weights = [weight for weight in model.weights if "float" in str(weight.dtype)]
    for weight in weights:
        weight.assign(np.full(weight.shape, np.nan, np.float32))
    try:
        with linked(path, suffix) as file, warnings.catch_warnings():
            # Keras only warns of what it did not load, and also where it found it elsewhere in the file.
            warnings.simplefilter("ignore")
            model.load_weights(file)
    except Exception as error:
        # As above.
        raise OpenError(f"{path} does not fit {model.name}: {first_lines(error)}") from error
    left = [getattr(weight, "path", weight.name) for weight in weights if np.isnan(weight.numpy()).all()]
    if left:
        raise OpenError(f"{path} does not fit {model.name}: it has nothing for {', '.join(left[:4])}")


def _format_of_weights(path: Path) -> str:
    """Return the ending by which Keras knows the format of a file of weights."""
    import h5py

    try:
        with h5py.File(path, "r") as file:
            return ".h5" if "layer_names" in file.attrs or "model_weights" in file else ".weights.h5"
    except OSError as error:
        raise OpenError(
            f"{path} holds no weights for Keras, which are .weights.h5, .h5 or .keras files ({error})"
        ) from error


@contextlib.contextmanager
def linked(path: Path, suffix: str) -> Iterator[str]:
    """Give a path to the file that ends in `suffix`: Keras goes by that, not by the content."""
    with tempfile.TemporaryDirectory() as folder:
        link = Path(folder, f"model{suffix}")
        link.symlink_to(path.resolve())
        yield str(link)


def first_lines(error: Exception) -> str:
    """Return the class of an error of Keras, and the first words of its message."""
    lines: Sequence[str] = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {' '.join(lines)[:400]}"
