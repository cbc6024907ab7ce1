"""One loop over time, for everything that carries a state from step to step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from translate.converters.onnx_to_tf import lists
from translate.converters.onnx_to_tf.shapes import dims
from translate.converters.onnx_to_tf.windows import Size

# What is carried from step to step.
State = tuple[tf.Tensor, ...]
# From the time, what the inputs hold then, and the state before, to the output and the state after.
Step = Callable[[int | tf.Tensor, Sequence[tf.Tensor], State], tuple[tf.Tensor, State]]


def over_time(
    step: Step, inputs: Sequence[tf.Tensor], state: State, output_sizes: Sequence[Size], *, backwards: bool = False
) -> tuple[tf.Tensor, State]:
    """Run `step` at each time of the inputs, each [T, ...], last time first if `backwards`.

    `output_sizes` are those of one output, whose dtype is that of the first input. Returns the outputs,
    [T, *output_sizes] in the order of the inputs, and the last state. Gradients flow through it.
    """
    steps = dims(inputs[0])[0]

    def shaped(time: int | tf.Tensor, now: Sequence[tf.Tensor], before: State) -> tuple[tf.Tensor, State]:
        output, after = step(time, now, before)
        for new, old in zip(after, before, strict=True):
            new.set_shape(new.shape.merge_with(old.shape))
        return output, after

    if isinstance(steps, int) and steps == 1:
        output, state = shaped(0, [one[0] for one in inputs], state)
        return output[tf.newaxis], state

    readers = [lists.reader(one) for one in inputs]
    outputs = lists.empty(inputs[0].dtype, steps, output_sizes)

    def body(count: tf.Tensor, outputs: Any, before: State) -> tuple[tf.Tensor, Any, State]:
        time = steps - 1 - count if backwards else count
        output, after = shaped(time, [read(time) for read in readers], before)
        # In the order in which they are made: such a list is one that a loop fills from its first element on.
        return count + 1, lists.write(outputs, count, output), after

    _, outputs, state = tf.while_loop(
        lambda count, *_: count < steps, body, (tf.constant(0), outputs, state), maximum_iterations=steps
    )
    result = tf.reverse(lists.stack(outputs), [0]) if backwards else lists.stack(outputs)
    known = [size if isinstance(size, int) else None for size in output_sizes]
    result.set_shape(inputs[0].shape[:1].concatenate(known))
    return result, state
