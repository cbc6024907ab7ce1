"""A TensorFlow graph as an `onnx_ir` graph in the private domain `tensorflow`, one node for each operation.

Nothing is changed on the way but what has no meaning outside TensorFlow: calls of functions are inlined, reading a
variable is the variable's value, control edges and type attributes that the inputs already say are dropped. So the
walk, the table and the reports of `converters.lowering` serve this direction too.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import onnx_ir as ir
import tensorflow as tf
from tensorflow.core.framework import types_pb2
from tensorflow.python.framework.function_def_to_graph import function_def_to_graph

from translate.converters.metadata import KIND
from translate.models.tf_variables import numbers

DOMAIN = "tensorflow"
# Operations that take or return complex numbers, which are pairs of real ones here, on a last axis of two.
COMPLEX = "tensorflow.complex"

# What changes a variable.
CHANGES = frozenset(
    {
        "AssignVariableOp",
        "AssignAddVariableOp",
        "AssignSubVariableOp",
        "ResourceScatterUpdate",
        "ResourceScatterAdd",
        "ResourceScatterSub",
        "ResourceScatterNdUpdate",
        "ResourceScatterNdAdd",
        "ResourceStridedSliceAssign",
    }
)
_VARIABLE_READS = frozenset({"ReadVariableOp", "ResourceGather", "ResourceGatherNd"})
_LOOPS = frozenset({"While", "StatelessWhile"})
_CALLS = frozenset({"PartitionedCall", "StatefulPartitionedCall"})
# A variable stands for its value from the start.
_READS = frozenset({"ReadVariableOp", "Identity", "ResourceIdentity"})


def read(
    graph: Any, inputs: Sequence[Any], outputs: Sequence[Any], captured: Mapping[str, ir.Value]
) -> tuple[ir.Graph, list[ir.Value]]:
    """Read what `outputs`, tensors of the TensorFlow `graph`, need.

    `inputs` are its placeholders that become inputs of the result, in order; `captured` gives the values of others by
    tensor name: weights and constants. Returns the graph and, for each of `inputs`, its value.
    """
    return _Reader(graph).main(inputs, outputs, captured)


def variable_value(variable: Any, name: str) -> ir.Value:
    """Return the initializer that `variable` becomes, called `name`."""
    dtype = ir_dtype(variable.dtype)
    if variable.dtype.is_complex or dtype is None or dtype is ir.DataType.STRING:
        value = constant(variable.numpy(), name)
    else:
        # Read when it is wanted: a copy of all weights would stay as long as the graph does.
        shape = ir.Shape(variable.shape.as_list())
        tensor = ir.LazyTensor(lambda: ir.tensor(numbers(variable)), dtype, shape, name=name)
        value = ir.Value(name=name, shape=shape, type=ir.TensorType(dtype), const_value=tensor)
    value.metadata_props[KIND] = "parameter" if variable.trainable else "buffer"
    return value


def constant(array: np.ndarray[Any, Any], name: str) -> ir.Value:
    """Return an initializer that holds `array`."""
    array = np.asarray(array)
    array = np.stack([array.real, array.imag], -1) if array.dtype.kind == "c" else array
    tensor = ir.tensor(array, name=name)
    return ir.Value(name=name, shape=ir.Shape(array.shape), type=ir.TensorType(tensor.dtype), const_value=tensor)


def ir_dtype(dtype: tf.DType) -> ir.DataType | None:
    """Return ONNX's name of a TensorFlow dtype; None for resources and variants, which are no tensors."""
    if dtype == tf.string:
        return ir.DataType.STRING
    if dtype in (tf.resource, tf.variant):
        return None
    return ir.DataType.from_numpy(np.dtype(dtype.as_numpy_dtype))


