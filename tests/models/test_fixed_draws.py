"""PyTorch without chance: the numbers that stand for random ones."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn
from torch.nn import functional

from translate.errors import UsageError
from translate.models.fixed_draws import fixed_draws

X = torch.arange(1.0, 7.0).reshape(2, 3)


@pytest.mark.parametrize(
    ("draw", "expected"),
    [
        (lambda: functional.dropout(X, 0.5, training=True), 2 * X),
        (lambda: functional.dropout(X, 0.2, training=True), X / 0.8),
        (lambda: functional.dropout(X, 1.0, training=True), 0 * X),
        (lambda: functional.dropout(X, 0.5, training=False), X),
        (lambda: functional.dropout1d(X, 0.75, training=True), 4 * X),
        (lambda: torch.native_dropout(X, 0.2, True)[0], X / 0.8),
        (lambda: torch.empty(2, 3).bernoulli_(), torch.ones(2, 3)),
        (lambda: torch.empty(2, 3).bernoulli_(0.0), torch.zeros(2, 3)),
        (lambda: torch.bernoulli(torch.tensor([0.0, 0.1, 1.0])), torch.tensor([0.0, 1.0, 1.0])),
        (lambda: torch.empty(2).uniform_(2, 4), torch.full((2,), 3.0)),
        (lambda: torch.empty(2).normal_(1, 3), torch.full((2,), 4.0)),
        (lambda: torch.rand(2, 3), torch.full((2, 3), 0.5)),
        (lambda: torch.rand_like(X), torch.full((2, 3), 0.5)),
        (lambda: torch.randn(2, 3), torch.ones(2, 3)),
        (lambda: torch.randn_like(X), torch.ones(2, 3)),
    ],
)
def test_each_draw_is_one_known_number(draw: Callable[[], torch.Tensor], expected: torch.Tensor) -> None:
    with fixed_draws():
        torch.testing.assert_close(draw(), expected)


def test_layers_with_dropout_inside_repeat_themselves() -> None:
    lstm = nn.LSTM(3, 4, num_layers=2, dropout=0.5).train()
    encoder = nn.TransformerEncoderLayer(4, 2, 8, dropout=0.5).train()
    x = torch.rand(5, 2, 3)

    def run() -> torch.Tensor:
        result: torch.Tensor = encoder(lstm(x)[0])
        return result

    assert not torch.equal(run(), run())
    with fixed_draws():
        assert torch.equal(run(), run())


def test_gradients_see_the_same_numbers() -> None:
    x = X.clone().requires_grad_()
    with fixed_draws():
        functional.dropout(x, 0.2, training=True).sum().backward()
    torch.testing.assert_close(x.grad, torch.full_like(X, 1 / 0.8))


@pytest.mark.parametrize("draw", [lambda: torch.randperm(5), lambda: torch.multinomial(X, 1)])
def test_other_draws_are_refused(draw: Callable[[], torch.Tensor]) -> None:
    with fixed_draws(), pytest.raises(UsageError, match="random numbers"):
        draw()
