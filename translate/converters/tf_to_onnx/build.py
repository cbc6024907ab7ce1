"""How a lowering writes ONNX: `op.Add(x, y)` adds a node to the graph under construction and returns its result.

Like TensorFlow's own operators, they go to whatever graph is current; the walk sees to that. An argument may be a
value, None where it is absent, or an array, a number or a list of numbers, which becomes a constant: integers are
int64, as ONNX's shapes and axes are; for other dtypes give an array (`like`).
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir

from translate.errors import UnsupportedError

# The opset that the lowerings are written in.
OPSET = 20

# Operators of which ONNX 1.19 does not infer the result, and others that have the same dtype and shape.
_LIKE = {"LessOrEqual": "Less", "GreaterOrEqual": "Greater"}
# Constants of up to so many elements take part in the inference of shapes.
_SMALL = 1024
# A value that is known while translating, as a lowering's annotation.
Host = np.ndarray[Any, np.dtype[Any]]


@dataclass
class Frame:
    """A graph under construction: its nodes in order, and the prefix of their names."""

    nodes: list[ir.Node] = field(default_factory=list)
    constants: dict[str, ir.Value] = field(default_factory=dict)


class Builder:
    """Makes nodes in the current frame, and knows the dtype and shape of what they return."""

    def __init__(self) -> None:
        self._frames: list[Frame] = []
        self._scopes: list[str] = []
        self._count = 0

    def __getattr__(self, op_type: str) -> Callable[..., ir.Value]:
        if op_type.startswith("_"):
            raise AttributeError(op_type)
        return functools.partial(self.node, op_type)

    @contextmanager
    def frame(self) -> Iterator[Frame]:
        """Write into a new graph."""
        self._frames.append(Frame())
        try:
            yield self._frames[-1]
        finally:
            self._frames.pop()

    @contextmanager
    def aside(self) -> Iterator[Frame]:
        """Write into a graph that has nothing to do with the one under construction."""
        outside, self._frames = self._frames, []
        try:
            with self.frame() as frame:
                yield frame
        finally:
            self._frames = outside

    @contextmanager
    def reopened(self, frame: Frame) -> Iterator[None]:
        """Write into `frame` once more."""
        self._frames.append(frame)
        try:
            yield
        finally:
            self._frames.pop()

    def fresh(self, name: str) -> str:
        """Return `name` with a number that nothing else has."""
        self._count += 1
        return f"{self._scopes[-1] if self._scopes else 'main'}/{name}_{self._count}"

    @contextmanager
    def scope(self, name: str) -> Iterator[None]:
        """Name what is written after `name`."""
        self._scopes.append(name)
        try:
            yield
        finally:
            self._scopes.pop()

    def node(self, op_type: str, *inputs: Any, outputs: int = 1, domain: str = "", **attributes: Any) -> Any:
        """Add a node; return its output, or the tuple of its `outputs`. Attributes that are None are left out."""
        given = {name: value for name, value in attributes.items() if value is not None}
        name = self.fresh(op_type)
        node = ir.Node(
            domain,
            op_type,
            [None if value is None else self.value(value) for value in inputs],
            ir.convenience.convert_attributes(given),
            outputs=[ir.Value(name=f"{name}:{index}") for index in range(outputs)],
            name=name,
        )
        self._frames[-1].nodes.append(node)
        infer(node)
        return node.outputs[0] if outputs == 1 else tuple(node.outputs)

    def value(self, value: Any) -> ir.Value:
        """Return `value` as a value of the graph; what is not one becomes a constant."""
        if isinstance(value, ir.Value):
            return value
        if not isinstance(value, np.ndarray | np.generic | int | float | bool | list | tuple):
            raise TypeError(f"a {type(value).__name__} is no value of a graph")
        array = np.asarray(value)
        if array.dtype.kind in "SUO":
            array = array.astype(object)
        elif not isinstance(value, np.ndarray | np.generic):
            array = array.astype(np.int64) if array.dtype.kind in "iu" or array.size == 0 else array
        name = self.fresh("constant")
        tensor = ir.tensor(array, name=name)
        constant = ir.Value(
            name=name, shape=ir.Shape(array.shape), type=ir.TensorType(tensor.dtype), const_value=tensor
        )
        self._frames[0].constants[name] = constant
        return constant


op = Builder()


def like(value: ir.Value, number: Any) -> np.ndarray[Any, Any]:
    """Return `number` (or numbers) in the dtype of `value`."""
    assert value.dtype is not None, f"the dtype of {value.name} is not known"
    return np.asarray(number, dtype=value.dtype.numpy())


def rank(value: ir.Value) -> int:
    """Return the number of axes. Raises `UnsupportedError` where it is not known."""
    if value.shape is None:
        raise UnsupportedError(f"the number of axes of {value.name} is not known")
    return len(value.shape)


def dims(value: ir.Value) -> list[int | None]:
    """Return the sizes, None for those that are open."""
    rank(value)
    return [dim if isinstance(dim, int) else None for dim in value.shape or ()]


def cast(value: ir.Value, dtype: int | ir.DataType) -> ir.Value:
    """Return `value` in `dtype`; itself where it is that already, a constant where it is a small one."""
    known = value.const_value
    if known is not None and known.size <= _SMALL and known.dtype.is_integer() and ir.DataType(dtype).is_integer():
        return op.value(known.numpy().astype(ir.DataType(dtype).numpy()))
    return value if value.dtype == ir.DataType(dtype) else op.Cast(value, to=int(dtype))


def entries(vector: ir.Value) -> list[int | None] | None:
    """Return the numbers of a vector, None for those that are computed; None where not even its length is known."""
    if vector.const_value is not None:
        return [int(number) for number in vector.const_value.numpy().reshape(-1)]
    node = vector.producer()
    sources = [] if node is None else [value for value in node.inputs if value is not None]
    if node is not None and node.op_type in ("Cast", "Unsqueeze"):
        found = entries(sources[0]) if sources[0].shape is not None and len(sources[0].shape) <= 1 else None
        return [None] if found is None and rank(vector) == 1 and dims(vector) == [1] else found
    if node is not None and node.op_type == "Concat":
        parts = [entries(value) for value in sources]
        return None if None in parts else [number for part in parts for number in part or ()]
    size = dims(vector)[0] if vector.shape is not None and len(vector.shape) == 1 else None
    return None if size is None else [None] * size


def infer(node: ir.Node) -> None:
    """Set dtype and shape of a node's outputs as far as ONNX's own inference tells them from its inputs."""
    graphs = (ir.AttributeType.GRAPH, ir.AttributeType.GRAPHS)
    if node.domain or any(attribute.type in graphs for attribute in node.attributes.values()):
        # Its lowering knows more.
        return
    if any(value is not None and value.dtype is None for value in node.inputs):
        return
    proto = ir.serde.serialize_node(node)
    proto.op_type = _LIKE.get(node.op_type, node.op_type)
    schema = onnx.defs.get_schema(proto.op_type, OPSET, node.domain)
    inputs = [value for value in node.inputs if value is not None]
    types = {str(value.name): _type_proto(value) for value in inputs}
    data = {
        str(value.name): ir.serde.serialize_tensor(value.const_value)
        for value in inputs
        if value.const_value is not None and value.const_value.size <= _SMALL
    }
    try:
        found = onnx.shape_inference.infer_node_outputs(
            schema, proto, types, data, opset_imports=[onnx.helper.make_opsetid("", OPSET)], ir_version=10
        )
    except onnx.checker.ValidationError as error:
        # A dtype that TensorFlow's operator takes and ONNX's does not, such as bfloat16 in a convolution.
        reason = next((line for line in str(error).splitlines() if line.strip()), "it is not valid")
        raise UnsupportedError(f"ONNX's {node.op_type} of opset {OPSET} refuses it: {reason}") from error
    for value in node.outputs:
        if str(value.name) in found:
            inferred = ir.serde.deserialize_type_proto_for_type(found[str(value.name)])
            value.type = inferred
            value.shape = ir.serde.deserialize_type_proto_for_shape(found[str(value.name)])


def _type_proto(value: ir.Value) -> onnx.TypeProto:
    return ir.serde.serialize_value(value).type