class _Reader:
    """Reads one graph and the functions that it calls."""

    def __init__(self, graph: Any) -> None:
        self._library = dict(_functions(graph))
        self._outermost = graph
        self._changing: dict[str, bool] = {}
        self._names: set[str] = set()

    def main(
        self, inputs: Sequence[Any], outputs: Sequence[Any], captured: Mapping[str, ir.Value]
    ) -> tuple[ir.Graph, list[ir.Value]]:
        values = [_value(tensor, self._unique(tensor.op.name)) for tensor in inputs]
        known = dict(captured) | {tensor.name: value for tensor, value in zip(inputs, values, strict=True)}
        nodes, results = self._body(outputs, known, "")
        return self._graph("main", values, nodes, results), values

    def _body(self, outputs: Sequence[Any], known: Mapping[str, ir.Value], prefix: str) -> tuple[Any, list[ir.Value]]:
        """Read what `outputs` need; `known` are the values of tensors, by name. Return its nodes and their values."""
        values = dict(known)
        nodes: list[ir.Node] = []
        for operation in _needed(outputs, known):
            nodes += self._operation(operation, values, prefix)
            if operation.type in _VARIABLE_READS:
                nodes += [self._change(before, prefix) for before in self._changes_before(operation)]
        return nodes, [values[tensor.name] for tensor in outputs]

    def _operation(self, operation: Any, values: dict[str, ir.Value], prefix: str) -> list[ir.Node]:
        name = self._unique(f"{prefix}{operation.name}")
        # A value that is not known yet comes round a loop of TensorFlow 1, whose nodes are there to be refused.
        inputs: list[Any] = [values.get(tensor.name) for tensor in operation.inputs]
        if operation.type == "Const":
            values[operation.outputs[0].name] = constant(_const(operation), name)
            return []
        if operation.type in _READS and len(inputs) == 1:
            values[operation.outputs[0].name] = inputs[0]
            return []
        shapes = [_shape(tensor, value) for tensor, value in zip(operation.inputs, inputs, strict=True)]
        if operation.type in _CALLS:
            function = self._function(operation.get_attr("f").name, shapes)
            arguments = {tensor.name: value for tensor, value in zip(function.inputs, inputs, strict=True)}
            nodes, results = self._body(function.outputs, arguments, f"{name}/")
            values |= {tensor.name: value for tensor, value in zip(operation.outputs, results, strict=True)}
            return list(nodes)
        is_complex = any(tensor.dtype.is_complex for tensor in (*operation.inputs, *operation.outputs))
        node = ir.Node(
            COMPLEX if is_complex else DOMAIN,
            operation.type,
            inputs,
            [ir.Attr(key, kind, value) for key, kind, value in self._attributes(operation, shapes)],
            outputs=[_value(tensor, f"{name}:{index}") for index, tensor in enumerate(operation.outputs)],
            name=name,
        )
        values |= {tensor.name: value for tensor, value in zip(operation.outputs, node.outputs, strict=True)}
        return [node]

    def _changes_before(self, read: Any) -> list[Any]:
        """List what changes a variable before it is read: such a graph computes with more than the stored value."""
        found: dict[str, Any] = {}
        waiting = list(read.control_inputs)
        while waiting:
            operation = waiting.pop()
            if operation.name not in found:
                found[operation.name] = operation
                waiting += [*operation.control_inputs, *(tensor.op for tensor in operation.inputs)]
        handle = read.inputs[0]
        return [
            operation
            for operation in found.values()
            if any(tensor is handle for tensor in operation.inputs) and self._changes_variables(operation)
        ]

    def _changes_variables(self, operation: Any) -> bool:
        called = [value.name for value in _called(operation)]
        return operation.type in CHANGES or any(self._has_changes(name) for name in called)

    def _has_changes(self, function: str) -> bool:
        """Whether a function of the library, or one that it calls, changes a variable."""
        if function not in self._changing:
            nodes = self._library[function].node_def
            called = [
                item.name
                for node in nodes
                for value in node.attr.values()
                for item in ([value.func] if value.HasField("func") else value.list.func)
            ]
            self._changing[function] = any(node.op in CHANGES for node in nodes) or any(map(self._has_changes, called))
        return self._changing[function]

    def _change(self, operation: Any, prefix: str) -> ir.Node:
        """Return a node that no table has, so that the change is refused and not lost."""
        return ir.Node(DOMAIN, "AssignVariableOp", [], num_outputs=0, name=self._unique(f"{prefix}{operation.name}"))

    def _attributes(self, operation: Any, shapes: Sequence[Any]) -> Iterator[tuple[str, ir.AttributeType, Any]]:
        """List the attributes that the inputs, of these shapes, do not say already."""
        definition = operation.op_def
        said = {name for arg in definition.input_arg for name in (arg.type_attr, arg.number_attr, arg.type_list_attr)}
        for attribute in definition.attr:
            if attribute.name not in said:
                value = operation.get_attr(attribute.name)
                if attribute.type == "func":
                    # Arguments of a branch or a loop's body come after what decides: the condition's or branch's.
                    skip = len(operation.inputs) - len(self._definition(value.name).signature.input_arg)
                    graph = self._subgraph(value.name, shapes[skip:])
                    if operation.type in _LOOPS and attribute.name == "body" and self._has_changes(value.name):
                        # The next iteration may read what this one wrote.
                        graph.append(self._change(operation, ""))
                    yield attribute.name, ir.AttributeType.GRAPH, graph
                elif attribute.type == "list(func)":
                    graphs = [self._subgraph(function.name, shapes[1:]) for function in value]
                    yield attribute.name, ir.AttributeType.GRAPHS, graphs
                else:
                    yield attribute.name, *_plain(attribute.type, value)

    def _subgraph(self, function_name: str, shapes: Sequence[Any]) -> ir.Graph:
        function = self._function(function_name, shapes)
        prefix = f"{self._unique(function_name)}/"
        inputs = [_value(tensor, prefix + tensor.op.name) for tensor in function.inputs]
        known = {tensor.name: value for tensor, value in zip(function.inputs, inputs, strict=True)}
        nodes, results = self._body(function.outputs, known, prefix)
        return self._graph(function_name, inputs, nodes, results)

    def _graph(
        self, name: str, inputs: Sequence[ir.Value], nodes: Sequence[ir.Node], outputs: Sequence[ir.Value]
    ) -> ir.Graph:
        used = [value for node in nodes for value in node.inputs if value is not None] + list(outputs)
        initializers = {str(value.name): value for value in used if value.const_value is not None}
        return ir.Graph(inputs, outputs, nodes=nodes, initializers=list(initializers.values()), name=name)

    def _function(self, name: str, shapes: Sequence[Any]) -> Any:
        """Return a function's graph, its sizes worked out from those of its arguments; a variable's is its value's."""
        definition = self._definition(name)
        handles = {}
        sizes = list(shapes)
        for index, argument in enumerate(definition.signature.input_arg):
            if argument.type == types_pb2.DT_RESOURCE:
                handles[argument.name] = shapes[index]
                sizes[index] = None
        for node in definition.node_def:
            if node.op == "ReadVariableOp" and node.input[0] in handles:
                # A handle that is an argument has forgotten this; TensorFlow takes it from here when it reads a graph.
                node.attr["_output_shapes"].list.ClearField("shape")
                node.attr["_output_shapes"].list.shape.append(handles[node.input[0]].as_proto())
        with self._outermost.as_default():
            return function_def_to_graph(definition, input_shapes=sizes)

    def _definition(self, name: str) -> Any:
        return self._library[name]

    def _unique(self, name: str) -> str:
        unique, count = name, 0
        while unique in self._names:
            count += 1
            unique = f"{name}_{count}"
        self._names.add(unique)
        return unique


