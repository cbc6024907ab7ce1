"""Fourier transforms and arithmetic of complex numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tests.converters.tf_to_onnx.cases import check, exported, floats, refuses
from translate.errors import UnsupportedError

Z = tf.constant(np.random.default_rng(3).normal(size=(3, 8, 2)).astype(np.float32).view(np.complex64)[..., 0])


def parts(z: Any) -> Any:
    return tf.math.real(z), tf.math.imag(z)


def pairs(x: Any) -> Any:
    """Complex numbers `[batch, 3, 8]` of real ones `[batch, 3, 16]`."""
    return tf.complex(x[..., :8], x[..., 8:])


@pytest.mark.parametrize("length", [8, 6, 11])
def test_real_transforms(length: int) -> None:
    check(lambda x: parts(tf.signal.rfft(x, [length])), floats("batch", 8), atol=1e-5)
    check(lambda x: tf.signal.irfft(tf.signal.rfft(x * x), [length]), floats("batch", 3, 8), atol=1e-5)


def test_a_signal_alone() -> None:
    check(lambda x: tf.abs(tf.signal.rfft(x)), floats("samples"), atol=1e-5, sizes=[{"samples": 8}, {"samples": 5}])


@pytest.mark.parametrize("transform", [tf.signal.fft, tf.signal.ifft, tf.signal.fft2d, tf.signal.ifft2d])
def test_complex_transforms(transform: Callable[[Any], Any]) -> None:
    check(lambda x: parts(transform(pairs(x))), floats("batch", 3, 16), atol=1e-5)


def test_transforms_of_two_axes() -> None:
    check(lambda x: parts(tf.signal.rfft2d(x)), floats("batch", 6, 8), atol=1e-5)
    check(lambda x: tf.signal.irfft2d(tf.signal.rfft2d(x), [6, 8]), floats("batch", 6, 8), atol=1e-5)


@pytest.mark.parametrize(
    "function",
    [
        lambda z: z * Z + z,
        lambda z: (Z - z) / (Z + 3.0),
        lambda z: -tf.square(z) * tf.cast(2.0, tf.complex64),
        lambda z: tf.exp(z),
        lambda z: tf.math.conj(z) @ tf.transpose(Z),
        lambda z: tf.matmul(z, Z, adjoint_b=True),
        lambda z: tf.reduce_sum(z, -1),
        lambda z: tf.reduce_mean(z, [1], keepdims=True),
    ],
)
def test_arithmetic(function: Callable[[Any], Any]) -> None:
    check(lambda x: parts(function(pairs(x))), floats("batch", 3, 16), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "function",
    [
        lambda z: tf.reshape(z, [-1, 24]),
        lambda z: tf.transpose(z, [2, 0, 1]),
        lambda z: tf.expand_dims(z, -1),
        lambda z: tf.squeeze(z[:, :1], 1),
        lambda z: tf.concat([z, z[..., 1:]], -1),
        lambda z: tf.stack([z, z], -1),
        lambda z: z[..., 2:5],
        lambda z: z[:, 1, tf.newaxis, ::2],
        lambda z: tf.slice(z, [0, 1, 2], [-1, 2, 3]),
        lambda z: tf.gather(z, [2, 0], axis=-1),
        lambda z: tf.pad(z, [[0, 0], [1, 0], [0, 2]]),
        lambda z: tf.tile(z, [1, 2, 1]),
        lambda z: z + tf.zeros_like(z),
    ],
)
def test_moving(function: Callable[[Any], Any]) -> None:
    check(lambda x: parts(function(pairs(x))), floats("batch", 3, 16))


def test_magnitude_and_angle() -> None:
    check(lambda x: (tf.abs(pairs(x)), tf.math.angle(pairs(x))), floats("batch", 3, 16), rtol=1e-4)


def test_spectrograms() -> None:
    check(lambda x: tf.abs(tf.signal.stft(x, 8, 4, fft_length=8)), floats("batch", 40), atol=1e-5)
    check(lambda x: tf.signal.inverse_stft(tf.signal.stft(x, 8, 4), 8, 4), floats("batch", 40), atol=1e-5, static=False)


def test_complex_inputs_and_outputs_are_refused() -> None:
    with pytest.raises(UnsupportedError, match="complex numbers"):
        exported(lambda x: tf.signal.rfft(x), [floats("batch", 8)])
    refuses(lambda x: tf.math.real(tf.sqrt(pairs(x))), floats("batch", 3, 16), match="no ONNX lowering")
