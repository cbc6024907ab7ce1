"""What a Keras model takes and returns: names, dtypes and sizes, which are a batch or other open ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import onnx_ir as ir

from translate.converters.keras_to_torch.graphs import Graph
from translate.converters.metadata import NAME, STRUCTURE
from translate.models.base import Spec
from translate.models.inputs import open_dims, size_of, symbols


def input_specs(graph: Graph) -> tuple[Spec, ...]:
    """Return the inputs of a model's graph, in Keras's order; the first axis of each, where it is open, is "batch"."""
    names = _unique([tensor.name for tensor in graph.inputs])
    return open_dims(
        [Spec(name, tensor.dtype, tuple(tensor.shape)) for name, tensor in zip(names, graph.inputs, strict=True)]
    )


def output_names(model: Any, graph: Graph) -> list[str]:
    """Return the names of the outputs: their keys where the model returns a dict, else those of their layers."""
    leaves = keras.tree.flatten_with_path(graph.outputs)
    if any(isinstance(step, str) for path, _ in leaves for step in path):
        return ["_".join(map(str, path)) for path, _ in leaves]
    return _unique([leaf._keras_history.operation.name for _, leaf in leaves])


def _unique(names: Sequence[str]) -> list[str]:
    """Number the names that occur more than once."""
    unique: list[str] = []
    for name in names:
        candidates = [name, *(f"{name}_{number}" for number in range(1, len(names)))]
        unique.append(next(candidate for candidate in candidates if candidate not in unique))
    return unique


def size_in_world(dim: int | str, size: int) -> int:
    """Return a dimension where every name has `size`."""
    return dim if isinstance(dim, int) else size_of(dim, dict.fromkeys(symbols([Spec("", "", (dim,))]), size))


def as_graph(inputs: Sequence[Spec], outputs: Sequence[Spec], structure: str) -> ir.Model:
    """Return an ONNX graph without nodes that has this interface: what writes a module's formats asks it for names.

    `structure` says whether the module returns one tensor ("single"), a "tuple" or a "dict".
    """
    graph = ir.Graph([_value(spec) for spec in inputs], [], nodes=[], name="interface", opset_imports={"": 18})
    taken = {spec.name for spec in inputs}
    for spec in outputs:
        value = _value(spec)
        if spec.name in taken:
            value.name = f"{spec.name}.output"
            value.metadata_props[NAME] = spec.name
        graph.outputs.append(value)
    model = ir.Model(graph, ir_version=10)
    model.metadata_props[STRUCTURE] = structure
    return model


def _value(spec: Spec) -> ir.Value:
    shape = None if spec.shape is None else ir.Shape(spec.shape)
    dtype = ir.DataType.from_numpy(np.dtype(spec.dtype))
    return ir.Value(name=spec.name, shape=shape, type=ir.TensorType(dtype))