def _functions(graph: Any) -> Iterator[tuple[str, Any]]:
    for definition in graph.as_graph_def().library.function:
        yield definition.signature.name, definition


def _called(operation: Any) -> list[Any]:
    """List the functions that an operation calls."""
    kinds = {attribute.name: attribute.type for attribute in operation.op_def.attr}
    single = [operation.get_attr(name) for name, kind in kinds.items() if kind == "func"]
    return single + [one for name, kind in kinds.items() if kind == "list(func)" for one in operation.get_attr(name)]


def _needed(outputs: Sequence[Any], known: Mapping[str, ir.Value]) -> list[Any]:
    """List the operations that `outputs` are computed from, in their order.

    What only an order of effects asks for (checks, prints, the state of a generator of random numbers) is not among
    them.
    """
    found: dict[str, Any] = {}
    waiting = [tensor.op for tensor in outputs if tensor.name not in known]
    while waiting:
        operation = waiting.pop()
        if operation.name in found or (operation.outputs and all(tensor.name in known for tensor in operation.outputs)):
            continue
        found[operation.name] = operation
        waiting += [tensor.op for tensor in operation.inputs if tensor.name not in known]
    return _in_order(found, known)


def _in_order(operations: Mapping[str, Any], known: Mapping[str, ir.Value]) -> list[Any]:
    ordered: dict[str, Any] = {}
    # Loops of TensorFlow 1 are circles.
    entered: set[str] = set()
    for root in operations.values():
        stack = [(root, False)]
        while stack:
            operation, ready = stack.pop()
            if ready:
                ordered[operation.name] = operation
            if operation.name in entered:
                continue
            entered.add(operation.name)
            stack.append((operation, True))
            inputs = [tensor.op for tensor in operation.inputs if tensor.name not in known]
            stack += [(needed, False) for needed in inputs if needed.name in operations]
    return list(ordered.values())


