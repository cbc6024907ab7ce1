"""What is compared with the translation of a quantised TFLite file, and how far the file's own integers are from that.

A translation computes with real numbers on the grid of the file's integers. It is judged by the file computed in the
same way by the TFLite interpreter (`tflite_reals`), where nothing but rounding may differ. How far the integer kernels
are from the real numbers is no question of the translation: it is measured, operator by operator and over the whole
file, and told.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from translate.models.base import Array, Model


def comparable(model: Model) -> Model:
    """Return what a translation of `model` is compared with: the model itself, or a TFLite file in real numbers."""
    if model.kind != "TFLite":
        return model
    from translate.models.tflite_model import TFLiteModel

    assert isinstance(model, TFLiteModel)
    return model.in_real_numbers() or model


def on_grids(model: Model, ours: Model, theirs: Model) -> tuple[Model, Model]:
    """Return both sides with those outputs as real numbers that are integers in `model`, a TFLite file.

    Where their names or dtypes differ they stay as they are, for the comparison to say so.
    """
    from translate.models.grids import OnGrids
    from translate.models.tflite_model import TFLiteModel
    from translate.verify.interface import interface_differences

    assert isinstance(model, TFLiteModel)
    grids = model.grids()
    if not grids or interface_differences(ours, theirs):
        return ours, theirs
    return OnGrids(ours, grids), OnGrids(theirs, grids)


def distance_notes(model: Model, real: Model, feeds: Mapping[str, Array]) -> list[str]:
    """Say how far `model`, a TFLite file, is from itself in real numbers on `feeds`."""
    from translate.models.tflite_model import TFLiteModel

    assert isinstance(model, TFLiteModel)
    notes = [
        "the file computes with integers; the translation, and what it was compared with, compute the same file in "
        "real numbers rounded to the integers' grid"
    ]
    distances = model.operator_distances(feeds)
    exact = [name for name, steps in distances.items() if steps <= 1]
    if exact:
        notes.append(
            f"from the same integers, these operators differ from that by one step at most: {', '.join(exact)}"
        )
    far = [f"{name} by {steps}" for name, steps in distances.items() if steps > 1]
    if far:
        notes.append(f"the interpreter's integer kernels differ from that by more steps: {', '.join(far)}")
    ours, theirs = model.run(feeds), real.run(feeds)
    for name, value in ours.items():
        if value.size and value.dtype.kind in "fiu":
            a, b = value.astype(np.float64), theirs[name].astype(np.float64)
            notes.append(
                f'over the whole file, the interpreter\'s "{name}" differs by {np.max(np.abs(a - b)):.3g} at most, its '
                f"largest value being {np.max(np.abs(a)):.3g}"
            )
    return notes
