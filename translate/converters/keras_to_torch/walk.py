"""The walk through a Keras model: each call of a layer or operation by its row, each model inside as a module inside.

A layer that has no row but whose `call` consists of Keras's own layers and operations is a graph, too: its `call` is
run on symbolic tensors, and what Keras records is translated like a model.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import keras
import numpy as np
import torch
from torch import fx, nn

from translate.converters.keras_to_torch.by_graph import module_of
from translate.converters.keras_to_torch.graphs import Graph, automatic_masks, graph_of, trace
from translate.converters.keras_to_torch.here import Here, at, parameter
from translate.converters.keras_to_torch.layout import Flow, any_order, common_order, identity
from translate.converters.keras_to_torch.lowerings import TABLE
from translate.converters.keras_to_torch.masks import given_masks, mask_of_outputs
from translate.converters.keras_to_torch.stored import Stored
from translate.converters.keras_to_torch.table import Row
from translate.converters.onnx_to_torch.builder import DEAD, Builder, Value, Weight, builder, finish, static_size
from translate.converters.onnx_to_torch.dtypes import to_torch
from translate.converters.onnx_to_torch.export import hang, identifier, path_of
from translate.errors import Problem, UnsupportedError

tree = keras.tree


_State: TypeAlias = tuple[set[str], set[str], dict[tuple[int, str], str], dict[str, Weight]]


class Scope:
    """One graph under construction: that of the model, or of a model inside."""

    def __init__(self, sizes: Sequence[int]) -> None:
        self.root = nn.Module()
        self.builder = Builder(self.root, sizes)
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
        self._functions: dict[Any, Graph] = {}
        self._graphs: dict[int, list[tuple[str, Any, fx.GraphModule]]] = {}

    def run(self, scope: Scope, graph: Graph, flows: Sequence[Flow | None], within: str = "") -> Any:
        """Translate every node of a `keras.Function`; return what it returns, with a `Flow` for each tensor."""
        with at(Here(self, scope, graph.function, within)):
            weights = [Flow(parameter(variable.name, variable)) for variable in graph.weights]
        known: dict[int, Any] = dict(zip(map(id, graph.function._inputs), [*flows, *weights], strict=True))
        for node in graph.nodes():
            if any(id(tensor) not in known for tensor in node.input_tensors):
                continue
            args, kwargs = node.arguments.fill_in(known)
            automatic = automatic_masks(node, known)
            kwargs = {name: value for name, value in kwargs.items() if name not in automatic}
            try:
                result = self.apply(scope, node.operation, list(args), kwargs, within=within)
            except (UnsupportedError, ValueError) as error:
                # The builder raises ValueError with torch's words where a call fails.
                self.problems.append(_problem(node.operation, str(error)))
                result = [_stand_in(scope, tensor) for tensor in node.outputs]
            for tensor, flow in zip(node.outputs, tree.flatten(result), strict=True):
                known[id(tensor)] = flow
        return tree.map_structure(lambda tensor: known[id(tensor)], graph.outputs)

    def apply(
        self, scope: Scope, operation: Any, args: Sequence[Any], kwargs: Mapping[str, Any], *, within: str = ""
    ) -> Any:
        """Translate one call, on structures of `Flow`s and constants; return a structure of `Flow`s."""
        name = ".".join(identifier(part) for part in operation.name.split("/"))
        place = Here(self, scope, operation, f"{within}.{name}" if within else name)
        with at(place):
            args, kwargs = tree.map_structure(_constant, list(args)), tree.map_structure(_constant, dict(kwargs))
        before = scope.state()
        try:
            return self._translated(place, args, kwargs)
        except (UnsupportedError, ValueError) as error:
            # The builder raises ValueError with torch's words where a call fails.
            if not self.by_graph or not isinstance(operation, keras.Layer):
                raise
            scope.restore(before)
            self._forget(operation)
            result = self._by_graph(place, args, kwargs, str(error))
            self.reasons[place.path] = str(error)
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
        given = _bound(operation, args, kwargs)
        masks, previous = given_masks(operation, given)
        given.update(masks)
        given = {name: value for name, value in given.items() if value is not None}
        is_own = row.own is not None and row.own(operation, given)
        result = self._own(row, place, given) if is_own else _call(row, place, given)
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
        leaves = tree.flatten(outputs)
        parts = [call] if len(leaves) == 1 else [call[i] for i in range(len(leaves))]
        return tree.pack_sequence_as(outputs, [Flow(part) for part in parts])

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
        return self._inside(place, names, flows, lambda inner, inside: self.run(inner, graph, inside))

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
            return _call(row, Here(self, inner, place.operation, ""), own)

        return self._inside(place, list(held), list(held.values()), run)

    def _inside(
        self,
        place: Here,
        names: Sequence[str],
        flows: Sequence[Flow],
        run: Callable[[Scope, Sequence[Flow]], Any],
    ) -> Any:
        """Translate a call as one of a module that has a graph of its own, which `run` writes."""
        inner = Scope(self.sizes)
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
        finish(inner.builder.graph)
        module, path = self._module_of(place, inner, [leaf.order for leaf in leaves])
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

    def _module_of(self, place: Here, inner: Scope, orders: Any) -> tuple[fx.GraphModule, str]:
        """Return the module of a graph, the same for the same code: a model that is called twice is one module."""
        code = inner.builder.graph.python_code("self").src
        graphs = self._graphs.setdefault(id(place.operation), [])
        known = [one for one in graphs if one[:2] == (code, orders)]
        if not known:
            made = fx.GraphModule(inner.root, inner.builder.graph, _class_name(place.operation))
            graphs.append((code, orders, made))
            known = graphs[-1:]
        number, module = graphs.index(known[0]), known[0][2]
        numbered = Here(self, place.scope, place.operation, f"{place.path}_{number}" if number else place.path)
        return module.eval(), place.scope.path(numbered, f"#{number}") if number else place.scope.path(place, "")


def symbolic(flow: Flow) -> Any:
    """Return the symbolic tensor of Keras that a value stands for."""
    value = flow.ordered(identity(flow.rank))
    shape = [static_size(value, axis) for axis in range(value.ndim)]
    return keras.KerasTensor(shape, str(value.dtype).removeprefix("torch."))


def _constant(value: Any) -> Any:
    """Return what is known of the arguments of a call: variables and arrays as values of the graph."""
    if isinstance(value, keras.Variable):
        return Flow(parameter(value.name, value))
    if isinstance(value, np.ndarray) or (keras.ops.is_tensor(value) and not isinstance(value, Flow)):
        array = keras.ops.convert_to_numpy(value)
        return Flow(builder().constant(to_torch(array))) if array.ndim else array.item()
    return value


def _bound(operation: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of a call by their names in Keras's `call`."""
    signature = inspect.signature(operation.call)
    given = signature.bind(*args, **kwargs).arguments
    for name, parameter_ in signature.parameters.items():
        if parameter_.kind is inspect.Parameter.VAR_KEYWORD:
            given.update(given.pop(name, {}))
    return {name: value for name, value in given.items() if name != "training"}


