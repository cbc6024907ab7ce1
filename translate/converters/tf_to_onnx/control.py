"""Branches and loops.

What a `tf.while_loop` carries falls into four kinds, and only the last is carried by ONNX's Loop: what the body hands
on unchanged is read from outside; a list that it fills element by element is a scan output, which ONNX stacks itself;
where the number of iterations is known before the loop starts, a counter is the iteration's number; the rest is state.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import onnx_ir as ir

from translate.converters.lowering.interpret import Context
from translate.converters.tf_to_onnx import cells, recurrent
from translate.converters.tf_to_onnx.build import Frame, Host, cast, op
from translate.converters.tf_to_onnx.lists import TensorList
from translate.converters.tf_to_onnx.step import Step
from translate.converters.tf_to_onnx.table import lower
from translate.errors import UnsupportedError

_INT64 = ir.DataType.INT64


@lower("If", "StatelessIf")
def if_(
    condition: ir.Value | Host,
    *xs: Any,
    then_branch: ir.Graph,
    else_branch: ir.Graph,
    Tout: Any = (),
    output_shapes: Any = (),
    context: Context,
) -> tuple[ir.Value, ...]:
    """Run one of two branches."""
    if isinstance(condition, np.ndarray):
        chosen = context.run(then_branch if condition.any() else else_branch, *xs)
        return tuple(op.value(result) for result in chosen)
    with op.frame() as then:
        chosen = context.run(then_branch, *xs)
    with op.frame() as other:
        others = context.run(else_branch, *xs)
    return _if(_truth(condition), (then, chosen), (other, others))


@lower("Case", "StatelessCase")
def case(
    index: ir.Value,
    *xs: Any,
    branches: Sequence[ir.Graph],
    Tout: Any = (),
    output_shapes: Any = (),
    context: Context,
) -> tuple[ir.Value, ...]:
    """Run the branch with the number `index`; the last one where there is no such."""

    def from_branch(number: int) -> tuple[ir.Value, ...]:
        if number == len(branches) - 1:
            return tuple(op.value(result) for result in context.run(branches[number], *xs))
        with op.frame() as then:
            chosen = context.run(branches[number], *xs)
        with op.frame() as other:
            others = from_branch(number + 1)
        return _if(op.Equal(index, np.int32(number)), (then, chosen), (other, others))

    return from_branch(0)


@lower("While", "StatelessWhile")
def while_(
    *xs: ir.Value | Host,
    cond: ir.Graph,
    body: ir.Graph,
    T: Any = (),
    output_shapes: Any = (),
    parallel_iterations: int = 10,
    context: Context,
) -> tuple[Any, ...]:
    """Run `body` on the carried values while `cond` of them holds.

    Limits: a list that a loop both reads and fills must have elements of a known shape.
    """
    loop = _Loop(cond, body, xs)
    trips = loop.trips()
    fixed = {i: x for i, x in enumerate(xs) if loop.unchanged(i)}
    scanned = [i for i in range(len(xs)) if i not in fixed and loop.is_filled(i)]
    counters = [i for i in range(len(xs)) if i not in fixed and trips is not None and loop.counts_from(i) is not None]
    states = [i for i in range(len(xs)) if i not in {*fixed, *scanned, *counters}]
    if trips is not None:
        network = _recurrent(loop, context.node, states, scanned, trips)
        if network is not None:
            return tuple((fixed | network | {i: _count(loop, i, trips) for i in counters})[i] for i in range(len(xs)))
    before = {i: _dense(xs[i]) for i in states}

    iteration = ir.Value(name=op.fresh("iteration"), shape=ir.Shape([]), type=ir.TensorType(_INT64))
    was_true = ir.Value(name=op.fresh("condition"), shape=ir.Shape([]), type=ir.TensorType(ir.DataType.BOOL))
    carried = {i: _carried(before[i], context.node.outputs[i], xs[i]) for i in states}
    with op.frame() as frame:
        inside: dict[int, Any] = fixed | {i: _as_given(carried[i], xs[i]) for i in states}
        inside |= {i: replace(loop.xs[i], scanned=True) for i in scanned}
        inside |= {i: _count(loop, i, iteration) for i in counters}
        after = dict(enumerate(context.run(body, *(inside[i] for i in range(len(xs))))))
        goes_on = was_true if trips is not None else loop.holds(context, fixed | after)
        results = [_dense(after[i]) for i in states] + [after[i].element for i in scanned]
    graph = _closed(frame, [iteration, was_true, *carried.values()], [goes_on, *results], "body")
    first = loop.holds(context, dict(enumerate(xs))) if trips is None else None
    if first is None and not states:
        # ONNX wants two inputs at least.
        first = op.value(np.asarray(True))
    outputs = op.node("Loop", trips, first, *before.values(), outputs=len(states) + len(scanned), body=graph)
    outputs = outputs if isinstance(outputs, tuple) else (outputs,)

    final: dict[int, Any] = dict(fixed)
    for i, output, inner in zip([*states, *scanned], outputs, graph.outputs[1:], strict=True):
        output.type = inner.type
        output.shape = carried[i].shape if i in carried else _stacked(inner.shape)
        final[i] = _as_given(output, xs[i]) if i in carried else loop.list_of(i, output)
    final |= {i: _count(loop, i, trips) for i in counters}
    return tuple(final[i] for i in range(len(xs)))


@dataclass(frozen=True)
class _Loop:
    """What a loop does with each of the values `xs` that it starts from."""

    cond: ir.Graph
    body: ir.Graph
    xs: Sequence[Any]

    def unchanged(self, index: int) -> bool:
        return self.body.outputs[index] is self.body.inputs[index]

    def counts_from(self, index: int) -> int | None:
        """Return where a value starts that grows by one in each iteration; None for any other value."""
        node = self.body.outputs[index].producer()
        start = self.xs[index]
        if node is None or node.op_type not in ("AddV2", "Add") or not isinstance(start, np.ndarray) or start.size != 1:
            return None
        value = self.body.inputs[index]
        steps = [other for other in node.inputs if other is not value and other is not None]
        is_one = (
            len(steps) == 1 and steps[0].const_value is not None and bool(np.all(steps[0].const_value.numpy() == 1))
        )
        return int(start.item()) if is_one and start.dtype.kind == "i" else None

    def is_filled(self, index: int) -> bool:
        """Whether the value is a list that the body fills from the first element on, and never reads."""
        node, value = self.body.outputs[index].producer(), self.body.inputs[index]
        if not isinstance(self.xs[index], TensorList) or self.xs[index].dense is not None:
            return False
        if node is None or node.op_type != "TensorListSetItem" or node.inputs[0] is not value:
            return False
        if len(list(value.uses())) > 1 or list(self.cond.inputs[index].uses()):
            return False
        at = node.inputs[1]
        if at is not None and at.const_value is not None:
            return int(at.const_value.numpy()) == 0
        return any(at is counter and self.counts_from(i) == 0 for i, counter in enumerate(self.body.inputs))

    def list_of(self, index: int, stacked: ir.Value) -> TensorList:
        """Return the list that was filled with `stacked`, one element for each iteration."""
        node = self.body.outputs[index].producer()
        assert node is not None and node.inputs[1] is not None
        overwritten = node.inputs[1].const_value is not None
        dense = op.Slice(stacked, [-1], [2**31 - 1], [0]) if overwritten else stacked
        return TensorList(self.xs[index].dtype, dense=dense)

    def trips(self) -> ir.Value | None:
        """Return the number of iterations (int64 scalar) where counters and unchanged limits alone decide it."""
        limits: list[ir.Value] = []
        waiting = [self.cond.outputs[0]]
        while waiting:
            node = waiting.pop().producer()
            if node is not None and node.op_type == "LogicalAnd":
                waiting += [value for value in node.inputs if value is not None]
                continue
            limit = None if node is None or node.op_type != "Less" else self._limit(*node.inputs)
            if limit is None:
                return None
            limits.append(limit)
        return limits[0] if len(limits) == 1 else op.Min(*limits)

    def _limit(self, counter: ir.Value | None, limit: ir.Value | None) -> ir.Value | None:
        inputs = list(self.cond.inputs)
        start = self.counts_from(inputs.index(counter)) if counter in inputs else None
        if start is None or limit is None:
            return None
        if limit.const_value is not None:
            return op.value(np.asarray(limit.const_value.numpy(), np.int64).reshape(()) - start)
        if limit not in inputs or not self.unchanged(inputs.index(limit)):
            return None
        known = self.xs[inputs.index(limit)]
        if isinstance(known, np.ndarray):
            return op.value(np.asarray(known, np.int64).reshape(()) - start)
        wide = cast(known, _INT64)
        return op.Sub(wide, np.int64(start)) if start else wide

    def holds(self, context: Context, values: Mapping[int, Any]) -> ir.Value:
        """Write the condition for these values."""
        return _truth(op.value(context.run(self.cond, *(values[i] for i in range(len(self.xs))))[0]))


def _recurrent(
    loop: _Loop, node: ir.Node, states: Sequence[int], lists: Sequence[int], trips: ir.Value
) -> dict[int, Any] | None:
    """Return the states and lists after a loop that is a recurrent network; None for any other."""

    def is_time(value: ir.Value | None) -> bool:
        return any(value is one and loop.counts_from(i) == 0 for i, one in enumerate(loop.body.inputs))

    found = cells.find(loop.body, loop.xs, states, lists, Step(loop.body, loop.xs, is_time))
    if found is None:
        return None
    memory = found.cell.memory
    if found.mask is not None and memory is not None and _is_read(node.outputs[memory]):
        return None
    written = recurrent.write(found, loop.xs, trips)
    if written is None:
        return None
    outputs, last = written
    return {i: last.get(i) for i in states} | {i: loop.list_of(i, outputs) for i in lists}


def _is_read(value: ir.Value) -> bool:
    return bool(value.uses()) or value.is_graph_output()


def _count(loop: _Loop, index: int, iteration: Any) -> ir.Value:
    """Return the counter in this iteration."""
    start, dtype = loop.counts_from(index), ir.DataType.from_numpy(loop.xs[index].dtype)
    count = cast(op.value(iteration), dtype)
    return op.Add(count, np.asarray(start, loop.xs[index].dtype)) if start else count


def _dense(value: Any) -> ir.Value:
    return value.tensor() if isinstance(value, TensorList) else op.value(value)


def _as_given(value: ir.Value, given: Any) -> Any:
    return TensorList(given.dtype, dense=value) if isinstance(given, TensorList) else value


def _carried(before: ir.Value, declared: ir.Value, given: Any) -> ir.Value:
    """Return the body's input for a state: its sizes are those that TensorFlow says hold in every iteration."""
    shape = before.shape if isinstance(given, TensorList) else declared.shape
    return ir.Value(name=op.fresh("state"), shape=shape, type=before.type)


