"""What a module returns, whatever its structure, as tensors with names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from typing import Any

import torch

from translate.errors import UsageError


def flatten(value: Any) -> dict[str, torch.Tensor]:
    """Name every tensor of a result after its place: keys joined by `_`; None is left out.

    A result that is one tensor is called `output`, the parts of a tuple `output_0`...
    """
    tensors: dict[str, torch.Tensor] = {}
    for path, leaf in _walk(value):
        numbered = not path or path[0].isdigit()
        name = "_".join(("output", *path) if numbered else path)
        while name in tensors:
            name += "_"
        tensors[name] = leaf if isinstance(leaf, torch.Tensor | Leaf) else torch.as_tensor(leaf)  # type: ignore[assignment]
    return tensors


class Leaf(int):
    """A tensor's index among the outputs of a program, standing for the tensor."""


def _walk(value: Any) -> Iterator[tuple[tuple[str, ...], Any]]:
    for key, part in _parts(value):
        if key is None:
            yield (), part
        else:
            yield from (((key, *path), leaf) for path, leaf in _walk(part))


def _parts(value: Any) -> list[tuple[str | None, Any]]:
    """Return the named parts of one level of a result; a leaf is the one part called None."""
    if value is None:
        return []
    if isinstance(value, torch.Tensor | int | float | complex):
        return [(None, value)]
    if isinstance(value, Mapping):
        return [(str(key), part) for key, part in value.items()]
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return list(zip(value._fields, value, strict=True))
    if isinstance(value, tuple | list):
        return [(str(index), part) for index, part in enumerate(value)]
    if is_dataclass(value):
        return [(field.name, getattr(value, field.name)) for field in fields(value)]
    # The caches of transformers are lists of layers, objects whose attributes are tensors.
    layers = getattr(value, "layers", None)
    if isinstance(layers, list):
        return [(str(index), _tensors_of(layer)) for index, layer in enumerate(layers)]
    # That of an encoder and a decoder holds two of them.
    parts = getattr(value, "__dict__", {})
    caches = [(key, part) for key, part in parts.items() if isinstance(getattr(part, "layers", None), list)]
    if caches:
        return caches
    raise UsageError(f"forward returns a {type(value).__name__}; tensors in tuples, dicts and dataclasses can be named")


def _tensors_of(layer: Any) -> dict[str, torch.Tensor]:
    """Return a cache layer's tensors but for its private bookkeeping; `keys` are called `key`, `values` `value`."""
    short = {"keys": "key", "values": "value"}
    public = {key: part for key, part in vars(layer).items() if not key.startswith("_")}
    return {short.get(key, key): part for key, part in public.items() if isinstance(part, torch.Tensor)}


def structure_of(value: Any) -> str:
    """Return "single", "tuple", "list" or "dict": what kind of result `value` is."""
    if isinstance(value, torch.Tensor | Leaf | int | float):
        return "single"
    if isinstance(value, Mapping) or is_dataclass(value) or hasattr(value, "_fields"):
        return "dict"
    return "list" if isinstance(value, list) else "tuple"
