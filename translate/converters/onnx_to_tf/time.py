"""One loop over time, for everything that carries a state from step to step."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import tensorflow as tf

from translate.converters.onnx_to_tf.shapes import dims

# What is carried from step to step.
State = tuple[tf.Tensor, ...]
# From the time, what the inputs hold then, and the state before, to the output and the state after.
Step = Callable[[int | tf.Tensor, Sequence[tf.Tensor], State], tuple[tf.Tensor, State]]


def over_time(
    step: Step, inputs: Sequence[tf.Tensor], state: State, output_shape: tf.TensorShape, *, backwards: bool = False
) -> tuple[tf.Tensor, State]:
    """Run `step` at each time of the inputs, each [T, ...], last time first if `backwards`.

    `output_shape` is what is known of the shape of one output, whose dtype is that of the first input. Returns the
    outputs, [T, *output_shape] in the order of the inputs, and the last state. Gradients flow through it.
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

    arrays = [tf.TensorArray(one.dtype, size=steps, element_shape=one.shape[1:]).unstack(one) for one in inputs]
    outputs = tf.TensorArray(inputs[0].dtype, size=steps, element_shape=output_shape)

    def body(count: tf.Tensor, outputs: tf.TensorArray, before: State) -> tuple[tf.Tensor, tf.TensorArray, State]:
        time = steps - 1 - count if backwards else count
        output, after = shaped(time, [array.read(time) for array in arrays], before)
        # In the order in which they are made: such a list is one that a loop fills from its first element on.
        return count + 1, outputs.write(count, output), after

    _, outputs, state = tf.while_loop(
        lambda count, *_: count < steps, body, (tf.constant(0), outputs, state), maximum_iterations=steps
    )
    result = tf.reverse(outputs.stack(), [0]) if backwards else outputs.stack()
    result.set_shape(inputs[0].shape[:1].concatenate(output_shape))
    return result, state