def _stacked(shape: ir.Shape | None) -> ir.Shape | None:
    return None if shape is None else ir.Shape([None, *shape])


def _truth(condition: ir.Value) -> ir.Value:
    """Return a condition as a Boolean: a number is true where it is not zero."""
    return cast(condition, ir.DataType.BOOL)


def _if(
    condition: ir.Value, then: tuple[Frame, Sequence[Any]], other: tuple[Frame, Sequence[Any]]
) -> tuple[ir.Value, ...]:
    if any(isinstance(result, TensorList) for result in [*then[1], *other[1]]):
        raise UnsupportedError("a branch returns a list")
    graphs = [_closed(frame, [], results, name) for (frame, results), name in ((then, "then"), (other, "else"))]
    outputs = op.node("If", condition, outputs=len(then[1]), then_branch=graphs[0], else_branch=graphs[1])
    outputs = outputs if isinstance(outputs, tuple) else (outputs,)
    for output, one, two in zip(outputs, graphs[0].outputs, graphs[1].outputs, strict=True):
        output.type = one.type
        output.shape = _common(one.shape, two.shape)
    return outputs


def _common(one: ir.Shape | None, two: ir.Shape | None) -> ir.Shape | None:
    """Return the sizes that both have, open where they differ."""
    if one is None or two is None or len(one) != len(two):
        return None
    return ir.Shape([a if a == b else None for a, b in zip(one, two, strict=True)])


def _closed(frame: Frame, inputs: Sequence[ir.Value], results: Sequence[Any], name: str) -> ir.Graph:
    """Return what was written into `frame` as a graph; every output is a value of its own, made inside."""
    with op.reopened(frame):
        outputs = [op.Identity(result) for result in results]
    return ir.Graph(inputs, outputs, nodes=frame.nodes, name=op.fresh(name))
