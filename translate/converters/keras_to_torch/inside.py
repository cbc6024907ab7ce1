"""Modules in the module, with graphs of their own: models in the model, layers that need several of PyTorch's."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
import torch
from torch import fx

from translate.converters.keras_to_torch.here import Here
from translate.converters.keras_to_torch.layout import Flow, shape_of
from translate.converters.keras_to_torch.lowerings import TABLE
from translate.converters.keras_to_torch.scope import Scope
from translate.converters.onnx_to_torch.builder import finish
from translate.converters.onnx_to_torch.export import identifier
from translate.converters.onnx_to_torch.python.classes import About
from translate.converters.onnx_to_torch.values import DEAD, Value, builder
from translate.errors import UnsupportedError

tree = keras.tree


class Inside:
    """What has been made of which model or layer."""

    def __init__(self, sizes: Sequence[int]) -> None:
        self._sizes = tuple(sizes)
        self._graphs: dict[int, list[tuple[str, Any, fx.GraphModule]]] = {}

    def call(
        self,
        place: Here,
        names: Sequence[str],
        flows: Sequence[Flow],
        run: Callable[[Scope, Sequence[Flow]], Any],
    ) -> Any:
        """Translate a call, whose tensor arguments have `names`, as one of a module whose graph `run` writes."""
        if builder().parent is not None:
            raise UnsupportedError("a module of several layers in the step of a loop")
        inner = Scope(self._sizes, place.scope.is_inside)
        inside: list[Flow] = []
        operands: list[Value] = []
        for name, flow in zip(names, flows, strict=True):
            inside.append(Flow(inner.builder.placeholder(identifier(name), flow.value.worlds), flow.order))
            operands.append(flow.value)
        for name, flow, own in zip(names, flows, inside, strict=True):
            if flow.mask is not None:
                own.mask = inner.builder.placeholder(f"{identifier(name)}_mask", flow.mask.worlds)
                operands.append(flow.mask)
        with inner.builder.recording():
            if inside:
                inner.builder.locate(inside[0].value)
            result = run(inner, inside)
            leaves = tree.flatten(result)
            values = [leaf.value for leaf in leaves] + [leaf.mask for leaf in leaves if leaf.mask is not None]
            worlds = [value.worlds for value in values]
            inner.builder.graph.output(inner.builder.create_arg(values[0] if len(values) == 1 else tuple(values)))
        about = About(_summary(place.operation), _shapes(inside), _shapes(leaves))
        finish(inner.builder.graph)
        module, path = self._module_of(place, inner, [leaf.order for leaf in leaves], about)
        place.scope.hang(path, module)
        outer = place.scope.builder
        node = outer.graph.create_node("call_module", path, tuple(outer.node_of(operand) for operand in operands))
        node.meta["worlds"] = worlds[0] if len(worlds) == 1 else tuple(map(_together, zip(*worlds, strict=True)))
        call = Value(node)
        parts = iter([call] if len(worlds) == 1 else [call[i] for i in range(len(worlds))])
        outside = [Flow(next(parts), leaf.order) for leaf in leaves]
        for flow, leaf in zip(outside, leaves, strict=True):
            flow.mask = None if leaf.mask is None else next(parts)
        return tree.pack_sequence_as(result, outside)

    def _module_of(self, place: Here, inner: Scope, orders: Any, about: About) -> tuple[fx.GraphModule, str]:
        """Return the module of a graph, the same for the same code: a model that is called twice is one module."""
        code = inner.builder.graph.python_code("self").src
        graphs = self._graphs.setdefault(id(place.operation), [])
        known = [one for one in graphs if one[:2] == (code, orders)]
        if not known:
            made = fx.GraphModule(inner.root, inner.builder.graph, _class_name(place.operation))
            made.meta["about"] = about
            graphs.append((code, orders, made))
            known = graphs[-1:]
        number, module = graphs.index(known[0]), known[0][2]
        numbered = Here(place.walk, place.scope, place.operation, f"{place.path}_{number}" if number else place.path)
        return module.eval(), place.scope.path(numbered, f"#{number}") if number else place.scope.path(place, "")


def _together(worlds: Sequence[Any]) -> Any:
    return DEAD if any(world is DEAD for world in worlds) else tuple(worlds)


def _class_name(operation: Any) -> str:
    """Return a name for the class of a module: that of the model, or of the layer's own class."""
    name = operation.name if isinstance(operation, keras.Model) else type(operation).__name__
    words = identifier(name).split("_")
    return "".join(word[:1].upper() + word[1:] for word in words) or "Model"


def _summary(operation: Any) -> str:
    """Return a sentence about the module of an operation."""
    row = TABLE.find(operation)
    if row is None:
        return f"The {'model' if isinstance(operation, keras.Model) else 'layer'} `{operation.name}`."
    return (row.function.__doc__ or "").partition("\n\n")[0].replace("\n    ", " ")


# What Keras's axes are called, by their number, and those of a mask.
_LETTERS = {1: "N", 2: "NC", 3: "NTC", 4: "NHWC", 5: "NDHWC"}
_LETTERS_OF_MASK = "NTHWC"


def _shapes(flows: Sequence[Flow]) -> list[str]:
    """Return the shapes of tensors, and then those of the masks that they carry."""
    masks = [Flow(flow.mask) for flow in flows if flow.mask is not None]
    shapes = []
    for flow in [*flows, *masks]:
        is_mask = flow.value.dtype is torch.bool
        letters = _LETTERS_OF_MASK if is_mask else _LETTERS.get(flow.rank, "")
        shapes.append(shape_of(flow.value, flow.order, letters.ljust(flow.rank, "?")))
    return shapes
