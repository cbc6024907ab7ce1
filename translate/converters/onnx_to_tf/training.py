"""Optimizers of the training preview: each updates any number of parameters at once."""

from __future__ import annotations

from typing import Literal

import tensorflow as tf

from translate.converters.onnx_to_tf.table import lower
from translate.converters.operators.training import each

DOMAIN = "ai.onnx.preview.training"


@lower("Adagrad", domain=DOMAIN)
def adagrad(
    r: tf.Tensor,
    t: tf.Tensor,
    *inputs: tf.Tensor,
    decay_factor: float = 0.0,
    epsilon: float = 1e-06,
    norm_coefficient: float = 0.0,
) -> tuple[tf.Tensor, ...]:
    """Take one step of Adagrad.

    `r` is the learning rate and `t` the count of steps, both scalars; `inputs` are all parameters, then all their
    gradients, then all sums of squared gradients. Returns the new parameters, then the new sums.
    """
    rate = r / (1 + decay_factor * tf.cast(t, r.dtype))

    def step(x: tf.Tensor, gradient: tf.Tensor, squares: tf.Tensor) -> tuple[tf.Tensor, ...]:
        regularised = norm_coefficient * x + gradient
        squares = squares + regularised * regularised
        return x - rate * regularised / (tf.sqrt(squares) + epsilon), squares

    return each(step, inputs, 3)


@lower("Adam", domain=DOMAIN)
def adam(
    r: tf.Tensor,
    t: tf.Tensor,
    *inputs: tf.Tensor,
    alpha: float = 0.9,
    beta: float = 0.999,
    epsilon: float = 1e-06,
    norm_coefficient: float = 0.0,
    norm_coefficient_post: float = 0.0,
) -> tuple[tf.Tensor, ...]:
    """Take one step of Adam.

    `r` is the learning rate and `t` the count of steps, both scalars; `inputs` are all parameters, then all their
    gradients, momentums and squared momentums. Returns the new parameters, momentums and squared momentums.
    """
    steps = tf.cast(t, r.dtype)
    corrected = r * tf.sqrt(1 - tf.pow(tf.cast(beta, r.dtype), steps)) / (1 - tf.pow(tf.cast(alpha, r.dtype), steps))
    rate = tf.where(t > 0, corrected, r)

    def step(x: tf.Tensor, gradient: tf.Tensor, momentum: tf.Tensor, squares: tf.Tensor) -> tuple[tf.Tensor, ...]:
        regularised = norm_coefficient * x + gradient
        momentum = alpha * momentum + (1 - alpha) * regularised
        squares = beta * squares + (1 - beta) * regularised * regularised
        x = x - rate * momentum / (tf.sqrt(squares) + epsilon)
        return (1 - norm_coefficient_post) * x, momentum, squares

    return each(step, inputs, 4)


@lower("Momentum", domain=DOMAIN)
def momentum(
    r: tf.Tensor,
    t: tf.Tensor,
    *inputs: tf.Tensor,
    alpha: float,
    beta: float,
    mode: Literal["standard", "nesterov"],
    norm_coefficient: float,
) -> tuple[tf.Tensor, ...]:
    """Take one step of gradient descent with momentum, plain or after Nesterov.

    `r` is the learning rate and `t` the count of steps, both scalars; `inputs` are all parameters, then all their
    gradients, then all momentums. Returns the new parameters, then the new momentums.
    """
    # The first step takes the gradient as it is.
    weight = tf.where(t > 0, tf.cast(beta, r.dtype), tf.ones([], r.dtype))

    def step(x: tf.Tensor, gradient: tf.Tensor, velocity: tf.Tensor) -> tuple[tf.Tensor, ...]:
        regularised = norm_coefficient * x + gradient
        velocity = alpha * velocity + weight * regularised
        direction = regularised + alpha * velocity if mode == "nesterov" else velocity
        return x - r * direction, velocity

    return each(step, inputs, 3)
