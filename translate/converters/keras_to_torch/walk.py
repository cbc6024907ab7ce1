"""The walk through a Keras model: each call of a layer or operation by its row, each model inside as a module inside.

A layer that has no row but whose `call` consists of Keras's own layers and operations is a graph, too: its `call` is
run on symbolic tensors, and what Keras records is translated like a model.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import torch
from torch import nn

from translate.converters.keras_to_torch.by_graph import module_of
from translate.converters.keras_to_torch.calls import bound, called, constant, of_dtype, symbolic
from translate.converters.keras_to_torch.graphs import Graph, automatic_masks, graph_of, names_of, trace
from translate.converters.keras_to_torch.here import Here, at, parameter
from translate.converters.keras_to_torch.inside import Inside
from translate.converters.keras_to_torch.layout import Flow, identity
from translate.converters.keras_to_torch.lowerings import TABLE
from translate.converters.keras_to_torch.masks import given_masks, mask_of_outputs
from translate.converters.keras_to_torch.scope import Scope
from translate.converters.keras_to_torch.stored import Stored
from translate.converters.keras_to_torch.table import Row
from translate.converters.onnx_to_torch.export import identifier
from translate.converters.onnx_to_torch.values import builder
from translate.errors import Problem, UnsupportedError

tree = keras.tree


class Walk:
    """The translation of one model: what has been made of which layer, and what could not be."""

    def __init__(self, sizes: Sequence[int], by_graph: bool = False) -> None:
        self.sizes = tuple(sizes)
        self.by_graph = by_graph
        # Why layers were translated by their graphs, by their paths.
        self.reasons: dict[str, str] = {}
        self.made: dict[tuple[int, str], nn.Module] = {}
        self.tensors: dict[tuple[int, str], torch.Tensor] = {}
        # Of each tensor of the module that a Keras variable is in.
        self.stored: dict[int, Stored] = {}
        self.problems: list[Problem] = []
        # What Keras's symbolic tensors are here, in each graph that is being translated: functions may enclose them.
        self.known: list[dict[int, Any]] = []
        self._functions: dict[Any, Graph] = {}
        self._inside = Inside(sizes)

    def run(
        self, scope: Scope, graph: Graph, flows: Sequence[Flow | None], within: str = "", raises: bool = False
    ) -> Any:
        """Translate every node of a `keras.Function`; return what it returns, with a `Flow` for each tensor.

        What cannot be translated is one of the `problems`, or with `raises` an `UnsupportedError`.
        """
        with at(Here(self, scope, graph.function, within)):
            weights = [Flow(parameter(variable.name, variable)) for variable in graph.weights]
        known: dict[int, Any] = dict(zip(map(id, graph.function._inputs), [*flows, *weights], strict=True))
        self.known.append(known)
        scope.is_inside |= graph.owner is not None
        names = names_of(graph, scope.is_inside)
        for node in graph.nodes():
            if any(id(tensor) not in known for tensor in node.input_tensors):
                continue
            args, kwargs = node.arguments.fill_in(known)
            automatic = automatic_masks(node, known)
            kwargs = {name: value for name, value in kwargs.items() if name not in automatic}
            try:
                name = names.get(id(node.operation), "")
                result = self.apply(scope, node.operation, list(args), kwargs, within=within, name=name)
            except (UnsupportedError, ValueError) as error:
                # The builder raises ValueError with torch's words where a call fails.
                if raises:
                    raise
                self.problems.append(_problem(node.operation, str(error)))
                result = [_stand_in(scope, tensor) for tensor in node.outputs]
            row = TABLE.find(node.operation)
            has_dtype = row is None or row.part == "layers" or row.own_dtype
            for tensor, flow in zip(node.outputs, tree.flatten(result), strict=True):
                known[id(tensor)] = flow if has_dtype else of_dtype(flow, tensor.dtype)
        self.known.pop()
        return tree.map_structure(lambda tensor: known[id(tensor)], graph.outputs)

    def apply(
        self,
        scope: Scope,
        operation: Any,
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        *,
        within: str = "",
        name: str = "",
    ) -> Any:
        """Translate one call, on structures of `Flow`s and constants; return a structure of `Flow`s.

        It hangs at its Keras `name` if no other is given, below `within`.
        """
        name = name or ".".join(identifier(part) for part in operation.name.split("/"))
        place = Here(self, scope, operation, f"{within}.{name}" if within else name)
        with at(place):
            args, kwargs = tree.map_structure(constant, list(args)), tree.map_structure(constant, dict(kwargs))
        before, reasons = scope.state(), dict(self.reasons)
        try:
            return self._translated(place, args, kwargs)
        except (UnsupportedError, ValueError) as error:
            # The builder raises ValueError with torch's words where a call fails.
            # In the step of a loop there can be no module: the whole loop goes by its graph.
            if not self.by_graph or not isinstance(operation, keras.Layer) or builder().parent is not None:
                raise
            scope.restore(before)
            self._forget(operation)
            result = self._by_graph(place, args, kwargs, str(error))
            self.reasons = reasons | {place.path: str(error)}
            return result

    def _translated(self, place: Here, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """Translate a call by its graph or its row."""
        operation = place.operation
        _check_policy(operation)
        graph = graph_of(operation)
        row = TABLE.find(operation)
        if graph is None and row is None:
            graph = self._traced(operation, args, kwargs)
        if graph is not None:
            return self._graph(place, graph, args, kwargs)
        assert row is not None
        given = bound(operation, args, kwargs)
        masks, previous = given_masks(operation, given)
        given.update(masks)
        given = {name: value for name, value in given.items() if value is not None}
        is_own = row.own is not None and row.own(operation, given)
        result = self._own(row, place, given) if is_own else called(row, place, given)
        mask_of_outputs(row, operation, next(iter(given.values()), None), previous, result)
        if row.drops_masks:
            for leaf in tree.flatten(given):
                if isinstance(leaf, Flow):
                    leaf.mask = None
        return result

    def _by_graph(self, place: Here, args: Sequence[Any], kwargs: Mapping[str, Any], reason: str) -> Any:
        """Translate a call by the layer's TensorFlow graph."""
        operation = place.operation
        flows = [leaf for leaf in tree.flatten((list(args), dict(kwargs))) if isinstance(leaf, Flow)]
        if operation.supports_masking and any(flow.mask is not None for flow in flows):
            raise UnsupportedError(f"{reason}; and it is given a mask, which its graph alone does not have")
        kwargs = {name: value for name, value in kwargs.items() if name != "training"}
        try:
            module, outputs = module_of(operation, args, kwargs, symbolic)
        except UnsupportedError as error:
            raise UnsupportedError(f"{reason}; {error}") from error
        path = place.scope.path(place, "")
        place.scope.hang(path, module)
        operands = tuple(flow.ordered(identity(flow.rank)) for flow in flows)
        call = place.scope.builder.record("call_module", path, operands, {})
        count = sum(leaf is not None for leaf in tree.flatten(outputs))
        parts = iter([call] if count == 1 else [call[i] for i in range(count)])
        return tree.map_structure(lambda leaf: None if leaf is None else Flow(next(parts)), outputs)

    def _forget(self, operation: Any) -> None:
        """Forget the layers that a row has made before it gave up."""
        for key in [key for key in self.made if key[0] == id(operation)]:
            del self.made[key]

    def _traced(self, operation: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Graph:
        """Return the graph that Keras records of a layer's `call`."""

        def symbol(value: Any) -> Any:
            return symbolic(value) if isinstance(value, Flow) else value

        symbols = tree.map_structure(symbol, list(args)), tree.map_structure(symbol, dict(kwargs))
        leaves = [leaf for leaf in tree.flatten(symbols) if isinstance(leaf, keras.KerasTensor)]
        key = id(operation), tuple((tuple(leaf.shape), leaf.dtype) for leaf in leaves)
        if key not in self._functions:
            self._functions[key] = trace(operation, *symbols)
        return self._functions[key]

    def _graph(self, place: Here, graph: Graph, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """Translate a call of a model, or of what else has a graph, as one of a module inside."""
        flows = [leaf for leaf in tree.flatten((list(args), dict(kwargs))) if isinstance(leaf, Flow)]
        flows = flows[: len(graph.inputs)]
        if len(flows) != len(graph.inputs):
            raise UnsupportedError(f"it takes {len(graph.inputs)} tensors and is given {len(flows)}")
        names = [tensor.name for tensor in graph.inputs]
        # A layer that somebody wrote can go by its graph as a whole.
        raises = self.by_graph and (graph.owner is not None or place.scope.is_inside)
        return self._inside.call(place, names, flows, lambda inner, inside: self.run(inner, graph, inside, "", raises))

    def _own(self, row: Row, place: Here, given: Mapping[str, Any]) -> Any:
        """Translate a call of a layer as one of a module that its row writes."""
        held: dict[str, Flow] = {}
        for argument, value in given.items():
            for number, leaf in enumerate(tree.flatten(value)):
                if isinstance(leaf, Flow):
                    # Masks are arguments of their own here.
                    held[f"{argument}_{number}" if number else argument] = Flow(leaf.value, leaf.order)

        def run(inner: Scope, inside: Sequence[Flow]) -> Any:
            parts = iter(inside)
            values = [
                tree.map_structure(lambda leaf: next(parts) if isinstance(leaf, Flow) else leaf, value)
                for value in given.values()
            ]
            own = dict(zip(given, values, strict=True))
            return called(row, Here(self, inner, place.operation, ""), own)

        return self._inside.call(place, list(held), list(held.values()), run)


def _check_policy(operation: Any) -> None:
    policy = getattr(operation, "dtype_policy", None)
    if policy is None:
        return
    known = type(operation) in (keras.layers.Dense, keras.layers.EinsumDense, keras.layers.Embedding)
    if getattr(policy, "quantization_mode", None) is not None and not known:
        raise UnsupportedError(f"it is quantized ({policy.quantization_mode})")


def _stand_in(scope: Scope, tensor: Any) -> Flow:
    """Return an input of the shape that a call would have returned."""
    dtype = getattr(torch, tensor.dtype, torch.float32)
    shapes = [[size if dim is None else dim for dim in tensor.shape] for size in scope.builder.sizes]
    examples = [torch.empty(shape, dtype=dtype, device="meta") for shape in shapes]
    return Flow(scope.builder.placeholder(f"refused_{len(scope.builder.graph.nodes)}", examples))


def _problem(operation: Any, reason: str) -> Problem:
    return Problem(type(operation).__name__, operation.name, 0, reason)
