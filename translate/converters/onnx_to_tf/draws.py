"""Where random numbers come from while a graph is built: TensorFlow's own, a generator's, or nobody's."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import tensorflow as tf


class Draws:
    """TensorFlow's own random numbers. A seed in the model makes the sequence of runs repeatable."""

    def uniform(self, shape: Any, low: float, high: float, dtype: tf.DType, seed: int | None) -> tf.Tensor:
        """Draw evenly from `low` up to, not including, `high`."""
        return tf.random.uniform(shape, low, high, dtype, seed)

    def normal(self, shape: Any, mean: float, deviation: float, dtype: tf.DType, seed: int | None) -> tf.Tensor:
        """Draw from a normal distribution."""
        return tf.random.normal(shape, mean, deviation, dtype, seed)

    def happens(self, probability: tf.Tensor, shape: Any, seed: int | None) -> tf.Tensor:
        """Draw True with `probability`, which broadcasts to `shape`."""
        return self.uniform(shape, 0, 1, probability.dtype, seed) < probability


class GeneratorDraws(Draws):
    """Those of a `tf.random.Generator`, whose state is a variable, and so is saved, restored and set.

    `used` says whether any were drawn. Seeds in the model are left out: they would make every call the same.
    """

    def __init__(self) -> None:
        self.generator = tf.random.Generator.from_seed(0, alg="philox")
        self.used = False

    def uniform(self, shape: Any, low: float, high: float, dtype: tf.DType, seed: int | None) -> tf.Tensor:
        """Draw evenly from `low` up to, not including, `high`."""
        self.used = True
        return self.generator.uniform(shape, low, high, dtype)

    def normal(self, shape: Any, mean: float, deviation: float, dtype: tf.DType, seed: int | None) -> tf.Tensor:
        """Draw from a normal distribution."""
        self.used = True
        return self.generator.normal(shape, mean, deviation, dtype)


class FixedDraws(Draws):
    """No chance: what may happen does, uniform numbers are the middle, normal ones the mean and one deviation more.

    `translate.models.fixed_draws` does the same in PyTorch, so that what is random otherwise can be compared.
    """

    def uniform(self, shape: Any, low: float, high: float, dtype: tf.DType, seed: int | None) -> tf.Tensor:
        """Return the middle of `low` and `high`."""
        return tf.fill(shape, tf.constant((low + high) / 2, dtype))

    def normal(self, shape: Any, mean: float, deviation: float, dtype: tf.DType, seed: int | None) -> tf.Tensor:
        """Return `mean` + `deviation`."""
        return tf.fill(shape, tf.constant(mean + deviation, dtype))

    def happens(self, probability: tf.Tensor, shape: Any, seed: int | None) -> tf.Tensor:
        """Return True where the probability is not zero."""
        return tf.broadcast_to(probability > 0, shape)


_DRAWS: ContextVar[Draws] = ContextVar("draws")


def draws() -> Draws:
    """Return what lowerings draw random numbers from."""
    return _DRAWS.get(Draws())


@contextmanager
def drawing_from(source: Draws) -> Iterator[None]:
    """Let lowerings draw from `source` meanwhile."""
    token = _DRAWS.set(source)
    try:
        yield
    finally:
        _DRAWS.reset(token)