def _call(row: Row, place: Here, given: Mapping[str, Any]) -> Any:
    """Call a row on tensors in the order that it wants, and say in which order its results are."""
    operation = place.operation
    flows = [leaf for leaf in tree.flatten(given) if isinstance(leaf, Flow)]
    common = None
    if row.layout is any_order:
        common = common_order(flows) or identity(max((flow.rank for flow in flows), default=0))
    dtype = _compute_dtype(operation)

    def order(rank: int) -> Any:
        wanted = row.layout(operation, rank)
        if wanted is not None:
            return wanted
        return common if common is not None and len(common) == rank else identity(rank)

    def value(leaf: Any) -> Any:
        if not isinstance(leaf, Flow):
            return leaf
        held = leaf.ordered(order(leaf.rank))
        floating = held.dtype.is_floating_point
        return held.to(dtype) if floating and dtype is not None and held.dtype is not dtype else held

    values = {name: tree.map_structure(value, argument) for name, argument in given.items()}
    first, *others = values
    accepted = inspect.signature(row.function).parameters
    names = list(accepted)[2:]
    foreign = [name for name in others if name not in names and not _accepts_any(accepted)]
    # A mask that a row does not ask for has no effect on what it computes when the model is used.
    foreign = [name for name in foreign if not name.endswith("mask") and values[name] is not False]
    if foreign:
        raise UnsupportedError(f"{foreign[0]} is not covered")
    others = [name for name in others if name in names or _accepts_any(accepted)]
    main = flows[0].rank if flows else 0
    with at(Here(place.walk, place.scope, operation, place.path, order(main))):
        result = row.function(operation, values[first], **{name: values[name] for name in others})
    return tree.map_structure(
        lambda leaf: Flow(leaf, order(leaf.ndim)) if isinstance(leaf, Value) else leaf,
        result,
    )


def _accepts_any(parameters: Mapping[str, inspect.Parameter]) -> bool:
    return any(one.kind is inspect.Parameter.VAR_KEYWORD for one in parameters.values())


def _compute_dtype(operation: Any) -> torch.dtype | None:
    """Return the dtype that a layer brings floating-point inputs to; None where it takes them as they are."""
    if not isinstance(operation, keras.Layer) or not operation.autocast:
        return None
    dtype = getattr(torch, operation.compute_dtype or "float32", None)
    return dtype if isinstance(dtype, torch.dtype) and dtype.is_floating_point else None


def _check_policy(operation: Any) -> None:
    policy = getattr(operation, "dtype_policy", None)
    if policy is None:
        return
    if policy.compute_dtype != policy.variable_dtype and operation.weights:
        raise UnsupportedError(f"its weights are {policy.variable_dtype} and it computes in {policy.compute_dtype}")
    if getattr(policy, "quantization_mode", None) is not None:
        raise UnsupportedError(f"it is quantized ({policy.quantization_mode})")


def _together(worlds: Sequence[Any]) -> Any:
    return DEAD if any(world is DEAD for world in worlds) else tuple(worlds)


def _stand_in(scope: Scope, tensor: Any) -> Flow:
    """Return an input of the shape that a call would have returned."""
    dtype = getattr(torch, tensor.dtype, torch.float32)
    shapes = [[size if dim is None else dim for dim in tensor.shape] for size in scope.builder.sizes]
    examples = [torch.empty(shape, dtype=dtype, device="meta") for shape in shapes]
    return Flow(scope.builder.placeholder("refused", examples))


def _problem(operation: Any, reason: str) -> Problem:
    return Problem(type(operation).__name__, operation.name, 0, reason)


def _class_name(operation: Any) -> str:
    words = identifier(operation.name).split("_")
    return "".join(word[:1].upper() + word[1:] for word in words) or "Model"
