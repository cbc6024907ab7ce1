"""All models of the zoo, by name, in the order of their runs; nothing is built before it is made."""

from __future__ import annotations

from benchmarks.zoo.applications import KERAS_FILES, SAVED_MODELS
from benchmarks.zoo.entry import Entry
from benchmarks.zoo.hub import HUB
from benchmarks.zoo.layers import LAYERS, SAVED_LAYERS
from benchmarks.zoo.packaged import PACKAGED
from benchmarks.zoo.programs import PROGRAMS

ZOO: dict[str, Entry] = {
    **PROGRAMS,
    **PACKAGED,
    **LAYERS,
    **HUB,
    **KERAS_FILES,
    **SAVED_LAYERS,
    **SAVED_MODELS,
}
