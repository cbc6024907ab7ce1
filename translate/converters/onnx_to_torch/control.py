"""Control flow: If, Loop and Scan, as the branch that is taken, as steps written out, or as PyTorch's own operators.

PyTorch's `cond`, `while_loop` and `scan` are called as operators (torch.ops.higher_order), not by their functions in
`torch`: those compile what they are given, and fix sizes of 1 while they do.

A loop that stacks what its steps make becomes a `scan`. Where a condition ends it, a `while_loop` runs first, to find
out after how many steps. A `scan` takes one step at least: where there may be none, it is given one on zeros then, and
what comes of that is dropped.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir
import torch
from torch import fx

from translate.converters.lowering import Context
from translate.converters.onnx_to_torch.builder import Builder
from translate.converters.onnx_to_torch.shapes import Size, axis_from_start, entries, is_number, tensor
from translate.converters.onnx_to_torch.table import lower
from translate.converters.onnx_to_torch.values import DEAD, Value, builder, is_recording, record, static_size
from translate.errors import UnsupportedError

# So many steps are easier to read, and faster, one after the other than as a loop.
LONGEST_WRITTEN_OUT = 4
# A loop that PyTorch cannot express is written out up to this many steps.
LONGEST_UNROLLED = 256
# Trip counts from here on mean that only the condition ends the loop.
FOREVER = 2**31 - 1


@dataclass(frozen=True)
class Results:
    """What one step returns: whether to go on, what it carries, what is stacked."""

    going: Any
    carried: list[Any]
    stacked: list[Any]


# From the inputs of one step, and what is carried before it.
Step = Callable[[Sequence[Any], Sequence[Any]], Results]


@lower("If")
def if_(
    cond: torch.Tensor | np.ndarray, *, then_branch: ir.Graph, else_branch: ir.Graph, context: Context
) -> tuple[Any, ...]:
    """Run one of two graphs; only one of them becomes part of the model if `cond` is known when translating.

    Limits: where it is not known, both branches must return tensors, of the same dtypes and numbers of axes.
    """
    if isinstance(cond, np.ndarray):
        return tuple(context.run(then_branch if cond.item() else else_branch))
    outer = builder()
    branches = [Builder(outer.root, outer.sizes, outer) for _ in range(2)]
    for branch, graph in zip(branches, (then_branch, else_branch), strict=True):
        with branch.recording():
            results = [_computed(result, "a branch returns") for result in context.run(graph)]
            branch.graph.output(branch.create_arg(tuple(_unshared(results))))
    operands = _captured(*branches)
    for branch in branches:
        branch.take(operands)
    names = [outer.hold(branch, kind) for branch, kind in zip(branches, ("then", "otherwise"), strict=True)]
    call = (tensor(cond).reshape([]), *names, tuple(operands))
    return tuple(outer.record("call_function", torch.ops.higher_order.cond, call, {}))


@lower("Loop")
def loop(
    trip_count: torch.Tensor | np.ndarray | None = None,
    cond: torch.Tensor | np.ndarray | None = None,
    *v_initial: list[Any] | torch.Tensor | np.ndarray,
    body: ir.Graph,
    context: Context,
) -> tuple[Any, ...]:
    """Run `body` up to `trip_count` times while its first output holds; return what it carries and what it stacks.

    Limits: a loop that carries a sequence, or a tensor whose shape changes, must have a trip count and conditions that
    are known when translating.
    """
    carried = list(v_initial)

    def step(inputs: Sequence[Any], state: Sequence[Any]) -> Results:
        going, *results = context.run(body, *inputs, np.array(True), *state)
        return Results(going, results[: len(carried)], results[len(carried) :])

    going = True if cond is None else _known(cond)
    count = None if trip_count is None else _known(trip_count)
    endless = trip_count is None or (count is not None and count >= FOREVER)
    # As Python, where that is short or all that can be.
    why = "it carries a sequence or an optional" if any(v is None or isinstance(v, list) for v in carried) else ""
    if going is False or why or (count is not None and count <= LONGEST_WRITTEN_OUT):
        steps = 0 if going is False else count
        result = None if steps is None or going is None else _written_out(step, _numbers(steps, why), carried)
        if result is not None:
            return result
        if why:
            raise UnsupportedError(f"{why}, and how often it runs is not known")
    carried = [tensor(value) for value in carried]
    trial = _recorded(step, [_number], carried)
    if not trial.keeps_shapes():
        why = "the shape of what it carries changes"
        result = None if count is None or going is None else _written_out(step, _numbers(count, why), carried)
        if result is None:
            raise UnsupportedError(f"{why}, and how often it runs is not known")
        return result
    conditional = going is not True or _known(trial.results.going) is not True
    if endless and not conditional:
        raise UnsupportedError("it never ends")
    if not trial.results.stacked:
        limit = None if endless else tensor(trip_count).reshape([])
        return tuple(_while(step, limit, cond, carried, conditional)[1])
    if conditional:
        limit = None if endless else tensor(trip_count).reshape([])
        steps, _ = _while(step, limit, cond, carried, conditional, detached=True)
        return _counted(step, steps.item(), carried)
    (number,) = entries(trip_count)
    return _counted(step, number, carried)


def _counted(step: Step, number: Size, carried: Sequence[Any]) -> tuple[Any, ...]:
    """Run `step` `number` times; return what it carries in the end, and what is stacked."""
    missing = _missing(number)
    # torch.export sees by the maximum that a computed number of steps is one at least.
    count = number if is_number(missing, 0) else record(torch.sym_max, number + missing, 1)
    return _scan(step, [record(torch.arange, count)], carried, number, missing)


@lower("Scan", since=9)
def scan(
    *initial_state_and_scan_inputs: torch.Tensor,
    body: ir.Graph,
    num_scan_inputs: int,
    scan_input_axes: tuple[int, ...] | None = None,
    scan_input_directions: tuple[int, ...] | None = None,
    scan_output_axes: tuple[int, ...] | None = None,
    scan_output_directions: tuple[int, ...] | None = None,
    context: Context,
) -> tuple[Any, ...]:
    """Run `body` on one slice of each scan input after the other; return its final state and what it stacks."""
    split = len(initial_state_and_scan_inputs) - num_scan_inputs
    state, scanned = list(initial_state_and_scan_inputs[:split]), initial_state_and_scan_inputs[split:]
    axes = scan_input_axes or (0,) * num_scan_inputs
    directions = scan_input_directions or (0,) * num_scan_inputs
    xs = [_moved(x, axis_from_start(axis, x), 0) for x, axis in zip(scanned, axes, strict=True)]
    xs = [torch.flip(x, [0]) if backward else x for x, backward in zip(xs, directions, strict=True)]

    def step(slices: Sequence[Any], before: Sequence[Any]) -> Results:
        results = context.run(body, *before, *slices)
        return Results(np.array(True), results[:split], results[split:])

    results = _along(step, xs, state)
    stacked = results[split:]
    axes = scan_output_axes or (0,) * len(stacked)
    directions = scan_output_directions or (0,) * len(stacked)
    stacked = tuple(torch.flip(x, [0]) if backward else x for x, backward in zip(stacked, directions, strict=True))
    ends = (_moved(x, 0, axis_from_start(axis, x)) for x, axis in zip(stacked, axes, strict=True))
    return *results[:split], *ends


def _moved(x: torch.Tensor, source: int, destination: int) -> torch.Tensor:
    return x if source == destination else torch.movedim(x, source, destination)


def repeat_while(step: Callable[[Sequence[Any]], tuple[Any, Sequence[Any]]], state: Sequence[Any]) -> tuple[Any, ...]:
    """Carry `state` through `step` until that says False; `step` is run once at least.

    `step` returns whether to go on, a bool tensor without axes, and the tensors to carry, of unchanged shapes.
    """
    if not is_recording():
        going: Any = True
        while going:
            going, state = step(state)
        return tuple(state)

    def counted(_: Sequence[Any], before: Sequence[Any]) -> Results:
        further, after = step(before)
        return Results(further, list(after), [])

    return _while(counted, None, None, state, conditional=True)[1]


def over_time(
    step: Callable[[Sequence[Any], Sequence[Any]], tuple[Sequence[Any], Any]],
    inputs: Sequence[Any],
    state: Sequence[Any],
) -> tuple[Any, ...]:
    """Carry `state` through `step` at each time of `inputs`, each [T, ...]; return it, and the outputs [T, ...].

    `step` takes what the inputs hold at one time and the state before it, and returns the state after it and an output.
    """

    def timed(now: Sequence[Any], before: Sequence[Any]) -> Results:
        after, output = step(now, before)
        return Results(np.array(True), list(after), [output])

    return _along(timed, list(inputs), state)


def _along(step: Step, xs: list[Any], carried: Sequence[Any]) -> tuple[Any, ...]:
    """Run `step` on one slice of each of `xs`, [T, ...], after the other.

    Returns what it carries in the end, and what is stacked, [T, ...]. Raises `UnsupportedError` where a step changes
    the shape of what it carries.
    """
    length = xs[0].size(0)
    if isinstance(length, int) and (length <= LONGEST_WRITTEN_OUT or not is_recording()):
        written = _written_out(step, [[x[i] for x in xs] for i in range(length)], carried)
        assert written is not None
        return written
    if not _recorded(step, [_slices(x) for x in xs], carried).keeps_shapes():
        raise UnsupportedError("the shape of what it carries changes")
    missing = _missing(length)
    return _scan(step, [_with_rows(x, 0, missing) for x in xs], carried, length, missing)


# What a value is in each world of the outer graph.
_Examples = Callable[[int], Sequence[Any]]


def _number(worlds: int) -> Sequence[Any]:
    return [torch.empty([], dtype=torch.int64, device="meta")] * worlds


def _slices(x: Any) -> _Examples:
    return lambda _: [world if world is DEAD else world.new_empty(world.shape[1:]) for world in x.worlds]


@dataclass(frozen=True)
class _Recorded:
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


def _recorded(step: Step, inputs: Sequence[_Examples], carried: Sequence[Any]) -> _Recorded:
    outer = builder()
    inner = Builder(outer.root, outer.sizes, outer)
    slots = [inner.placeholder(f"x_{i}", examples(len(outer.sizes))) for i, examples in enumerate(inputs)]
    state = [inner.placeholder(f"state_{i}", value.worlds) for i, value in enumerate(carried)]
    with inner.recording():
        results = step(slots, state)
        for result in (*results.carried, *results.stacked):
            _computed(result, "a step of a loop returns")
    return _Recorded(inner, slots, state, results)


def _missing(number: Size) -> Size:
    """Return how many steps a scan of `number` steps lacks: 1 where there are none, 0 otherwise.

    torch.export takes sizes for 2 or more; this expression it keeps.
    """
    return 0 if isinstance(number, int) and number else 1 // (number + 1)


def _with_rows(x: Any, axis: int, count: Size) -> Any:
    """Return `x` with `count` more zeros at the end of `axis`."""
    if is_number(count, 0):
        return x
    zeros = x.new_zeros([count if i == axis else size for i, size in enumerate(x.shape)])
    return torch.cat([x, zeros], axis)


def _scan(step: Step, xs: list[Any], carried: Sequence[Any], number: Size, missing: Size) -> tuple[Any, ...]:
    """Run `step` on each slice of `xs`; return what it carries in the end, and what is stacked.

    What comes of the slices after the first `number`, which are `missing` of them, is dropped.
    """
    outer = builder()
    body = _recorded(step, [_slices(x) for x in xs], carried)
    with body.graph.recording():
        results = _unshared([tensor(value) for value in (*body.results.carried, *body.results.stacked)])
        body.graph.graph.output(body.graph.create_arg(tuple(results)))
    captured = _captured(body.graph)
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
            value = _with_rows(value, axis, count)
    return value


def _while(
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
    body = _recorded(step, [_number], carried)
    before: list[Any] = [body.inputs[0]]
    with body.graph.recording():
        after = [before[0] + 1]
        if conditional:
            before.append(body.graph.placeholder("going", start[1].worlds))
            after.append(tensor(body.results.going).reshape([]))
        results = _unshared([*after, *(tensor(value) for value in body.results.carried)])
        body.graph.graph.output(body.graph.create_arg(tuple(results)))
    captured = _captured(test, body.graph)
    test.take([*slots, *captured])
    body.graph.take([*before, *body.state, *captured])
    states: list[Any] = [*start, *carried]
    taken: list[Any] = list(captured)
    if detached:
        states, taken = ([value.detach() for value in values] for values in (states, taken))
    call = (outer.hold(test, "going_on"), outer.hold(body.graph, "step"), tuple(states), tuple(taken))
    number, *final = outer.record("call_function", torch.ops.higher_order.while_loop, call, {})
    return number, tuple(final[1:] if conditional else final)


def _numbers(count: int, why: str) -> list[list[Any]]:
    if count > LONGEST_UNROLLED:
        raise UnsupportedError(f"{why}, and it runs {count} times")
    return [[np.array(number, np.int64)] for number in range(count)]


def _written_out(step: Step, inputs: Sequence[Sequence[Any]], carried: Sequence[Any]) -> tuple[Any, ...] | None:
    """Write the steps out one after the other; None where one of them computes whether it is the last one."""
    stacks: list[list[Any]] = []
    for own in inputs:
        results = step(own, carried)
        carried = results.carried
        stacks = stacks or [[] for _ in results.stacked]
        for stack, result in zip(stacks, results.stacked, strict=True):
            stack.append(tensor(result))
        going = _known(results.going)
        if going is None:
            return None
        if not going:
            break
    if not inputs:
        return None if _stacks_something(step, carried) else tuple(carried)
    return *carried, *(torch.stack(stack) for stack in stacks)


def _stacks_something(step: Step, carried: Sequence[Any]) -> bool:
    return any(isinstance(v, list) or v is None for v in carried) or bool(
        _recorded(step, [_number], [tensor(value) for value in carried]).results.stacked
    )


def _known(value: Any) -> Any:
    """Return the number or truth value that a host value of one element holds; None for what is computed."""
    return value.item() if isinstance(value, np.ndarray) else None


def _computed(result: Any, who: str) -> Any:
    if result is None or isinstance(result, list):
        raise UnsupportedError(f"{who} a sequence or an optional, and how it runs is computed")
    return tensor(result)


def _captured(*graphs: Builder) -> list[Value]:
    """Return what `graphs` take from outside, each once."""
    operands: list[Value] = []
    for graph in graphs:
        for value in graph.captured:
            if not any(value is other for other in operands):
                operands.append(value)
    return operands


def _unshared(results: Sequence[Any]) -> list[Any]:
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
