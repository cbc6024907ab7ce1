"""A traced TensorFlow function as an ONNX model."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import onnx_ir as ir
import tensorflow as tf
from onnx_ir.passes import common

from translate.converters.lowering import Interpreter, Table
from translate.converters.lowering.interpret import LARGEST_HOST_BYTES
from translate.converters.metadata import KIND, NAME, STRUCTURE
from translate.converters.tf_to_onnx.build import OPSET, Host, op
from translate.converters.tf_to_onnx.control_v1 import functional
from translate.converters.tf_to_onnx.dilated import dilate
from translate.converters.tf_to_onnx.lowerings import TABLE
from translate.converters.tf_to_onnx.source import DOMAIN, constant, read, variable_value
from translate.converters.tf_to_onnx.target import OnnxTarget
from translate.errors import UnsupportedError
from translate.models.base import Spec


def export(
    function: Any,
    inputs: Sequence[Spec],
    outputs: Sequence[str],
    *,
    names: Mapping[Any, str] | None = None,
    structure: str = "dict",
) -> ir.Model:
    """Export a concrete function to ONNX, in memory, at opset 20.

    `inputs` are its inputs in the order of `function.inputs`, with the names and symbolic dimensions that the result
    gets, `outputs` the names of `function.outputs`. Weights are initializers with "parameter" or "buffer" in their
    `translate.kind` metadata, named after their variables: `dense.kernel`, or what `names` {variable.ref(): name} says.
    `structure` is what the function returns: "single", "tuple" or "dict". Raises `CannotTranslateError` naming every
    operation that has no lowering.
    """
    function = functional(function)
    user = function.inputs[: len(function.inputs) - len(function.captured_inputs)]
    for tensor in (*user, *function.outputs):
        if tensor.dtype.is_complex:
            raise UnsupportedError(f"{tensor.name} holds complex numbers, which no input or output of ONNX does")
    captured = _captured(function, function.inputs[len(user) :], names or {})
    graph, values = read(function.graph, user, function.outputs, captured)
    for part in (graph, *graph.subgraphs()):
        dilate(part)
    return write(graph, values, inputs, outputs, TABLE, DOMAIN, structure)


def write(
    graph: ir.Graph,
    values: Sequence[ir.Value],
    inputs: Sequence[Spec],
    outputs: Sequence[str],
    table: Table,
    domain: str,
    structure: str,
) -> ir.Model:
    """Say a graph of `domain` in ONNX, by `table`.

    `values` are its inputs, in the order of `inputs`; all else is as in `export`.
    """
    weights = {value: _named(value) for value in graph.initializers.values() if _is_weight(value, graph)}
    arguments = [
        ir.Value(name=spec.name, shape=None if spec.shape is None else ir.Shape(spec.shape), type=value.type)
        for spec, value in zip(inputs, values, strict=True)
    ]
    with op.frame() as frame:
        bindings: dict[ir.Value, Any] = dict(zip(values, arguments, strict=True)) | weights
        bindings |= {v: _array(v) for v in graph.initializers.values() if v not in weights}
        results = Interpreter(table, {domain: 1}, OnnxTarget()).run(graph, bindings)
        named = [op.Identity(result) for result in results]
    stored = (str(value.name) for value in weights.values())
    given = {spec.name for spec in inputs}
    # ONNX has one name for one value; a source may call an input and an output alike.
    returned = [f"{name}/result" if name in given else name for name in outputs]
    _free_names(frame.nodes, {*returned, *given, *stored})
    for value, name, known in zip(named, returned, outputs, strict=True):
        value.name = name
        value.metadata_props[NAME] = known
    written = ir.Graph(
        arguments,
        named,
        nodes=frame.nodes,
        initializers=[*weights.values(), *frame.constants.values()],
        opset_imports={"": OPSET},
        name="main",
    )
    written.opset_imports.update({node.domain: 1 for node in written.all_nodes() if node.domain})
    written.sort()
    model = ir.Model(written, ir_version=10, metadata_props={STRUCTURE: structure})
    common.RemoveUnusedNodesPass()(model)
    return model


def _free_names(nodes: Iterable[ir.Node], taken: set[str]) -> None:
    """Give values that are called like an input, an output or a weight another name, in subgraphs too."""
    for node in nodes:
        for value in node.outputs:
            if value.name in taken:
                value.name = f"{value.name}/value"
        for attribute in node.attributes.values():
            if attribute.type is ir.AttributeType.GRAPH:
                _free_names(attribute.as_graph(), taken)


def _is_weight(value: ir.Value, graph: ir.Graph) -> bool:
    """Say whether an initializer is a weight and not a number of the computation.

    Variables are. Where there are none, as in a frozen graph, every floating-point tensor with an axis is taken for
    one; otherwise only those that are too large to be computed with while translating.
    """
    if KIND in value.metadata_props:
        return True
    tensor = value.const_value
    if tensor is None or not tensor.dtype.is_floating_point() or len(tensor.shape) == 0:
        return False
    has_variables = any(KIND in other.metadata_props for other in graph.initializers.values())
    return not has_variables or tensor.nbytes > LARGEST_HOST_BYTES


def _array(value: ir.Value) -> Host:
    assert value.const_value is not None, f"{value.name} has no value"
    return value.const_value.numpy()


def _named(value: ir.Value) -> ir.Value:
    """Return the same initializer for another graph."""
    return ir.Value(
        name=value.name,
        shape=value.shape,
        type=value.type,
        const_value=value.const_value,
        metadata_props=dict(value.metadata_props),
    )


def _captured(function: Any, internal: Sequence[Any], names: Mapping[Any, str]) -> dict[str, ir.Value]:
    """Return the values of the tensors that the function reads from outside: variables and constants."""
    variables = {id(variable.handle): variable for variable in function.graph.variables}
    values: dict[str, ir.Value] = {}
    taken: set[str] = set()
    for tensor, outside in zip(internal, function.captured_inputs, strict=True):
        variable = variables.get(id(outside))
        if variable is not None:
            name = variable.name.removesuffix(":0").replace("/", ".")
            values[tensor.name] = variable_value(variable, _unique(names.get(variable.ref(), name), taken))
            continue
        if outside.dtype in (tf.resource, tf.variant):
            raise UnsupportedError(f"{tensor.op.name} is a table, or another resource that the model holds")
        values[tensor.name] = constant(outside.numpy(), _unique(tensor.op.name, taken))
    return values


def _unique(name: str, taken: set[str]) -> str:
    unique, count = name, 0
    while unique in taken:
        count += 1
        unique = f"{name}_{count}"
    taken.add(unique)
    return unique
