"""What an animal of the zoo is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal


@dataclass(frozen=True)
class Entry:
    """One model of the zoo.

    `make(folder)` writes it below `folder`, the same one every time, and returns what `tf2torch` is given: the file or
    folder of the model, or a factory. It raises `ModuleNotFoundError` where a package that brings the model is not
    installed. `inputs` say which of its open sizes are the same, as `--input` does. `weights()` returns the file of
    weights that goes with a factory. `signature` is the function of a SavedModel that is translated, `route` the one
    that is asked for. With `trains`, gradients and steps of training are compared with TensorFlow's, too; the integers
    that it takes are below `integers`. Entries of one `group` share a process.
    """

    family: str
    make: Callable[[Path], Path | str]
    inputs: tuple[str, ...] = ()
    weights: Callable[[], Path] | None = None
    signature: str = "serving_default"
    route: Literal["auto", "layers", "graph"] = "auto"
    trains: bool = False
    integers: int = 2
    group: str = ""
