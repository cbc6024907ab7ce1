"""Run an ONNX graph through a table of lowerings: every node, in order, as one call of its lowering.

A value on the way is either a value of the target (a tensor that is computed when the translated model runs) or a
*host value*: a numpy array that is known while translating. A node whose inputs are all host values is evaluated at
once, by the very same lowering, so that shapes and small tables never reach the translated model.
"""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import onnx_ir as ir

from translate.converters.lowering.bind import CONTEXT, Array, Form, UnboundError
from translate.converters.lowering.table import Lowering, Table, as_problem, opset_of
from translate.errors import CannotTranslateError, Problem, UnsupportedError

# A host result of more bytes than this is computed by the translated model instead of being stored in it.
LARGEST_HOST_BYTES = 4096


class Target(Protocol):
    """What the walk needs to know of a target's language."""

    def tensor(self, value: Any) -> Any:
        """Return `value` (a host value or one of the target's) as a value of the target."""

    def host(self, value: Any) -> Array | None:
        """Return `value` as a numpy array if it is known while translating, else None."""

    def evaluate(self, call: Callable[[], Any]) -> tuple[Array, ...] | None:
        """Run `call` at once, outside the graph under construction; None when a result is no plain array."""

    def refine(self, result: Any, value: ir.Value) -> Any:
        """Tell the target what the model says of the shape of `result`."""

    def placeholder(self, value: ir.Value) -> Any:
        """Return a stand-in of the shape and dtype of `value`, so that the search for problems can go on."""

    def scope(self, node: ir.Node) -> AbstractContextManager[Any]:
        """Return the context in which the operators of `node` are made, to name them after it."""


@dataclass(frozen=True)
class Context:
    """What a lowering of control flow is given: the node and the way to run its subgraphs."""

    node: ir.Node
    opset: int
    run: Callable[..., list[Any]]


class Interpreter:
    """Runs graphs of one model through `table` into `target`.

    All the nodes that a lowering refuses are collected in `problems`; `run` raises them together.
    """

    def __init__(self, table: Table, opset_imports: Mapping[str, int], target: Target) -> None:
        self.table = table
        self.opset_imports = opset_imports
        self.target = target
        # By node, since the body of a loop may be walked more than once.
        self.problems: dict[ir.Node, Problem] = {}
        self.cause: ValueError | None = None
        # What each value of the graph, not of its subgraphs, became; in the order of the walk.
        self.values: Mapping[ir.Value, Any] = {}

    def run(self, graph: ir.Graph, bindings: Mapping[ir.Value, Any]) -> list[Any]:
        """Run `graph` and return its outputs.

        `bindings` gives a value of the target or a host value for each input and each initializer of `graph`.
        Raises `CannotTranslateError` with every node that a lowering refused.
        """
        environment = dict(bindings)
        outputs = self._run(graph, ChainMap(environment))
        self.values = environment
        if self.problems:
            raise CannotTranslateError(self.table.target, list(self.problems.values())) from self.cause
        return outputs

    def _run(self, graph: ir.Graph, environment: ChainMap[ir.Value, Any]) -> list[Any]:
        for node in graph:
            results = self._lower(node, environment)
            environment.update(zip(node.outputs, results, strict=False))
        return [None if value is None else environment[value] for value in graph.outputs]

    def _lower(self, node: ir.Node, environment: ChainMap[ir.Value, Any]) -> Sequence[Any]:
        opset = opset_of(node, self.opset_imports)
        row = self.table.find(node.domain, node.op_type, opset)
        reason = self.table.problem(node, opset)
        if row is not None and reason is None:
            try:
                return self._call(node, opset, row, environment)
            except (UnsupportedError, UnboundError) as error:
                reason = str(error)
            except Exception as error:
                # A stand-in for what was refused need not fit what follows; only the refusal is told.
                if self.problems:
                    return [self.target.placeholder(value) for value in node.outputs]
                error.add_note(f"while lowering {node.op_type} {node.name!r} to {self.table.target}")
                if not isinstance(error, ValueError):
                    raise
                # The target's own shape inference speaks in ValueErrors: shapes that do not fit, in the model itself.
                self.cause = error
                reason = f"{self.table.target} refuses it: {str(error).partition(chr(10))[0]}"
        self.problems[node] = as_problem(node, opset, reason or "")
        return [self.target.placeholder(value) for value in node.outputs]

    def _call(self, node: ir.Node, opset: int, row: Lowering, environment: ChainMap[ir.Value, Any]) -> Sequence[Any]:
        inputs = [None if value is None else environment[value] for value in node.inputs]
        attributes = row.signature.attributes(node)
        if row.signature.wants_context:
            attributes[CONTEXT] = Context(node, opset, self._subgraph_runner(environment))

        def call() -> Any:
            forms = row.signature.forms(node.inputs)
            pairs = zip(inputs, forms, strict=False)
            arguments = [self._in_form(value, form, node, i) for i, (value, form) in enumerate(pairs)]
            with self.target.scope(node):
                return row.function(*arguments, **attributes)

        if _foldable(row, inputs):
            known = self.target.evaluate(call)
            if known is not None and all(array.nbytes <= LARGEST_HOST_BYTES for array in known):
                return known
        results = call()
        results = results if isinstance(results, tuple) else (results,)
        return [self._refine(result, value) for result, value in zip(results, node.outputs, strict=False)]

    def _refine(self, result: Any, value: ir.Value) -> Any:
        return result if result is None or isinstance(result, np.ndarray | list) else self.target.refine(result, value)

    def _in_form(self, value: Any, form: Form, node: ir.Node, position: int) -> Any:
        if value is None or form is Form.SEQUENCE:
            return value
        if form is Form.TARGET:
            return self.target.tensor(value)
        known = self.target.host(value)
        if known is not None:
            return known
        if form is Form.EITHER:
            return value
        source = node.inputs[position]
        name = "" if source is None else source.name
        raise UnboundError(f"input {position} ({name}) must be known when the model is translated, but is computed")

    def _subgraph_runner(self, environment: ChainMap[ir.Value, Any]) -> Callable[..., list[Any]]:
        def run(graph: ir.Graph, *inputs: Any) -> list[Any]:
            # A child environment: what a branch computes must not leak out of it, what is outside is visible.
            inner = environment.new_child(dict(zip(graph.inputs, inputs, strict=True)))
            # Constants of subgraphs are in the main graph by now, but for those that are a branch's output.
            for value in graph.initializers.values():
                inner[value] = None if value.const_value is None else value.const_value.numpy()
            return self._run(graph, inner)

        return run


def _foldable(row: Lowering, inputs: Sequence[Any]) -> bool:
    # An operator without inputs is a constant, a random number or an optional that is empty: its own lowering decides.
    known = all(value is None or isinstance(value, np.ndarray) for value in inputs)
    return row.deterministic and not row.signature.wants_context and bool(inputs) and known
