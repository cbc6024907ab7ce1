"""A Keras model as a PyTorch module, layer by layer."""

from __future__ import annotations

import operator
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

import keras
import numpy as np
import onnx_ir as ir
import torch
from torch import fx

from translate.converters.keras_to_torch.graphs import Graph, graph_of, trace
from translate.converters.keras_to_torch.interface import as_graph, input_specs, output_names, size_in_world
from translate.converters.keras_to_torch.layout import Flow, Order, channels_second, identity
from translate.converters.keras_to_torch.lowerings import TABLE
from translate.converters.keras_to_torch.scope import Scope
from translate.converters.keras_to_torch.stored import Stored
from translate.converters.keras_to_torch.walk import Walk
from translate.converters.onnx_to_torch.builder import SIZES, Builder, finish
from translate.converters.onnx_to_torch.dtypes import to_torch
from translate.converters.onnx_to_torch.export import identifier
from translate.converters.onnx_to_torch.values import Value, static_size
from translate.converters.passes.layout import Turned
from translate.errors import CannotTranslateError, Problem, UnsupportedError
from translate.models.base import Spec
from translate.models.inputs import format_input

tree = keras.tree

# [N, W, C], [N, H, W, C], [N, D, H, W, C].
_IMAGE_RANKS = (3, 4, 5)


def missing(model: Any, inputs: Sequence[Spec] = ()) -> list[str]:
    """Name the layers of a Keras model that cannot be translated as layers, each with the reason.

    Nothing is built: a row may still refuse a case that only shows then. `inputs` say what a subclassed model takes.
    """
    try:
        graph = _graph_of(model, inputs)
    except UnsupportedError as error:
        return [f"{model.name} ({type(model).__name__}): {error}"]
    return list(dict.fromkeys(_missing(graph)))


def _missing(graph: Graph) -> list[str]:
    found = []
    for node in graph.nodes():
        operation = node.operation
        inner = graph_of(operation)
        if inner is None and TABLE.find(operation) is None:
            try:
                inner = trace(operation, node.arguments.args, node.arguments.kwargs)
            except UnsupportedError as error:
                found.append(f"{operation.name} ({type(operation).__name__}): {error}")
        if inner is not None:
            found += _missing(inner)
    return found


def convert(
    model: Any,
    inputs: Sequence[Spec] = (),
    outputs: Sequence[str] = (),
    *,
    by_graph: bool = False,
    channels_first: bool = False,
) -> fx.GraphModule:
    """Return a Keras model as a module whose layers are those of the model, under their names, in evaluation mode.

    `inputs` are what the model takes, in Keras's order: names and open sizes; `outputs` are names for what it returns.
    The module takes its inputs by name and returns what the model returns: one tensor, a tuple, or a dict. A model in
    the model is a module in the module, a shared layer is one. `meta["inputs"]` and `meta["outputs"]` list the names,
    `meta["parameters"]` gives for each Keras weight's path where it is here, `meta["interface"]` is an ONNX graph
    without nodes for those who write the module. With `by_graph` a layer that no
    row covers becomes a module that was made of its TensorFlow graph; `meta["by_graph"]` says of each such layer why.
    `meta["permutes"]` counts the permutations of activations. With `channels_first`, each input `[N, *spatial, C]` is
    `[N, C, *spatial]` if that leaves fewer of them, and so is each output that is made so; `meta["channels_first"]`
    says which. Raises `CannotTranslateError` naming every layer that cannot be translated.
    """
    turned = frozenset[str]()
    module = _converted(model, inputs, outputs, by_graph, channels_first, turned)
    if channels_first:
        for name, value in zip(module.meta["inputs"], interface(module).graph.inputs, strict=True):
            if value.shape is None or value.shape.rank() not in _IMAGE_RANKS:
                continue
            trial = _converted(model, inputs, outputs, by_graph, channels_first, turned | {name})
            if trial.meta["permutes"] < module.meta["permutes"]:
                module, turned = trial, turned | {name}
    return module


