"""A model whose inputs go by names that TensorFlow can give to a signature's inputs."""

from __future__ import annotations

import keyword
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from translate.models.base import Array, Gradients, Loss, Model, check_feeds


class RenamedInputs(Model):
    """Another model, `names` being {its own name of an input: the new name}; all else stays."""

    def __init__(self, model: Model, names: Mapping[str, str]) -> None:
        self.model = model
        self.names = dict(names)
        self.kind = model.kind
        self.differentiable = model.differentiable
        self.inputs = tuple(replace(spec, name=self.names[spec.name]) for spec in model.inputs)
        self.outputs = tuple(model.outputs)
        # See TorchModel; only that has them.
        self.ranges = getattr(model, "ranges", None)

    def upload(self, feeds: Mapping[str, Array]) -> Any:
        """As the model does. Raises `UsageError` when a name is missing or unknown."""
        check_feeds(self.inputs, feeds)
        return self.model.upload(self._own(feeds))

    def call(self, values: Any) -> Any:
        """As the model does."""
        return self.model.call(values)

    def download(self, results: Any) -> dict[str, Array]:
        """As the model does."""
        return self.model.download(results)

    def settings(self) -> Mapping[str, str | int | bool]:
        """As the model does."""
        return self.model.settings()

    def peak_device_bytes(self) -> int | None:
        """As the model does."""
        return self.model.peak_device_bytes()

    def run_double(self, feeds: Mapping[str, Array]) -> dict[str, Array] | None:
        """As the model does."""
        return self.model.run_double(self._own(feeds))

    def run_perturbed(self, feeds: Mapping[str, Array], seed: int) -> dict[str, Array]:
        """As the model does."""
        return self.model.run_perturbed(self._own(feeds), seed)

    def release(self) -> None:
        """As the model does."""
        self.model.release()

    def values(self, feeds: Mapping[str, Array], names: Sequence[str]) -> dict[str, Array]:
        """As the model does."""
        return self.model.values(self._own(feeds), names)

    def values_double(self, feeds: Mapping[str, Array], names: Sequence[str]) -> dict[str, Array]:
        """As the model does."""
        return self.model.values_double(self._own(feeds), names)

    def gradients(
        self, feeds: Mapping[str, Array], loss: Loss, *, double: bool = False, seed: int | None = None
    ) -> Gradients | None:
        """As the model does."""
        found = self.model.gradients(self._own(feeds), loss, double=double, seed=seed)
        if found is None:
            return None
        return replace(found, inputs={self.names[name]: gradient for name, gradient in found.inputs.items()})

    def descend(
        self,
        feeds: Mapping[str, Array],
        loss: Loss,
        parameters: Sequence[str],
        learning_rate: float,
        steps: int,
        *,
        double: bool = False,
        seed: int | None = None,
    ) -> list[float] | None:
        """As the model does."""
        return self.model.descend(self._own(feeds), loss, parameters, learning_rate, steps, double=double, seed=seed)

    def _own(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        back = {new: old for old, new in self.names.items()}
        return {back[name]: array for name, array in feeds.items()}


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
