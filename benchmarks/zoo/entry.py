"""What an animal of the zoo is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Entry:
    """One model of the zoo.

    `make(folder)` writes it below `folder`, the same one every time, and returns the file or folder of the model; it
    raises `ModuleNotFoundError` where a package that brings the model is not installed. `signature` is the function
    of a SavedModel that is translated.
    """

    family: str
    make: Callable[[Path], Path]
    signature: str = "serving_default"
