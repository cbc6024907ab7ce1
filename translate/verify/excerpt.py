"""A part of an ONNX graph on its own: cut out, run on given values, written down so that anyone can run it again."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

import numpy as np
import onnx_ir as ir

from translate.errors import UsageError
from translate.models.base import Array
from translate.models.onnx_model import OnnxModel

# A protobuf message cannot be longer than 2 GiB; well before that, weights go into a file of their own.
_LARGE = 2**30


def frontier(value: ir.Value, known: Collection[str]) -> list[ir.Value]:
    """Return the values that `value` is computed from, going back as far as the first ones called one of `known`.

    Inputs of the graph are always among them where they are reached, weights and constants never.
    """
    found: dict[ir.Value, None] = {}
    seen: set[ir.Node] = set()
    waiting = [value.producer()]
    while waiting:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        for source in _read(node):
            if source.name in known or (source.producer() is None and not source.is_initializer()):
                found[source] = None
            else:
                waiting.append(source.producer())
    return list(found)


def _read(node: ir.Node) -> Iterator[ir.Value]:
    """Iterate over what a node reads, its subgraphs included."""
    yield from (value for value in node.inputs if value is not None)
    for attribute in node.attributes.values():
        graphs = attribute.as_graphs() if attribute.type is ir.AttributeType.GRAPHS else ()
        for graph in (attribute.as_graph(),) if attribute.type is ir.AttributeType.GRAPH else graphs:
            for inner in ir.traversal.RecursiveGraphIterator(graph):
                yield from (value for value in inner.inputs if value is not None and value.graph is node.graph)


def cut(model: ir.Model, value: ir.Value, inputs: Mapping[str, Array]) -> ir.Model:
    """Return the part of `model` that computes `value` from `inputs`, weights included, without any metadata."""
    graph = ir.convenience.extract(model.graph, list(inputs), [str(value.name)])
    for given in graph.inputs:
        array = inputs[str(given.name)]
        # Exporters leave out the types of values between, and shapes here are those of this one case.
        given.type = ir.TensorType(ir.DataType.from_numpy(array.dtype))
        given.shape = ir.Shape(array.shape)
    for inner in (graph, *graph.subgraphs()):
        inner.metadata_props.clear()
        inner.doc_string = None
        for node in inner:
            # Stack traces have paths of this machine in them.
            node.metadata_props.clear()
            node.doc_string = None
    return ir.Model(graph, ir_version=model.ir_version, functions=list(model.functions.values()))


def computing(part: ir.Model) -> list[ir.Node]:
    """Return the nodes of `part` that depend on its inputs, and do not only prepare constants."""
    reached = set(part.graph.inputs)
    nodes: list[ir.Node] = []
    for node in part.graph:
        if reached.intersection(_read(node)):
            reached.update(node.outputs)
            nodes.append(node)
    return nodes


def write(part: ir.Model, folder: Path, arrays: Mapping[str, Mapping[str, Array]]) -> None:
    """Write `part` as `node.onnx` into `folder`, and each of `arrays` as `<its name>.npz` beside it.

    Raises `UsageError` when the folder cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"cannot write to {folder}: {error.strerror}") from error
    size = sum(value.const_value.nbytes for value in part.graph.initializers.values() if value.const_value is not None)
    ir.save(part, folder / "node.onnx", external_data="node.onnx.data" if size > _LARGE else None)
    for name, named in arrays.items():
        np.savez(folder / f"{name}.npz", **{key: _plain(array) for key, array in named.items()})


def run(part: ir.Model, inputs: Mapping[str, Array]) -> tuple[OnnxModel, dict[str, Array]]:
    """Return `part` as a model, and what it returns for `inputs`."""
    model = OnnxModel(part)
    return model, model.run(inputs)


def _plain(array: Array) -> Array:
    # A .npz cannot name the types of ml_dtypes; float32 holds all of their numbers.
    return array.astype(np.float32) if array.dtype.kind == "V" else array
