"""Operators with weights as layers of torch.nn, in the place where their weights hang.

The weights `block1.conv.weight` and `block1.conv.bias` make the layer `block1.conv`. That needs a place of its own: all
that hangs at `block1.conv` must belong to the layer. Where it does not (a weight that two kinds of layer share, an
`in_proj_weight` beside other layers), the lowering says the same with a function of torch.nn.functional.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn

from translate.converters.onnx_to_torch.builder import Builder
from translate.converters.onnx_to_torch.values import Weight, builder, is_recording

Change = Callable[[torch.Tensor], torch.Tensor]


class Layers:
    """The layers of one model: what hangs where, and which place has become which layer."""

    def __init__(self, root: nn.Module, weights: list[Weight]) -> None:
        self._root = root
        # The weights at and below each path. That they become a layer there gives them other names, in the same place.
        self._under: dict[str, set[int]] = defaultdict(set)
        for weight in weights:
            parts = weight.path.split(".")
            for depth in range(1, len(parts)):
                self._under[".".join(parts[:depth])].add(id(weight))
        self._made: dict[str, tuple[str, dict[str, int]]] = {}

    def place(self, make: Callable[[], nn.Module], tensors: Mapping[str, Weight], stored: Mapping[str, Change]) -> str:
        """Return the path of the layer that `make` makes of `tensors`, or nothing where it has no place of its own.

        `stored` says of those tensors that a layer keeps in another order of axes how to bring them there.
        """
        parents = {weight.path.rpartition(".")[0] for weight in tensors.values()}
        parent = parents.pop()
        if parents or not parent:
            return ""
        with torch.device("meta"):
            layer = make().eval()
        key = repr(layer), {name: id(weight) for name, weight in tensors.items()}
        if parent in self._made:
            return parent if self._made[parent] == key else ""
        if self._under[parent] != {id(weight) for weight in tensors.values()}:
            return ""
        if any(tensors[name].readers > 1 for name in stored):
            return ""
        if any(not _has_place(layer, name, weight, stored) for name, weight in tensors.items() if weight.keep):
            return ""
        builder().layers[parent] = layer
        own = self._hang(make, tensors, stored, parent)
        self._root.set_submodule(parent, own)
        self._made[parent] = key
        return parent

    def _hang(
        self,
        make: Callable[[], nn.Module],
        tensors: Mapping[str, Weight],
        stored: Mapping[str, Change],
        path: str,
    ) -> nn.Module:
        """Make the layer of the tensors themselves; those that it gets no value for keep its defaults."""
        with torch.device("meta"):
            layer = make().eval()
        for name, buffer in list(layer.named_buffers()):
            if name not in tensors:
                layer.register_buffer(name, torch.zeros(buffer.shape, dtype=buffer.dtype))
        for name, weight in tensors.items():
            tensor = weight.tensor
            if name in stored:
                trainable = tensor.requires_grad
                tensor = nn.Parameter(stored[name](tensor.detach()).contiguous(), requires_grad=trainable)
            if name in layer._parameters:
                same = tensor if isinstance(tensor, nn.Parameter) else nn.Parameter(tensor, requires_grad=False)
                # Set, not registered: recurrent layers keep a list of their own.
                setattr(layer, name, same)
            else:
                layer.register_buffer(name, tensor.detach())
            weight.tensor, weight.path = getattr(layer, name), f"{path}.{name}"
        return layer


def _has_place(layer: nn.Module, name: str, weight: Weight, stored: Mapping[str, Change]) -> bool:
    """Whether a layer has `weight` by its own name, as it is, and as what it is: a parameter or a buffer."""
    is_parameter = isinstance(weight.tensor, nn.Parameter)
    return weight.path.endswith(f".{name}") and name not in stored and is_parameter == (name in layer._parameters)


def layer(
    make: Callable[[], nn.Module],
    *inputs: Any,
    stored: Mapping[str, Change] | None = None,
    **tensors: Any,
) -> Any:
    """Call the layer that `make` makes with `tensors` as its weights on `inputs`; None where it has no place.

    `tensors` are by the name that the layer gives them (`weight=w, bias=b`), None for an absent one. `stored` says of
    those that a layer keeps in another order of axes than the source how to bring them there.
    """
    given = {name: tensor for name, tensor in tensors.items() if tensor is not None}
    if not is_recording() or not all(isinstance(tensor, Weight) for tensor in given.values()):
        return None
    recorder: Builder = builder()
    if recorder.parent is not None or recorder.places is None:
        return None
    path = recorder.places.place(make, given, stored or {})
    return recorder.create_proxy("call_module", path, inputs, {}) if path else None
