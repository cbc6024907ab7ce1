"""Control flow: If, Loop and Scan, as tf.cond and tf.while_loop."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir
import tensorflow as tf

from translate.converters.lowering import Context
from translate.converters.onnx_to_tf import lists
from translate.converters.onnx_to_tf.shapes import axis_from_start, dims, rank
from translate.converters.onnx_to_tf.table import lower
from translate.errors import UnsupportedError

# A loop that TensorFlow cannot express is written out, one copy of its body after the other, up to this many.
LONGEST_UNROLLED = 256
# Trip counts are counted in int32, which TensorFlow keeps off the accelerator; "for ever" is the largest.
FOREVER = np.iinfo(np.int32).max


@lower("If")
def if_(
    cond: tf.Tensor | np.ndarray, *, then_branch: ir.Graph, else_branch: ir.Graph, context: Context
) -> tuple[Any, ...]:
    """Run one of two graphs; only one of them becomes part of the model if `cond` is known when translating.

    Limits: where it is not known, sequences must be as long from both branches, and optionals not be empty.
    """
    if isinstance(cond, np.ndarray):
        return tuple(context.run(then_branch if cond.item() else else_branch))

    lengths = []

    def branch(graph: ir.Graph) -> Callable[[], list[Any]]:
        def run() -> list[Any]:
            results = _tensors(context.run(graph))
            lengths.append([len(result) for result in results if isinstance(result, list)])
            if lengths[0] != lengths[-1]:
                raise UnsupportedError(
                    "the branches return sequences of different lengths, and the condition is computed"
                )
            return results

        return run

    return tuple(tf.cond(tf.reshape(cond, []), branch(then_branch), branch(else_branch)))


@lower("Loop")
def loop(
    trip_count: tf.Tensor | np.ndarray | None = None,
    cond: tf.Tensor | np.ndarray | None = None,
    *v_initial: list[Any] | tf.Tensor | np.ndarray,
    body: ir.Graph,
    context: Context,
) -> tuple[Any, ...]:
    """Run `body` up to `trip_count` times while its first output holds; return what it carries and what it stacks.

    Limits: a loop that carries a sequence, or a tensor whose number of axes changes, must have a trip count and
    conditions that are known when translating.
    """
    carried = list(v_initial)

    def step(number: Any, state: Sequence[Any]) -> tuple[Any, list[Any], list[Any]]:
        going, *results = context.run(body, number, np.array(True), *state)
        return going, results[: len(carried)], results[len(carried) :]

    final, stacked = run_loop(step, trip_count, cond, carried)
    return *final, *stacked


@lower("Scan", since=9)
def scan(
    *initial_state_and_scan_inputs: tf.Tensor,
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
    state, scanned = initial_state_and_scan_inputs[:split], initial_state_and_scan_inputs[split:]
    axes = scan_input_axes or (0,) * num_scan_inputs
    directions = scan_input_directions or (0,) * num_scan_inputs
    scanned = tuple(_move_axis(x, axis_from_start(axis, x), 0) for x, axis in zip(scanned, axes, strict=True))
    scanned = tuple(tf.reverse(x, [0]) if backward else x for x, backward in zip(scanned, directions, strict=True))
    length = dims(scanned[0])[0]
    readers = [lists.reader(x) for x in scanned]

    def step(number: tf.Tensor, state: Sequence[Any]) -> tuple[Any, list[Any], list[Any]]:
        slices = [read(tf.cast(number, tf.int32)) for read in readers]
        results = context.run(body, *state, *slices)
        return np.array(True), results[:split], results[split:]

    final, stacked = run_loop(step, length, None, list(state))
    axes = scan_output_axes or (0,) * len(stacked)
    directions = scan_output_directions or (0,) * len(stacked)
    stacked = [tf.reverse(x, [0]) if backward else x for x, backward in zip(stacked, directions, strict=True)]
    return *final, *(_move_axis(x, 0, axis_from_start(axis, x)) for x, axis in zip(stacked, axes, strict=True))


def _move_axis(x: tf.Tensor, source: int, destination: int) -> tf.Tensor:
    order = [axis for axis in range(rank(x)) if axis != source]
    order.insert(destination, source)
    return x if order == sorted(order) else tf.transpose(x, order)


Step = Callable[[Any, Sequence[Any]], tuple[Any, list[Any], list[Any]]]


def run_loop(step: Step, trip_count: Any, cond: Any, carried: list[Any]) -> tuple[list[Any], list[tf.Tensor]]:
    """Repeat `step(number, carried) -> (go on, carried, to be stacked)` and return the last carried and the stacks.

    `number` is an int64 scalar. A trip count or a first condition of None does not limit the loop. Raises
    `UnsupportedError` for a loop that TensorFlow cannot express and that cannot be written out.
    """
    if any(value is None or isinstance(value, list) for value in carried):
        return _unrolled(step, trip_count, cond, carried, "it carries a sequence or an optional")
    carried = [tf.convert_to_tensor(value) for value in carried]
    traced = _trace(step, carried)
    if traced is None:
        return _unrolled(step, trip_count, cond, carried, "the number of axes of a carried tensor changes")
    count = FOREVER if trip_count is None else _int32(trip_count)
    # A number of steps that is known beforehand lets the stacks, and the gradient's, be made at their final size.
    counted = traced.runs_through and not (isinstance(count, int) and count == FOREVER)
    if counted and cond is not None:
        count = tf.where(_condition(cond), count, 0)
    arrays = [
        tf.TensorArray(spec.dtype, count if counted else 0, dynamic_size=not counted, element_shape=spec.shape)
        for spec in traced.elements
    ]

    def going_on(number: tf.Tensor, going: tf.Tensor, *_: Any) -> tf.Tensor:
        return number < count if counted else tf.logical_and(going, number < count)

    def body(number: tf.Tensor, _: tf.Tensor, state: list[tf.Tensor], arrays: list[Any]) -> tuple[Any, ...]:
        going, state, outputs = step(tf.cast(number, tf.int64), state)
        arrays = [array.write(number, output) for array, output in zip(arrays, outputs, strict=True)]
        return number + 1, _condition(going), [tf.convert_to_tensor(value) for value in state], arrays

    start = (tf.constant(0), _condition(True if cond is None else cond), carried, arrays)
    invariants = (tf.TensorShape([]), tf.TensorShape([]), traced.shapes, [tf.TensorShape([])] * len(arrays))
    number, _, carried, arrays = tf.while_loop(going_on, body, start, shape_invariants=invariants)
    return carried, [_stack(array, number, spec.shape) for array, spec in zip(arrays, traced.elements, strict=True)]


@dataclass(frozen=True)
class _Traced:
    """What one trial run of a loop's body shows.

    `shapes` are those of what the loop carries that hold before and after every step, `elements` says what is stacked;
    `runs_through` whether only the trip count ends the loop.
    """

    shapes: list[tf.TensorShape]
    elements: list[tf.TensorSpec]
    runs_through: bool


def _trace(step: Step, carried: Sequence[tf.Tensor]) -> _Traced | None:
    """Run the body on the side; None when it changes the number of axes of what it carries."""
    shapes = [value.shape for value in carried]
    runs_through = True

    def once(number: tf.Tensor, *state: tf.Tensor) -> Any:
        nonlocal runs_through
        going, *results = step(number, state)
        known = tf.get_static_value(going)
        runs_through = known is not None and bool(known)
        return tf.nest.map_structure(tf.convert_to_tensor, results)

    # Each turn makes a shape less specific, so that this ends.
    while True:
        specs = [tf.TensorSpec(shape, value.dtype) for shape, value in zip(shapes, carried, strict=True)]
        number = tf.TensorSpec([], tf.int64)
        after, elements = tf.function(once, autograph=False).get_concrete_function(number, *specs).structured_outputs
        wider = [one.most_specific_compatible_shape(other.shape) for one, other in zip(shapes, after, strict=True)]
        if any(new.rank is None and old.rank is not None for new, old in zip(wider, shapes, strict=True)):
            return None
        if all(new.rank is None or new.as_list() == old.as_list() for new, old in zip(wider, shapes, strict=True)):
            return _Traced(shapes, elements, runs_through)
        shapes = wider


def _stack(array: Any, count: tf.Tensor, shape: tf.TensorShape) -> tf.Tensor:
    if shape.is_fully_defined() or shape.rank is None:
        return array.stack()
    # TensorFlow cannot stack nothing without a shape; what the loop never made has size 0.
    nothing = tf.zeros([0, *(size or 0 for size in shape)], array.dtype)
    return tf.cond(count > 0, array.stack, lambda: nothing)


def _unrolled(
    step: Step, trip_count: Any, cond: Any, carried: list[Any], why: str
) -> tuple[list[Any], list[tf.Tensor]]:
    """Write the loop out, one copy of its body after the other."""
    count = None if trip_count is None else tf.get_static_value(trip_count)
    going = True if cond is None else tf.get_static_value(cond)
    if count is None or going is None:
        raise UnsupportedError(
            f"the loop cannot become TensorFlow's, because {why}, and how often it runs is not known"
        )
    if count > LONGEST_UNROLLED:
        raise UnsupportedError(f"the loop cannot become TensorFlow's, because {why}, and it runs {int(count)} times")
    stacks: list[list[Any]] = []
    for number in range(int(count) if going else 0):
        going, carried, outputs = step(np.array(number, np.int64), carried)
        stacks = stacks or [[] for _ in outputs]
        for stack, output in zip(stacks, outputs, strict=True):
            stack.append(output)
        going = tf.get_static_value(going)
        if going is None:
            raise UnsupportedError(f"the loop cannot become TensorFlow's, because {why}, and its condition is computed")
        if not going:
            break
    return carried, [tf.stack(stack) for stack in stacks]


def _int32(count: Any) -> int | tf.Tensor:
    known = tf.get_static_value(count)
    if known is not None:
        return min(int(np.asarray(known).item()), FOREVER)
    return tf.cast(tf.minimum(tf.reshape(count, []), tf.cast(FOREVER, count.dtype)), tf.int32)


def _condition(value: Any) -> tf.Tensor:
    return tf.reshape(value, [])


def _tensors(result: Any) -> Any:
    if result is None:
        raise UnsupportedError("a branch returns an empty optional, and the condition is computed")
    return [_tensors(item) for item in result] if isinstance(result, list) else tf.convert_to_tensor(result)
