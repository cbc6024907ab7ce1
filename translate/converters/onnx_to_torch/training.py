"""Optimizers of the training preview: each updates any number of parameters at once."""

from __future__ import annotations

from typing import Literal

import torch

from translate.converters.onnx_to_torch.table import lower

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
    count = len(inputs) // 3
    rate = r / (1 + decay_factor * t)
    new_parameters, new_squares = [], []
    for x, gradient, squares in zip(*(inputs[i * count : (i + 1) * count] for i in range(3)), strict=True):
        regularised = norm_coefficient * x + gradient
        squares = squares + regularised * regularised
        new_parameters.append(x - rate * regularised / (torch.sqrt(squares) + epsilon))
        new_squares.append(squares)
    return (*new_parameters, *new_squares)


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
    count = len(inputs) // 4
    corrected = r * torch.sqrt(1 - torch.pow(beta, t)) / (1 - torch.pow(alpha, t))
    rate = torch.where(t > 0, corrected, r)
    new_parameters, new_momentums, new_squares = [], [], []
    for x, gradient, momentum, squares in zip(*(inputs[i * count : (i + 1) * count] for i in range(4)), strict=True):
        regularised = norm_coefficient * x + gradient
        momentum = alpha * momentum + (1 - alpha) * regularised
        squares = beta * squares + (1 - beta) * regularised * regularised
        x = x - rate * momentum / (torch.sqrt(squares) + epsilon)
        new_parameters.append((1 - norm_coefficient_post) * x)
        new_momentums.append(momentum)
        new_squares.append(squares)
    return (*new_parameters, *new_momentums, *new_squares)


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
    count = len(inputs) // 3
    # The first step takes the gradient as it is.
    weight = torch.where(t > 0, beta, 1.0)
    new_parameters, new_momentums = [], []
    for x, gradient, velocity in zip(*(inputs[i * count : (i + 1) * count] for i in range(3)), strict=True):
        regularised = norm_coefficient * x + gradient
        velocity = alpha * velocity + weight * regularised
        step = regularised + alpha * velocity if mode == "nesterov" else velocity
        new_parameters.append(x - r * step)
        new_momentums.append(velocity)
    return (*new_parameters, *new_momentums)
