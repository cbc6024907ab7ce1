"""Checkpoints in several safetensors files, told by their index: transformers' `model.safetensors.index.json`."""

from __future__ import annotations

import json
from pathlib import Path

from translate.errors import OpenError


def is_index(path: Path) -> bool:
    """Say whether a file is named like an index, which is JSON."""
    return path.suffix == ".json"


def read_index(index: Path) -> dict[str, Path]:
    """Return the file that holds each tensor, by the tensor's name. Raises `OpenError`."""
    try:
        named = json.loads(index.read_text(encoding="utf-8"))["weight_map"]
        files = {str(name): Path(file) for name, file in named.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise OpenError(f"{index} is no index of safetensors files, which has a weight_map") from error
    # An index from elsewhere has no business in other folders.
    for file in files.values():
        if file.name != str(file) or file.suffix != ".safetensors":
            raise OpenError(f"{index} names {file}, which is no safetensors file beside it")
    return {name: index.parent / file for name, file in files.items()}


def weight_files(weights: Path) -> list[Path]:
    """Return the file `weights` and, of an index, those that it names. Raises `OpenError`."""
    return [weights, *sorted(set(read_index(weights).values()))] if is_index(weights) else [weights]