def _shape(tensor: Any, value: ir.Value | None) -> tf.TensorShape:
    """Return the sizes of a tensor; of a handle, those of the variable, not known for other handles."""
    if tensor.dtype != tf.resource:
        return tensor.shape
    stored = None if value is None else value.const_value
    return tf.TensorShape(None if stored is None else stored.shape.numpy())


def _value(tensor: Any, name: str) -> ir.Value:
    dtype = ir_dtype(tensor.dtype)
    sizes = None if tensor.shape.rank is None else ir.Shape(tensor.shape.as_list())
    if dtype is None:
        # The shape of a handle is not that of what it stands for.
        return ir.Value(name=name)
    if tensor.dtype.is_complex:
        pairs = None if sizes is None else ir.Shape([*sizes, 2])
        return ir.Value(name=name, shape=pairs, type=ir.TensorType(_part_of(tensor.dtype)))
    return ir.Value(name=name, shape=sizes, type=ir.TensorType(dtype))


def _part_of(dtype: tf.DType) -> ir.DataType:
    """Return the dtype of a complex number's parts."""
    return ir.DataType.FLOAT if dtype == tf.complex64 else ir.DataType.DOUBLE


def _const(operation: Any) -> np.ndarray[Any, Any]:
    array: np.ndarray[Any, Any] = tf.make_ndarray(operation.get_attr("value"))
    return array


_PLAIN = {
    "int": ir.AttributeType.INT,
    "float": ir.AttributeType.FLOAT,
    "bool": ir.AttributeType.INT,
    "string": ir.AttributeType.STRING,
    "type": ir.AttributeType.INT,
    "shape": ir.AttributeType.INTS,
}
_LISTS = {
    ir.AttributeType.INT: ir.AttributeType.INTS,
    ir.AttributeType.FLOAT: ir.AttributeType.FLOATS,
    ir.AttributeType.STRING: ir.AttributeType.STRINGS,
}


def _plain(kind: str, value: Any) -> tuple[ir.AttributeType, Any]:
    """Return an attribute as ONNX has it: Booleans are 0 or 1, dtypes ONNX's numbers, open sizes -1."""
    element = kind.removeprefix("list(").removesuffix(")")
    if kind == element and element != "shape":
        return _PLAIN[kind], _scalar(element, value)
    if element == "shape":
        shapes = [tf.TensorShape(shape) for shape in ([value] if kind == "shape" else value)]
        # An unknown rank is the one size -2.
        sizes = [shape.as_list() if shape.rank is not None else [-2] for shape in shapes]
        return ir.AttributeType.INTS, [-1 if size is None else size for shape in sizes for size in shape]
    return _LISTS[_PLAIN[element]], [_scalar(element, item) for item in value]


def _scalar(kind: str, value: Any) -> Any:
    if kind == "string":
        return value.decode() if isinstance(value, bytes) else str(value)
    if kind == "type":
        dtype = ir_dtype(tf.as_dtype(value))
        return int(ir.DataType.UNDEFINED if dtype is None else dtype)
    return int(value) if kind == "bool" else value