def _converted(
    model: Any,
    inputs: Sequence[Spec],
    outputs: Sequence[str],
    by_graph: bool,
    channels_first: bool,
    turned: Collection[str],
) -> fx.GraphModule:
    """Do what `convert` says, with the inputs that are called `turned` channels first."""
    try:
        graph = _graph_of(model, inputs)
    except UnsupportedError as error:
        raise CannotTranslateError("PyTorch", [Problem(type(model).__name__, model.name, 0, str(error))]) from error
    specs = tuple(inputs) or input_specs(graph)
    symbolic = any(isinstance(dim, str) for spec in specs for dim in spec.shape or ())
    walk = Walk(SIZES if symbolic else SIZES[:2], by_graph)
    scope = Scope(walk.sizes)
    orders = {spec.name: channels_second(len(spec.shape or ())) for spec in specs if spec.name in turned}
    specs = tuple(_turned(spec, orders) for spec in specs)
    flows = _placeholders(scope.builder, specs, orders)
    names = list(outputs) or output_names(model, graph)
    with scope.builder.recording():
        scope.builder.locate(flows[0].value)
        result = walk.run(scope, graph, flows)
        if walk.problems:
            raise CannotTranslateError("PyTorch", walk.problems)
        ends = tree.flatten(result)
        made_so = {name: end.order for name, end in zip(names, ends, strict=True) if channels_first and _is_image(end)}
        leaves = [
            end.value if name in made_so else end.ordered(identity(end.rank))
            for name, end in zip(names, ends, strict=True)
        ]
        structure = _structure(result)
        shaped = _shaped(structure, names, leaves)
        scope.builder.graph.output(scope.builder.create_arg(shaped))
    results = [_output_spec(name, leaf) for name, leaf in zip(names, leaves, strict=True)]
    finish(scope.builder.graph)
    module = fx.GraphModule(scope.root, scope.builder.graph, "Translated").eval()
    described = [format_input(replace(spec, name=identifier(spec.name))) for spec in specs]
    setattr(module, "input_specs", described)  # noqa: B010  # torch's types know tensors and modules only
    module.meta["inputs"] = [spec.name for spec in specs]
    module.meta["outputs"] = names
    module.meta["stored"] = _stored(module, walk.stored)
    module.meta["parameters"] = {_path(model, one.variable): name for name, one in module.meta["stored"].items()}
    module.meta["by_graph"] = walk.reasons
    module.meta["permutes"] = _permutes(module)
    module.meta["channels_first"] = Turned(orders, made_so)
    module.meta["interface"] = as_graph(specs, results, structure)
    return module


def interface(module: fx.GraphModule) -> ir.Model:
    """Return what `convert`'s module takes and returns, as those who write its formats ask for it."""
    described: ir.Model = module.meta["interface"]
    return described


def _graph_of(model: Any, inputs: Sequence[Spec]) -> Graph:
    graph = graph_of(model)
    if graph is not None:
        return graph
    if isinstance(model, keras.Sequential) or not inputs:
        raise UnsupportedError("it has no graph; a model that was never built, or a subclassed one, needs its inputs")
    shapes = [[dim if isinstance(dim, int) else None for dim in spec.shape or ()] for spec in inputs]
    symbols = {
        spec.name: keras.KerasTensor(shape, spec.dtype, name=spec.name)
        for spec, shape in zip(inputs, shapes, strict=True)
    }
    return trace(model, [], symbols)


def _turned(spec: Spec, orders: Mapping[str, Order]) -> Spec:
    if spec.name not in orders or spec.shape is None:
        return spec
    return replace(spec, shape=tuple(spec.shape[axis] for axis in orders[spec.name]))


def _is_image(end: Flow) -> bool:
    return end.rank in _IMAGE_RANKS and end.order == channels_second(end.rank)


def _permutes(module: fx.GraphModule) -> int:
    """Count the permutations of what is computed, those of a graph inside as often as it is called."""
    count = 0
    for node in module.graph.nodes:
        if node.op == "call_method":
            count += node.target in ("permute", "transpose") and node.args[0].op != "get_attr"
        elif node.op in ("call_module", "get_attr"):
            part = operator.attrgetter(str(node.target))(module)
            count += _permutes(part) if isinstance(part, fx.GraphModule) else 0
    return count


def _placeholders(builder: Builder, specs: Sequence[Spec], orders: Mapping[str, Order]) -> list[Flow]:
    """Make the inputs, of which `orders` says how those of their axes lie that are not in Keras's order."""
    flows = []
    first: dict[str, tuple[Value, int]] = {}
    for spec in specs:
        if spec.dtype in ("str", "string") or spec.shape is None:
            raise CannotTranslateError("PyTorch", [Problem("InputLayer", spec.name, 0, "PyTorch has no strings")])
        dtype = to_torch(np.empty(0, spec.dtype)).dtype
        examples = [
            torch.empty([size_in_world(dim, size) for dim in spec.shape if dim is not None], dtype=dtype, device="meta")
            for size in builder.sizes
        ]
        value = builder.placeholder(identifier(spec.name), examples)
        for axis, dim in enumerate(spec.shape):
            if isinstance(dim, str):
                # torch.export knows then that it is one size.
                builder.same_sizes[builder.node_of(value), axis] = first.setdefault(dim, (value, axis))
        flows.append(Flow(value, orders.get(spec.name)))
    return flows


def _structure(result: Any) -> str:
    if isinstance(result, Mapping):
        return "dict"
    return "tuple" if isinstance(result, list | tuple) else "single"


def _shaped(structure: str, names: Sequence[str], leaves: Sequence[Any]) -> Any:
    if structure == "single":
        return leaves[0]
    return dict(zip(names, leaves, strict=True)) if structure == "dict" else tuple(leaves)


def _output_spec(name: str, value: Any) -> Spec:
    dims = tuple(static_size(value, axis) for axis in range(value.ndim))
    return Spec(name, str(value.dtype).removeprefix("torch."), dims)


def _stored(module: fx.GraphModule, stored: Mapping[int, Stored]) -> dict[str, Stored]:
    tensors = [*module.named_parameters(), *module.named_buffers()]
    return {name: stored[id(tensor)] for name, tensor in tensors if id(tensor) in stored}


def _path(model: Any, variable: Any) -> str:
    path: str = variable.path
    return path.removeprefix(f"{model.name}/").replace("/", ".")
