"""Steps of a loop: written out one after the other, or recorded as the body of PyTorch's own `scan` or `while_loop`.

PyTorch's `cond`, `while_loop` and `scan` are called as operators (torch.ops.higher_order), not by their functions in
`torch`: those compile what they are given, and fix sizes of 1 while they do. A `scan` takes one step at least: where
there may be none, it is given one on zeros then, and what comes of that is dropped.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import fx

from translate.converters.onnx_to_torch.builder import Builder
from translate.converters.onnx_to_torch.shapes import Size, is_number, tensor
from translate.converters.onnx_to_torch.values import DEAD, Value, builder, record, static_size
from translate.errors import UnsupportedError


@dataclass(frozen=True)
class Results:
    """What one step returns: whether to go on, what it carries, what is stacked."""

    going: Any
    carried: list[Any]
    stacked: list[Any]


# From the inputs of one step, and what is carried before it.
Step = Callable[[Sequence[Any], Sequence[Any]], Results]
# What a value is in each world of the outer graph.
Examples = Callable[[int], Sequence[Any]]


def number_of_step(worlds: int) -> Sequence[Any]:
    """Give a step its number, a tensor without axes."""
    return [torch.empty([], dtype=torch.int64, device="meta")] * worlds


def slices(x: Any) -> Examples:
    """Give a step one slice of `x` [T, ...], without the first axis."""
    return lambda _: [world if world is DEAD else world.new_empty(world.shape[1:]) for world in x.worlds]


@dataclass(frozen=True)
class Recorded:
    """The graph of one step: its inputs and results, without an output yet."""

    graph: Builder
    inputs: list[Value]
    state: list[Value]
    results: Results

    def keeps_shapes(self) -> bool:
        """Say whether what is carried has the same dtypes and shapes after the step as before it, in all worlds."""
        with self.graph.recording():
            pairs = zip(self.state, (tensor(value) for value in self.results.carried), strict=True)
            return all(
                before is DEAD or after is DEAD or (before.dtype, before.shape) == (after.dtype, after.shape)
                for one, other in pairs
                for before, after in zip(one.worlds, other.worlds, strict=True)
            )


def record_step(step: Step, inputs: Sequence[Examples], carried: Sequence[Any]) -> Recorded:
    """Record one step, on examples of its inputs and of what is carried, as a graph inside the one being recorded.

    Raises `UnsupportedError` for a step that returns something else than tensors.
    """
    outer = builder()
    inner = Builder(outer.root, outer.sizes, outer)
    slots = [inner.placeholder(f"x_{i}", examples(len(outer.sizes))) for i, examples in enumerate(inputs)]
    state = [inner.placeholder(f"state_{i}", value.worlds) for i, value in enumerate(carried)]
    with inner.recording():
        results = step(slots, state)
        for result in (*results.carried, *results.stacked):
            computed(result, "a step of a loop returns")
    return Recorded(inner, slots, state, results)


def missing_steps(number: Size) -> Size:
    """Return how many steps a scan of `number` steps lacks: 1 where there are none, 0 otherwise.

    torch.export takes sizes for 2 or more; this expression it keeps.
    """
    return 0 if isinstance(number, int) and number else 1 // (number + 1)


def with_rows(x: Any, axis: int, count: Size) -> Any:
    """Return `x` with `count` more zeros at the end of `axis`."""
    if is_number(count, 0):
        return x
    zeros = x.new_zeros([count if i == axis else size for i, size in enumerate(x.shape)])
    return torch.cat([x, zeros], axis)


def run_scan(step: Step, xs: list[Any], carried: Sequence[Any], number: Size, missing: Size) -> tuple[Any, ...]:
    """Run `step` on each slice of `xs`; return what it carries in the end, and what is stacked.

    What comes of the slices after the first `number`, which are `missing` of them, is dropped.
    """
    outer = builder()
    body = record_step(step, [slices(x) for x in xs], carried)
    with body.graph.recording():
        results = unshare([tensor(value) for value in (*body.results.carried, *body.results.stacked)])
        body.graph.graph.output(body.graph.create_arg(tuple(results)))
    captured = captured_by(body.graph)
    body.graph.take([*body.state, *body.inputs, *captured])
    # torch.export tells what is carried from what is captured by the tensor that it is.
    start = [v.clone() if any(v is w for w in (*captured, *carried[:i])) else v for i, v in enumerate(carried)]
    # What is read by place must have the first place, also where there are none.
    read = [_readable(value, missing, body.graph) for value in captured]
    call = (outer.hold(body.graph, "step"), start, xs, tuple(read))
    outputs = tuple(outer.record("call_function", torch.ops.higher_order.scan, call, {}))
    if is_number(missing, 0):
        return outputs
    after, stacked = outputs[: len(start)], outputs[len(start) :]
    ran = record(torch.full, [], number) > 0
    return *(torch.where(ran, y, x) for x, y in zip(start, after, strict=True)), *(y[:number] for y in stacked)


def _readable(value: Value, count: Size, graph: Builder) -> Value:
    """Return `value` with `count` more rows along the axes that steps in `graph` read by computed places."""
    axes = set[int]()
    for user in graph.node_of(value).users:
        if user.target is operator.getitem and isinstance(user.args[1], tuple):
            axes |= {axis for axis, place in enumerate(user.args[1]) if isinstance(place, fx.Node)}
    for axis in axes:
        if static_size(value, axis) is None:
            value = with_rows(value, axis, count)
    return value


def run_while(
    step: Step, limit: Any, cond: Any, carried: Sequence[Any], conditional: bool, detached: bool = False
) -> tuple[Any, tuple[Any, ...]]:
    """Run `step` while it says so (if `conditional`), up to `limit` times; return how often it ran, and the state.

    A loop that is only run to count is `detached`: it has no gradient.
    """
    outer = builder()
    start = [record(torch.zeros, [], dtype=torch.int64)]
    if conditional:
        start.append(record(torch.ones, [], dtype=torch.bool) if cond is None else tensor(cond).reshape([]))
    test = Builder(outer.root, outer.sizes, outer)
    slots: list[Any] = [test.placeholder(f"state_{i}", value.worlds) for i, value in enumerate([*start, *carried])]
    with test.recording():
        going = slots[1].clone() if conditional else None
        if limit is not None:
            below = slots[0] < limit
            going = below if going is None else torch.logical_and(slots[1], below)
        test.graph.output(test.create_arg(going))
    body = record_step(step, [number_of_step], carried)
    before: list[Any] = [body.inputs[0]]
    with body.graph.recording():
        after = [before[0] + 1]
        if conditional:
            before.append(body.graph.placeholder("going", start[1].worlds))
            after.append(tensor(body.results.going).reshape([]))
        results = unshare([*after, *(tensor(value) for value in body.results.carried)])
        body.graph.graph.output(body.graph.create_arg(tuple(results)))
    captured = captured_by(test, body.graph)
    test.take([*slots, *captured])
    body.graph.take([*before, *body.state, *captured])
    states: list[Any] = [*start, *carried]
    taken: list[Any] = list(captured)
    if detached:
        states, taken = ([value.detach() for value in values] for values in (states, taken))
    call = (outer.hold(test, "going_on"), outer.hold(body.graph, "step"), tuple(states), tuple(taken))
    number, *final = outer.record("call_function", torch.ops.higher_order.while_loop, call, {})
    return number, tuple(final[1:] if conditional else final)


def write_out(step: Step, inputs: Sequence[Sequence[Any]], carried: Sequence[Any]) -> tuple[Any, ...] | None:
    """Write the steps out one after the other; None where one of them computes whether it is the last one."""
    stacks: list[list[Any]] = []
    for own in inputs:
        results = step(own, carried)
        carried = results.carried
        stacks = stacks or [[] for _ in results.stacked]
        for stack, result in zip(stacks, results.stacked, strict=True):
            stack.append(tensor(result))
        going = known(results.going)
        if going is None:
            return None
        if not going:
            break
    if not inputs:
        return None if _stacks_something(step, carried) else tuple(carried)
    return *carried, *(torch.stack(stack) for stack in stacks)


def _stacks_something(step: Step, carried: Sequence[Any]) -> bool:
    return any(isinstance(v, list) or v is None for v in carried) or bool(
        record_step(step, [number_of_step], [tensor(value) for value in carried]).results.stacked
    )


def known(value: Any) -> Any:
    """Return the number or truth value that a host value of one element holds; None for what is computed."""
    return value.item() if isinstance(value, np.ndarray) else None


def computed(result: Any, who: str) -> Any:
    """Return a result as a tensor; raises `UnsupportedError` for a sequence and an optional."""
    if result is None or isinstance(result, list):
        raise UnsupportedError(f"{who} a sequence or an optional, and how it runs is computed")
    return tensor(result)


def captured_by(*graphs: Builder) -> list[Value]:
    """Return what `graphs` take from outside, each once."""
    operands: list[Value] = []
    for graph in graphs:
        for value in graph.captured:
            if not any(value is other for other in operands):
                operands.append(value)
    return operands


def unshare(results: Sequence[Any]) -> list[Any]:
    """Return results of a graph of which none shares its memory with an input or another one, as PyTorch demands."""
    graph = builder()
    nodes = [graph.node_of(result) for result in results]
    taken = [_memory(node) for node in graph.graph.nodes if node.op == "placeholder"]
    unshared = []
    for node, result in zip(nodes, results, strict=True):
        memory = _memory(node)
        unshared.append(result.clone() if any(memory is other for other in taken) else result)
        taken.append(memory)
    return unshared


def _memory(node: fx.Node) -> Any:
    example = next(world for world in node.meta["worlds"] if world is not DEAD)
    return example.untyped_storage() if isinstance(example, torch.Tensor) else example
