"""Random numbers, drawn anew each time the translated model runs; `seed` makes the sequence of runs repeatable."""

from __future__ import annotations

import struct
from collections.abc import Sequence

import tensorflow as tf

from translate.converters.onnx_to_tf.cast import convert
from translate.converters.onnx_to_tf.draws import draws
from translate.converters.onnx_to_tf.dtypes import tf_dtype
from translate.converters.onnx_to_tf.table import lower


@lower("RandomNormal", deterministic=False)
def random_normal(
    *, dtype: int = 1, mean: float = 0.0, scale: float = 1.0, seed: float | None = None, shape: Sequence[int]
) -> tf.Tensor:
    """Draw from a normal distribution with mean `mean` and standard deviation `scale`; the result is of `shape`."""
    return draws().normal(shape, mean, scale, tf_dtype(dtype), _integer(seed))


@lower("RandomNormalLike", deterministic=False)
def random_normal_like(
    x: tf.Tensor, *, dtype: int | None = None, mean: float = 0.0, scale: float = 1.0, seed: float | None = None
) -> tf.Tensor:
    """Draw from a normal distribution with mean `mean` and standard deviation `scale`; the result is of x's shape."""
    result = draws().normal(tf.shape(x), mean, scale, _dtype(dtype, x), _integer(seed))
    return tf.ensure_shape(result, x.shape)


@lower("RandomUniform", deterministic=False)
def random_uniform(
    *, dtype: int = 1, high: float = 1.0, low: float = 0.0, seed: float | None = None, shape: Sequence[int]
) -> tf.Tensor:
    """Draw evenly from `low` up to, not including, `high`; the result is of `shape`."""
    return draws().uniform(shape, low, high, tf_dtype(dtype), _integer(seed))


@lower("RandomUniformLike", deterministic=False)
def random_uniform_like(
    x: tf.Tensor, *, dtype: int | None = None, high: float = 1.0, low: float = 0.0, seed: float | None = None
) -> tf.Tensor:
    """Draw evenly from `low` up to, not including, `high`; the result is of x's shape."""
    result = draws().uniform(tf.shape(x), low, high, _dtype(dtype, x), _integer(seed))
    return tf.ensure_shape(result, x.shape)


@lower("Bernoulli", since=15, deterministic=False)
def bernoulli(x: tf.Tensor, *, dtype: int | None = None, seed: float | None = None) -> tf.Tensor:
    """Draw 1 with the probability that each element of `x` gives, else 0; the shape is unchanged."""
    return convert(draws().happens(x, tf.shape(x), _integer(seed)), _dtype(dtype, x))


@lower("Multinomial", since=7, deterministic=False)
def multinomial(x: tf.Tensor, *, dtype: int = 6, sample_size: int = 1, seed: float | None = None) -> tf.Tensor:
    """Draw classes from unnormalised log-probabilities [N, classes]; returns their indices, [N, sample_size]."""
    return tf.random.categorical(x, sample_size, tf_dtype(dtype), _integer(seed))


def _dtype(dtype: int | None, x: tf.Tensor) -> tf.DType:
    return x.dtype if dtype is None else tf_dtype(dtype)


def _integer(seed: float | None) -> int | None:
    # TensorFlow's seeds are integers: take the bits, so that 0.25 and 0.5 stay two different seeds.
    return None if seed is None else int.from_bytes(struct.pack("<f", seed), "little")
