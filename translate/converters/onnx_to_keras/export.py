"""An ONNX graph as a Keras functional model, and that model as a file."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import onnx_ir as ir
from keras import layers, ops

from translate.converters.lowering.table import opset_of
from translate.converters.metadata import STRUCTURE, source_name
from translate.converters.onnx_to_keras import worlds
from translate.converters.onnx_to_keras.build import Builder, Weight, building
from translate.converters.onnx_to_keras.dtypes import dtype_name, dtype_of, is_float
from translate.converters.onnx_to_keras.target import KerasInterpreter
from translate.converters.weights import weights
from translate.errors import CannotTranslateError, UnsupportedError

_HINT = "--format saved_model"


def functional(model: ir.Model) -> keras.Model:
    """Return `model`, prepared by `prepare_for_keras`, as a functional model of Keras's own layers and operations.

    Its inputs and outputs have the names, dtypes and axes of the source, its layers the names of the source's modules
    with underscores for dots. It returns one tensor, a dict or a list of them, as the source does. Raises
    `CannotTranslateError` naming every node that Keras cannot say.
    """
    try:
        return _build(model)
    except CannotTranslateError as error:
        raise CannotTranslateError("Keras", [replace(problem, hint=_HINT) for problem in error.problems]) from error


def save(model: ir.Model, path: Path) -> None:
    """Write `model` as a `.keras` file to `path`; raises as `functional` does."""
    functional(model).save(path)


def _build(model: ir.Model) -> keras.Model:
    graph = model.graph
    inputs = {value: _input(value) for value in graph.inputs}
    names = [source_name(value) for value in graph.outputs]
    builder = Builder(list(inputs.values()), worlds.find(model), [*(str(value.name) for value in inputs), *names])
    for value, tensor in inputs.items():
        builder.found(value, tensor)
    with building(builder):
        interpreter = KerasInterpreter(model.opset_imports, builder)
        results = [builder.tensor(result) for result in interpreter.run(graph, inputs | _initializers(model))]
        outputs = [_output(builder, result, name) for result, name in zip(results, names, strict=True)]
        _name_operations(builder, outputs)
    kind = model.metadata_props.get(STRUCTURE)
    structured: Any = dict(zip(names, outputs, strict=True)) if kind == "dict" else outputs
    if kind == "single" or (kind is None and len(outputs) == 1):
        structured = outputs[0]
    given = {str(value.name): tensor for value, tensor in inputs.items()}
    return keras.Model(next(iter(given.values())) if len(given) == 1 else given, structured, name="translated")


def _input(value: ir.Value) -> Any:
    if isinstance(value.type, ir.SequenceType | ir.OptionalType) or value.dtype is None or value.shape is None:
        raise UnsupportedError(f"input {value.name} is no tensor of a known dtype and number of axes")
    shape = tuple(dim if isinstance(dim, int) else None for dim in value.shape)
    return keras.Input(batch_shape=shape, dtype=dtype_name(value.dtype), name=str(value.name))


def _initializers(model: ir.Model) -> dict[ir.Value, Any]:
    """Return the weights of `model`, and its constants as arrays."""
    trained = weights(model)
    found: dict[ir.Value, Any] = {}
    for value in model.graph.initializers.values():
        assert value.const_value is not None, f"initializer {value.name} has no value"
        if value in trained:
            found[value] = Weight(value, trained[value], _role(value, trained, model.opset_imports))
        else:
            found[value] = value.const_value.numpy()
    return found


_LOOKUPS = frozenset({"Gather", "Embedding"})
_PRODUCTS = frozenset({"Linear", "Gemm", "MatMul"})


def _role(value: ir.Value, trained: Mapping[ir.Value, bool], opsets: Mapping[str, int]) -> str:
    """Say whether one layer can hold a weight, or all that read it."""
    readers = [
        (
            node.domain,
            node.op_type,
            place,
            opset_of(node, opsets),
            repr(sorted((name, attribute.value) for name, attribute in node.attributes.items())),
            tuple(other for other in node.inputs if other in trained),
        )
        for node, place in value.uses()
    ]
    if value.is_graph_output():
        return "shared"
    if len(set(readers)) == 1:
        return "own"
    lookups = [place == 0 for _, operator, place, *_ in readers if operator in _LOOKUPS]
    products = [(node, place) for node, place in value.uses() if node.op_type in _PRODUCTS]
    transposed = all(place == 1 and node.attributes.get_int("transB", 0) for node, place in products)
    if lookups and products and all(lookups) and transposed and len(lookups) + len(products) == len(readers):
        return "tied"
    return "shared"


def _output(builder: Builder, result: Any, name: str) -> Any:
    """Return an output under its name, which the layer that makes it has."""
    if not isinstance(result, keras.KerasTensor):
        # A model returns what it computes from its inputs, which a constant does not depend on.
        result = ops.cast(ops.where(ops.equal(builder.one("int32"), 1), result, result), dtype_of(result))
    # Only the dtypes of real numbers are those of a layer.
    return layers.Identity(name=name, dtype=dtype_of(result) if is_float(result) else None)(result)


def _name_operations(builder: Builder, outputs: Sequence[Any]) -> None:
    """Number what has no name of the source's, in this model alone: Keras counts through all models of a process."""
    named = {*builder.named, *(output._keras_history.operation for output in outputs)}
    for operation in _operations(outputs):
        if operation not in named and not isinstance(operation, layers.InputLayer):
            operation.name = builder.unique(re.sub(r"(?<=[a-z])(?=[A-Z])", "_", type(operation).__name__).lower())


def _operations(outputs: Sequence[Any]) -> list[Any]:
    """Return what computes `outputs`, each operation after those that it reads."""
    found: list[Any] = []
    # A layer that is called on what it returned reads itself.
    entered: set[Any] = set()
    waiting = [(output._keras_history.operation, False) for output in reversed(outputs)]
    while waiting:
        operation, is_ready = waiting.pop()
        if is_ready:
            found.append(operation)
        elif operation not in entered:
            entered.add(operation)
            waiting.append((operation, True))
            tensors = [tensor for node in operation._inbound_nodes for tensor in node.input_tensors]
            waiting.extend((tensor._keras_history.operation, False) for tensor in reversed(tensors))
    return found
