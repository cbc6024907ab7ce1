"""Optimizers of the training preview: each updates any number of parameters at once."""

from __future__ import annotations

from typing import Literal

import torch

from translate.converters.onnx_to_torch.table import lower
from translate.converters.operators.training import each

DOMAIN = "ai.onnx.preview.training"


@lower("Adagrad", domain=DOMAIN)
def adagrad(
    r: torch.Tensor,
    t: torch.Tensor,
    *inputs: torch.Tensor,
    decay_factor: float = 0.0,
    epsilon: float = 1e-06,
    norm_coefficient: float = 0.0,
) -> tuple[torch.Tensor, ...]:
    """Take one step of Adagrad.

    `r` is the learning rate and `t` the count of steps, both scalars; `inputs` are all parameters, then all their
    gradients, then all sums of squared gradients. Returns the new parameters, then the new sums.
    """
    rate = r / (1 + decay_factor * t)

    def step(x: torch.Tensor, gradient: torch.Tensor, squares: torch.Tensor) -> tuple[torch.Tensor, ...]:
        regularised = norm_coefficient * x + gradient
        squares = squares + regularised * regularised
        return x - rate * regularised / (torch.sqrt(squares) + epsilon), squares

    return each(step, inputs, 3)


@lower("Adam", domain=DOMAIN)
def adam(
    r: torch.Tensor,
    t: torch.Tensor,
    *inputs: torch.Tensor,
    alpha: float = 0.9,
    beta: float = 0.999,
    epsilon: float = 1e-06,
    norm_coefficient: float = 0.0,
    norm_coefficient_post: float = 0.0,
) -> tuple[torch.Tensor, ...]:
    """Take one step of Adam.

    `r` is the learning rate and `t` the count of steps, both scalars; `inputs` are all parameters, then all their
    gradients, momentums and squared momentums. Returns the new parameters, momentums and squared momentums.
    """
    corrected = r * torch.sqrt(1 - torch.pow(beta, t)) / (1 - torch.pow(alpha, t))
    rate = torch.where(t > 0, corrected, r)

    def step(
        x: torch.Tensor, gradient: torch.Tensor, momentum: torch.Tensor, squares: torch.Tensor
    ) -> tuple[torch.Tensor, ...]:
        regularised = norm_coefficient * x + gradient
        momentum = alpha * momentum + (1 - alpha) * regularised
        squares = beta * squares + (1 - beta) * regularised * regularised
        x = x - rate * momentum / (torch.sqrt(squares) + epsilon)
        return (1 - norm_coefficient_post) * x, momentum, squares

    return each(step, inputs, 4)


@lower("Momentum", domain=DOMAIN)
def momentum(
    r: torch.Tensor,
    t: torch.Tensor,
    *inputs: torch.Tensor,
    alpha: float,
    beta: float,
    mode: Literal["standard", "nesterov"],
    norm_coefficient: float,
) -> tuple[torch.Tensor, ...]:
    """Take one step of gradient descent with momentum, plain or after Nesterov.

    `r` is the learning rate and `t` the count of steps, both scalars; `inputs` are all parameters, then all their
    gradients, then all momentums. Returns the new parameters, then the new momentums.
    """
    # The first step takes the gradient as it is.
    weight = torch.where(t > 0, beta, 1.0)

    def step(x: torch.Tensor, gradient: torch.Tensor, velocity: torch.Tensor) -> tuple[torch.Tensor, ...]:
        regularised = norm_coefficient * x + gradient
        velocity = alpha * velocity + weight * regularised
        direction = regularised + alpha * velocity if mode == "nesterov" else velocity
        return x - r * direction, velocity

    return each(step, inputs, 3)
