"""Control flow: If, Loop and Scan, as the branch that is taken, as steps written out, or as PyTorch's own operators.

A loop that stacks what its steps make becomes a `scan`. Where a condition ends it, a `while_loop` runs first, to find
out after how many steps.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnx_ir as ir
import torch

from translate.converters.lowering import Context
from translate.converters.onnx_to_torch.builder import Builder
from translate.converters.onnx_to_torch.loops import (
    Results,
    Step,
    captured_by,
    computed,
    known,
    missing_steps,
    number_of_step,
    record_step,
    run_scan,
    run_while,
    slices,
    unshare,
    with_rows,
    write_out,
)
from translate.converters.onnx_to_torch.shapes import Size, axis_from_start, entries, is_number, tensor
from translate.converters.onnx_to_torch.table import lower
from translate.converters.onnx_to_torch.values import builder, is_recording, record
from translate.errors import UnsupportedError

# So many steps are easier to read, and faster, one after the other than as a loop.
LONGEST_WRITTEN_OUT = 4
# A loop that PyTorch cannot express is written out up to this many steps.
LONGEST_UNROLLED = 256
# Trip counts from here on mean that only the condition ends the loop.
FOREVER = 2**31 - 1


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
            results = [computed(result, "a branch returns") for result in context.run(graph)]
            branch.graph.output(branch.create_arg(tuple(unshare(results))))
    operands = captured_by(*branches)
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

    going = True if cond is None else known(cond)
    count = None if trip_count is None else known(trip_count)
    endless = trip_count is None or (count is not None and count >= FOREVER)
    # As Python, where that is short or all that can be.
    why = "it carries a sequence or an optional" if any(v is None or isinstance(v, list) for v in carried) else ""
    if going is False or why or (count is not None and count <= LONGEST_WRITTEN_OUT):
        steps = 0 if going is False else count
        result = None if steps is None or going is None else write_out(step, _numbers(steps, why), carried)
        if result is not None:
            return result
        if why:
            raise UnsupportedError(f"{why}, and how often it runs is not known")
    carried = [tensor(value) for value in carried]
    trial = record_step(step, [number_of_step], carried)
    if not trial.keeps_shapes():
        why = "the shape of what it carries changes"
        result = None if count is None or going is None else write_out(step, _numbers(count, why), carried)
        if result is None:
            raise UnsupportedError(f"{why}, and how often it runs is not known")
        return result
    conditional = going is not True or known(trial.results.going) is not True
    if endless and not conditional:
        raise UnsupportedError("it never ends")
    if not trial.results.stacked:
        limit = None if endless else tensor(trip_count).reshape([])
        return tuple(run_while(step, limit, cond, carried, conditional)[1])
    if conditional:
        limit = None if endless else tensor(trip_count).reshape([])
        steps, _ = run_while(step, limit, cond, carried, conditional, detached=True)
        return _counted(step, steps.item(), carried)
    (number,) = entries(trip_count)
    return _counted(step, number, carried)


def _counted(step: Step, number: Size, carried: Sequence[Any]) -> tuple[Any, ...]:
    """Run `step` `number` times; return what it carries in the end, and what is stacked."""
    missing = missing_steps(number)
    # torch.export sees by the maximum that a computed number of steps is one at least.
    count = number if is_number(missing, 0) else record(torch.sym_max, number + missing, 1)
    return run_scan(step, [record(torch.arange, count)], carried, number, missing)


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

    return run_while(counted, None, None, state, conditional=True)[1]


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
        written = write_out(step, [[x[i] for x in xs] for i in range(length)], carried)
        assert written is not None
        return written
    if not record_step(step, [slices(x) for x in xs], carried).keeps_shapes():
        raise UnsupportedError("the shape of what it carries changes")
    missing = missing_steps(length)
    return run_scan(step, [with_rows(x, 0, missing) for x in xs], carried, length, missing)


def _numbers(count: int, why: str) -> list[list[Any]]:
    if count > LONGEST_UNROLLED:
        raise UnsupportedError(f"{why}, and it runs {count} times")
    return [[np.array(number, np.int64)] for number in range(count)]
