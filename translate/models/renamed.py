"""A model whose inputs go by names that TensorFlow can give to a signature's inputs."""

from __future__ import annotations

import keyword
import re
from collections.abc import Mapping
from dataclasses import replace

from translate.models.base import Array, Model


class RenamedInputs(Model):
    """Another model, `names` being {its own name of an input: the new name}; all else stays."""

    def __init__(self, model: Model, names: Mapping[str, str]) -> None:
        self.model = model
        self.names = dict(names)
        self.kind = model.kind
        self.inputs = tuple(replace(spec, name=self.names[spec.name]) for spec in model.inputs)
        self.outputs = tuple(model.outputs)
        # See TorchModel; only that has them.
        self.ranges = getattr(model, "ranges", None)

    def run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """Run once on `feeds` by the new names. Raises `UsageError` when a name is missing or unknown."""
        back = {new: old for old, new in self.names.items()}
        return self.model.run({back.get(name, name): array for name, array in feeds.items()})


def signature_names(model: Model) -> dict[str, str]:
    """Return {name: name in a signature} for every input of `model`.

    TensorFlow takes only identifiers of Python that start with a letter for a signature's inputs (outputs may bear
    any name), so `input.1` becomes `input_1` and `in` becomes `in_`. Names stay distinct.
    """
    names: dict[str, str] = {}
    for spec in model.inputs:
        plain = re.sub(r"[^A-Za-z0-9_]", "_", spec.name)
        if not re.match(r"[A-Za-z]", plain):
            plain = f"input_{plain.lstrip('_')}"
        if keyword.iskeyword(plain):
            plain += "_"
        taken = {*names.values(), *(other.name for other in model.inputs if other is not spec)}
        while plain in taken:
            plain += "_"
        names[spec.name] = plain
    return names


def with_signature_names(model: Model) -> Model:
    """Return `model` with its inputs named as a signature can name them; `model` itself where they are so already."""
    names = signature_names(model)
    return model if all(old == new for old, new in names.items()) else RenamedInputs(model, names)
