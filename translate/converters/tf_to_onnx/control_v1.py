"""Branches and loops of TensorFlow 1 as TensorFlow 2 has them; TensorFlow itself only goes the other way.

Each region of the graph is written anew, as a `tf.cond` or a `tf.while_loop` whose functions are parts of the graph.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import tensorflow as tf

from translate.converters.tf_to_onnx.arrays_v1 import ARRAYS, flows
from translate.converters.tf_to_onnx.regions_v1 import ENTERS, MERGES, Branch, Loop, regions


def functional(function: Any) -> Any:
    """Return a concrete function that computes the same without Switches, Merges, frames and TensorArrays.

    One without any is returned as it is. What makes no region is left, to be refused by its name.
    """
    graph = function.graph
    if not any(operation.type in (*MERGES, *ENTERS, *ARRAYS) for operation in graph.get_operations()):
        return function
    own = graph.inputs[: len(graph.inputs) - len(function.captured_inputs)]
    captured = graph.inputs[len(own) :]

    def run(*values: tf.Tensor) -> list[tf.Tensor]:
        known = {tensor.name: value for tensor, value in zip(own, values, strict=True)}
        known |= {tensor.name: value for tensor, value in zip(captured, function.captured_inputs, strict=True)}
        return _Writer(graph).write(graph.outputs, known)

    signature = [tf.TensorSpec(tensor.shape, tensor.dtype, f"input_{place}") for place, tensor in enumerate(own)]
    written = tf.compat.v1.wrap_function(run, signature)
    written.graph.variables = graph.variables
    return written


class _Writer:
    """Writes parts of one graph into the graph under construction."""

    def __init__(self, graph: Any) -> None:
        self._regions = regions(graph)
        self._lists = flows(graph.get_operations())
        self._definition = graph.as_graph_def()
        self._nodes = {node.name: node for node in self._definition.node}

    def write(self, outputs: Sequence[Any], known: Mapping[str, tf.Tensor]) -> list[tf.Tensor]:
        """Write what `outputs` need and return them; `known` are tensors that there are already, by their old names."""
        values = dict(known)
        waiting: list[Any] = []
        for operation in self._in_order(outputs, known):
            write = self._writing(operation)
            if write is not None:
                self._copy(waiting, values)
                waiting = []
                values |= write(values)
            else:
                waiting.append(operation)
        self._copy(waiting, values)
        return [_here(values[tensor.name]) for tensor in outputs]

    def _copy(self, operations: Sequence[Any], values: dict[str, tf.Tensor]) -> None:
        """Write operations as they are, without what only says where and when they run."""
        part = tf.compat.v1.GraphDef(versions=self._definition.versions, library=self._definition.library)
        names = {operation.name for operation in operations}
        given: dict[str, tf.Tensor] = {}
        for operation in operations:
            node = part.node.add()
            node.CopyFrom(self._nodes[operation.name])
            node.attr.pop("_class", None)
            if operation.outputs and operation.outputs[0].name in self._lists:
                node.attr["T"].type = tf.variant.as_datatype_enum
            node.input[:] = [source for source in node.input if not source.startswith("^")]
            outside = [tensor.name for tensor in operation.inputs if tensor.op.name not in names]
            given |= {name: _here(values[name]) for name in outside if name in values}
        made = [tensor.name for operation in operations for tensor in operation.outputs]
        if operations:
            values |= zip(made, tf.import_graph_def(part, given, made, name=""), strict=True)

    def _writing(self, operation: Any) -> Callable[[Mapping[str, tf.Tensor]], Mapping[str, tf.Tensor]] | None:
        """Return what writes something in another form; None for what is copied."""
        if isinstance(operation, Branch):
            return functools.partial(self._branch, operation)
        if isinstance(operation, Loop):
            return functools.partial(self._loop, operation)
        return functools.partial(_array, operation) if operation.type in ARRAYS else None

    def _branch(self, branch: Branch, values: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        def side(number: int) -> list[tf.Tensor]:
            inside = {tensor.name: values[outside.name] for outside, own in branch.sides[number] for tensor in own}
            return self.write(branch.results[number], inside)

        condition = values[branch.condition.name]
        results = tf.nest.flatten(tf.cond(condition, lambda: side(1), lambda: side(0)))
        return {tensor.name: value for tensor, value in zip(branch.outputs, results, strict=True)}

    def _loop(self, loop: Loop, values: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        fixed = {tensor.name: values[outside.name] for outside, own in loop.fixed for tensor in own}

        def condition(*states: tf.Tensor) -> tf.Tensor:
            inside = {tensor.name: state for (_, own), state in zip(loop.states, states, strict=True) for tensor in own}
            return self.write([loop.condition], fixed | inside)[0]

        def body(*states: tf.Tensor) -> list[tf.Tensor]:
            inside = {tensor.name: state for tensor, state in zip(loop.inside, states, strict=True)}
            return self.write(loop.repeated, fixed | inside)

        start = [values[outside.name] for outside, _ in loop.states]
        shapes = _invariant_shapes(body, start)
        results = tf.nest.flatten(tf.while_loop(condition, body, start, shape_invariants=shapes))
        pairs = zip(loop.exits, results, strict=True)
        return {tensor.name: value for tensor, value in pairs if tensor is not None}

    def _in_order(self, outputs: Sequence[Any], known: Mapping[str, tf.Tensor]) -> list[Any]:
        """List the operations and regions that `outputs` need, after those that they need themselves."""
        ordered: list[Any] = []
        entered: set[str] = set()
        stack = [(self._source(tensor), False) for tensor in outputs if tensor.name not in known]
        while stack:
            operation, ready = stack.pop()
            if ready:
                ordered.append(operation)
            elif operation.name not in entered:
                entered.add(operation.name)
                stack.append((operation, True))
                stack += [(self._source(tensor), False) for tensor in operation.inputs if tensor.name not in known]
        return ordered

    def _source(self, tensor: Any) -> Any:
        return self._regions.get(tensor.op.name, tensor.op)


def _array(operation: Any, values: Mapping[str, tf.Tensor]) -> Mapping[str, tf.Tensor]:
    made = ARRAYS[operation.type](operation, [_here(values[tensor.name]) for tensor in operation.inputs])
    return {tensor.name: value for tensor, value in zip(operation.outputs, made, strict=True)}


def _here(tensor: tf.Tensor) -> tf.Tensor:
    """Return a tensor of an outer graph, or none at all, as one of the graph under construction."""
    graph = tf.compat.v1.get_default_graph()
    return tensor if getattr(tensor, "graph", None) is graph else graph.capture(tensor)


def _invariant_shapes(body: Any, start: Sequence[tf.Tensor]) -> list[tf.TensorShape]:
    """Return the shapes that hold in every iteration."""
    shapes = [tensor.shape for tensor in start]
    while True:
        specs = [tf.TensorSpec(shape, tensor.dtype) for shape, tensor in zip(shapes, start, strict=True)]
        after = tf.function(body, autograph=False).get_concrete_function(*specs).outputs
        common = [shape.most_specific_compatible_shape(new.shape) for shape, new in zip(shapes, after, strict=True)]
        if all(
            one.as_list() == other.as_list() if one.rank is not None else other.rank is None
            for one, other in zip(common, shapes, strict=True)
        ):
            return shapes
        shapes = common
