"""One graph under construction, and what hangs where in its module."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeAlias

import torch
from torch import nn

from translate.converters.onnx_to_torch.builder import Builder
from translate.converters.onnx_to_torch.export import hang, path_of
from translate.converters.onnx_to_torch.values import Weight

if TYPE_CHECKING:
    from translate.converters.keras_to_torch.here import Here

_State: TypeAlias = tuple[set[str], set[str], dict[tuple[int, str], str], dict[str, Weight]]


class Scope:
    """One graph under construction: that of the model, or of a model inside.

    `is_inside` says that it belongs to a layer or model whose `call` somebody wrote.
    """

    def __init__(self, sizes: Sequence[int], is_inside: bool = False) -> None:
        self.root = nn.Module()
        self.builder = Builder(self.root, sizes)
        self.is_inside = is_inside
        self._taken: set[str] = set()
        self._paths: dict[tuple[int, str], str] = {}
        self._weights: dict[str, Weight] = {}

    def state(self) -> _State:
        """Return what hangs where at the moment."""
        return set(self.builder.layers), set(self._taken), dict(self._paths), dict(self._weights)

    def restore(self, state: _State) -> None:
        """Take away what was hung since."""
        layers, self._taken, self._paths, weights = state
        for path in set(self._weights) - set(weights):
            parent, _, name = path.rpartition(".")
            if parent not in self.builder.layers:
                delattr(self.root.get_submodule(parent), name)
        for path in set(self.builder.layers) - layers:
            parent, _, name = path.rpartition(".")
            del self.root.get_submodule(parent)._modules[name]
            del self.builder.layers[path]
        self._weights = weights

    def path(self, place: Here, part: str) -> str:
        """Return where the `part` of a layer hangs, which is the layer's own place if there are no parts."""
        key = id(place.operation), part
        if key not in self._paths:
            self._paths[key] = path_of(f"{place.path}.{part}".strip("."), self._taken)
        return self._paths[key]

    def hang(self, path: str, module: nn.Module) -> None:
        """Register a module at its place, if it is not there, and let calls of it be tried out."""
        if path in self.builder.layers:
            return
        *parents, name = path.split(".")
        owner = self.root
        for parent in parents:
            if parent not in owner._modules:
                owner.add_module(parent, nn.Module())
            owner = owner.get_submodule(parent)
        owner.add_module(name, module)
        self.builder.layers[path] = _on_meta(module)

    def weight(self, path: str, tensor: torch.Tensor) -> Weight:
        """Return a tensor at its place, which it is hung at unless a layer there holds it."""
        if path not in self._weights:
            self._weights[path] = Weight(path, tensor)
            if path.rpartition(".")[0] not in self.builder.layers:
                hang(self.root, self._weights[path])
        return self._weights[path]


def _on_meta(module: nn.Module) -> nn.Module:
    """Return a copy of a layer that computes shapes only."""
    return copy.deepcopy(module).to("meta")
