"""A Keras model as a PyTorch module, layer by layer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import keras
import numpy as np
import onnx_ir as ir
import torch
from torch import fx

from translate.converters.keras_to_torch.graphs import Graph, graph_of, trace
from translate.converters.keras_to_torch.interface import as_graph, input_specs, output_names, size_in_world
from translate.converters.keras_to_torch.layout import Flow, identity
from translate.converters.keras_to_torch.lowerings import TABLE
from translate.converters.keras_to_torch.stored import Stored
from translate.converters.keras_to_torch.walk import Scope, Walk
from translate.converters.onnx_to_torch.builder import SIZES, Builder, Value, finish, static_size
from translate.converters.onnx_to_torch.dtypes import to_torch
from translate.converters.onnx_to_torch.export import identifier
from translate.errors import CannotTranslateError, Problem, UnsupportedError
from translate.models.base import Spec
from translate.models.inputs import format_input

tree = keras.tree


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
    model: Any, inputs: Sequence[Spec] = (), outputs: Sequence[str] = (), *, by_graph: bool = False
) -> fx.GraphModule:
    """Return a Keras model as a module whose layers are those of the model, under their names, in evaluation mode.

    `inputs` are what the model takes, in Keras's order: names and open sizes; `outputs` are names for what it returns.
    The module takes its inputs by name and returns what the model returns: one tensor, a tuple, or a dict. A model in
    the model is a module in the module, a shared layer is one. `meta["inputs"]` and `meta["outputs"]` list the names,
    `meta["parameters"]` gives for each Keras weight's path where it is here, `meta["interface"]` is an ONNX graph
    without nodes for those who write the module. With `by_graph` a layer that no
    row covers becomes a module that was made of its TensorFlow graph; `meta["by_graph"]` says of each such layer why.
    Raises `CannotTranslateError` naming every layer that cannot be translated.
    """
    try:
        graph = _graph_of(model, inputs)
    except UnsupportedError as error:
        raise CannotTranslateError("PyTorch", [Problem(type(model).__name__, model.name, 0, str(error))]) from error
    specs = tuple(inputs) or input_specs(graph)
    symbolic = any(isinstance(dim, str) for spec in specs for dim in spec.shape or ())
    walk = Walk(SIZES if symbolic else SIZES[:2], by_graph)
    scope = Scope(walk.sizes)
    flows = _placeholders(scope.builder, specs)
    names = list(outputs) or output_names(model, graph)
    with scope.builder.recording():
        scope.builder.locate(flows[0].value)
        result = walk.run(scope, graph, flows)
        if walk.problems:
            raise CannotTranslateError("PyTorch", walk.problems)
        leaves = [leaf.ordered(identity(leaf.rank)) for leaf in tree.flatten(result)]
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
    module.meta["interface"] = as_graph(specs, results, structure)
    return module


def interface(module: fx.GraphModule) -> ir.Model:
    """Return what `convert`'s module takes and returns, as those who write its formats ask for it."""
    described: ir.Model = module.meta["interface"]
    return described


def update_weights(model: Any, module: fx.GraphModule) -> None:
    """Carry the weights of a module that `convert` made of `model`, and that was trained since, back into it.

    Raises `UnsupportedError` where a layer was translated by its graph.
    """
    if module.meta["by_graph"]:
        names = ", ".join(module.meta["by_graph"])
        raise UnsupportedError(f"weights cannot be carried back into layers that were translated by graph: {names}")
    tensors = dict(module.named_parameters(remove_duplicate=False)) | dict(module.named_buffers(remove_duplicate=False))
    arrays: dict[int, Any] = {}
    variables: dict[int, Any] = {}
    stored: Mapping[str, Stored] = module.meta["stored"]
    own = {id(variable) for variable in model.weights}
    for name, one in stored.items():
        key = id(one.variable)
        if key not in own:
            raise ValueError(f"{name} is not a weight of the model {model.name}")
        variables[key] = one.variable
        old = arrays.get(key)
        if old is None:
            old = keras.ops.convert_to_numpy(one.variable)
        arrays[key] = one.put(old, tensors[name].detach().cpu().numpy())
    for key, array in arrays.items():
        variables[key].assign(np.ascontiguousarray(array))


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


def _placeholders(builder: Builder, specs: Sequence[Spec]) -> list[Flow]:
    flows = []
    first: dict[str, tuple[Value, int]] = {}
    for spec in specs:
        if spec.dtype == "str" or spec.shape is None:
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
        flows.append(Flow(value))
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
