"""A model some of whose inputs and outputs have their axes in another order, seen in the order that the source has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from translate.models.align import Renamed
from translate.models.base import Array, Gradients, Loss, Model, Spec

# Axis `k` of the model's own tensor is axis `permutation[k]` of the source's.
Permutation = tuple[int, ...]


class Permuted(Renamed):
    """Another model, with the axes of `inputs` and `outputs`, permutations by name, in the source's order.

    Arrays are permuted on their way in and back on their way out; all else stays.
    """

    def __init__(self, model: Model, inputs: Mapping[str, Permutation], outputs: Mapping[str, Permutation]) -> None:
        same = ({spec.name: spec.name for spec in specs} for specs in (model.inputs, model.outputs))
        super().__init__(model, *same)
        self._inputs, self._outputs = dict(inputs), dict(outputs)
        self.inputs = _in_source_order(model.inputs, self._inputs)
        self.outputs = _in_source_order(model.outputs, self._outputs)

    def gradients(
        self, feeds: Mapping[str, Array], loss: Loss, *, double: bool = False, seed: int | None = None
    ) -> Gradients | None:
        """As the model does."""
        found = super().gradients(feeds, loss, double=double, seed=seed)
        if found is None:
            return None
        inputs = {
            name: gradient if gradient is None else _back(gradient, self._inputs.get(name))
            for name, gradient in found.inputs.items()
        }
        return replace(found, inputs=inputs)

    def _own(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        return {name: _forth(array, self._inputs.get(name)) for name, array in feeds.items()}

    def _named(self, results: Mapping[str, Array]) -> dict[str, Array]:
        return {name: _back(array, self._outputs.get(name)) for name, array in results.items()}

    def _own_loss(self, loss: Loss) -> Loss:
        def own(outputs: Mapping[str, Array]) -> tuple[float, Mapping[str, Array]]:
            value, gradients = loss(self._named(outputs))
            return value, {name: _forth(array, self._outputs.get(name)) for name, array in gradients.items()}

        return own


def _in_source_order(specs: Sequence[Spec], permutations: Mapping[str, Permutation]) -> tuple[Spec, ...]:
    return tuple(
        replace(spec, shape=tuple(spec.shape[axis] for axis in np.argsort(permutations[spec.name])))
        if spec.name in permutations and spec.shape is not None
        else spec
        for spec in specs
    )


def _forth(array: Array, permutation: Permutation | None) -> Array:
    return array if permutation is None else np.ascontiguousarray(np.transpose(array, permutation))


def _back(array: Array, permutation: Permutation | None) -> Array:
    return array if permutation is None else np.transpose(array, np.argsort(permutation))
