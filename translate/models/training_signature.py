"""The signature `training` of a translated SavedModel: its outputs, and the variables that a call leaves changed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from translate.errors import OpenError
from translate.manifest import Parameter, update_name
from translate.models.base import Spec
from translate.models.saved_model import SavedModel


@dataclass(frozen=True)
class _Updated:
    name: str
    variable: Any
    permutation: Sequence[int] | None

    def read(self) -> tf.Tensor:
        """Return the value with the axes in the source's order."""
        value = tf.identity(self.variable)
        return value if self.permutation is None else tf.transpose(value, np.argsort(self.permutation))


class TrainingSignature(SavedModel):
    """What `training` computes; each call begins with the variables that the file has.

    Besides the outputs of the signature there is one for each variable that it changes, called
    `update_name(weight)`.
    """

    kind = "TensorFlow SavedModel in train mode"

    def __init__(self, path: Path) -> None:
        """Load the folder. Raises `OpenError` when it has no such signature, or no manifest."""
        super().__init__(path, "training")
        if self.manifest is None:
            raise OpenError(f"{path} does not say which variables its training changes")
        variables = {variable.name.partition(":")[0]: variable for variable in self.function.graph.variables}
        parameters = {name: self.manifest.parameters[name] for name in self.manifest.updated}
        self._updated = [_updated(name, parameter, variables) for name, parameter in parameters.items()]
        changed = [Spec(one.name, one.variable.dtype.name, tuple(one.read().shape)) for one in self._updated]
        self.outputs = (*self.outputs, *changed)

    def apply(self, values: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """Run the signature once and return the outputs and the changed variables, which get their values back."""
        with self._restored():
            results = super().apply(values)
            return {**results, **{one.name: one.read() for one in self._updated}}

    @contextmanager
    def _restored(self) -> Iterator[None]:
        before = [tf.identity(one.variable) for one in self._updated]
        try:
            yield
        finally:
            for one, value in zip(self._updated, before, strict=True):
                one.variable.assign(value)


def _updated(name: str, parameter: Parameter, variables: dict[str, Any]) -> _Updated:
    return _Updated(update_name(name), variables[parameter.variable], parameter.permutation)
