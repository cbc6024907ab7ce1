"""Fourier transforms, windows and the mel scale."""

from __future__ import annotations

import math

import numpy as np
import tensorflow as tf

from translate.converters.onnx_to_tf.dtypes import tf_dtype
from translate.converters.onnx_to_tf.shapes import dims, rank
from translate.converters.onnx_to_tf.table import lower
from translate.converters.onnx_to_tf.widen import HALVES, widened
from translate.errors import UnsupportedError


@lower("DFT", since=17)
def dft_17(
    x: tf.Tensor,
    dft_length: tf.Tensor | np.ndarray | None = None,
    *,
    axis: int = 1,
    inverse: int = 0,
    onesided: int = 0,
) -> tf.Tensor:
    """Transform along `axis`: [..., n, ..., 1 or 2] to [..., dft_length, ..., 2], the last axis real and imaginary.

    `onesided` gives the first half of a real signal's spectrum, or with `inverse` turns one back, [..., 1].
    """
    return _dft(x, dft_length, axis % rank(x), bool(inverse), bool(onesided))


@lower("DFT", since=20)
def dft(
    x: tf.Tensor,
    dft_length: tf.Tensor | np.ndarray | None = None,
    axis: tf.Tensor | np.ndarray | None = None,
    *,
    inverse: int = 0,
    onesided: int = 0,
) -> tf.Tensor:
    """Transform along `axis`: [..., n, ..., 1 or 2] to [..., dft_length, ..., 2], the last axis real and imaginary.

    `onesided` gives the first half of a real signal's spectrum, or with `inverse` turns one back, [..., 1].
    """
    chosen = -2 if axis is None else _size(axis)
    return _dft(x, dft_length, chosen % rank(x), bool(inverse), bool(onesided))


@lower("STFT", since=17)
def stft(
    signal: tf.Tensor,
    frame_step: tf.Tensor | np.ndarray,
    window: tf.Tensor | None = None,
    frame_length: tf.Tensor | np.ndarray | None = None,
    *,
    onesided: int = 1,
) -> tf.Tensor:
    """Transform overlapping frames of `signal`, [N, samples, 1 or 2]; returns [N, frames, frequencies, 2].

    Limits: `onesided` of a complex signal is refused.
    """
    length: int | tf.Tensor = dims(signal)[1]
    if frame_length is not None:
        length = _size(frame_length)
    elif window is not None:
        length = dims(window)[0]
    frames = tf.signal.frame(signal, length, _size(frame_step), axis=1)
    if window is not None:
        frames = frames * tf.cast(window, frames.dtype)[:, tf.newaxis]
    return _dft(frames, None, 2, inverse=False, onesided=bool(onesided))


@lower("HannWindow", since=17)
def hann_window(size: tf.Tensor, *, output_datatype: int = 1, periodic: int = 1) -> tf.Tensor:
    """Return the Hann window, [size]: 0.5 - 0.5 cos(2 pi n / N), N being `size` if periodic, else `size` - 1."""
    return _cosine_window(size, (0.5, -0.5), output_datatype, periodic)


@lower("HammingWindow", since=17)
def hamming_window(size: tf.Tensor, *, output_datatype: int = 1, periodic: int = 1) -> tf.Tensor:
    """Return the Hamming window, [size]: 25/46 - 21/46 cos(2 pi n / N), N being `size` if periodic, else `size` - 1."""
    return _cosine_window(size, (25 / 46, -21 / 46), output_datatype, periodic)


@lower("BlackmanWindow", since=17)
def blackman_window(size: tf.Tensor, *, output_datatype: int = 1, periodic: int = 1) -> tf.Tensor:
    """Return the Blackman window, [size]: 0.42 - 0.5 cos(2 pi n / N) + 0.08 cos(4 pi n / N), N as for Hann."""
    return _cosine_window(size, (0.42, -0.5, 0.08), output_datatype, periodic)


@lower("MelWeightMatrix", since=17)
def mel_weight_matrix(
    num_mel_bins: tf.Tensor,
    dft_length: tf.Tensor,
    sample_rate: tf.Tensor,
    lower_edge_hertz: tf.Tensor,
    upper_edge_hertz: tf.Tensor,
    *,
    output_datatype: int = 1,
) -> tf.Tensor:
    """Return the weights from linear frequencies to mel bins, [dft_length // 2 + 1, num_mel_bins]; all inputs scalars.

    The mel of f hertz is 2595 log10(1 + f / 700); bins are triangles between bin centres rounded down to a frequency
    of the transform.
    """
    bins, length, rate = (tf.reshape(value, []) for value in (num_mel_bins, dft_length, sample_rate))
    low, high = (_mel(tf.reshape(value, [])) for value in (lower_edge_hertz, upper_edge_hertz))
    edges = tf.range(bins + 2)
    step = (high - low) / tf.cast(bins + 2, tf.float64)
    hertz = 700 * (tf.pow(tf.constant(10, tf.float64), (low + tf.cast(edges, tf.float64) * step) / 2595) - 1)
    points = tf.floor(tf.cast(length + 1, tf.float64) * hertz / tf.cast(rate, tf.float64))
    left, centre, right = points[:-2], points[1:-1], points[2:]
    frequency = tf.cast(tf.range(length // 2 + 1), tf.float64)[:, tf.newaxis]
    rising = tf.math.divide_no_nan(frequency - left, centre - left)
    falling = tf.math.divide_no_nan(right - frequency, right - centre)
    slope = tf.where(frequency < centre, rising, tf.where(frequency > centre, falling, 1))
    return tf.cast(tf.maximum(slope, 0), tf_dtype(output_datatype))


def _mel(hertz: tf.Tensor) -> tf.Tensor:
    return 2595 / math.log(10) * tf.math.log1p(tf.cast(hertz, tf.float64) / 700)


def _size(value: tf.Tensor | np.ndarray) -> int | tf.Tensor:
    return int(value.item()) if isinstance(value, np.ndarray) else tf.cast(tf.reshape(value, []), tf.int32)


@widened(*HALVES)
def _dft(
    x: tf.Tensor, length: tf.Tensor | np.ndarray | None, axis: int | tf.Tensor, inverse: bool, onesided: bool
) -> tf.Tensor:
    parts = x.shape[-1]
    if parts not in (1, 2):
        raise UnsupportedError("whether the signal is real or complex is not known: its last dimension must be 1 or 2")
    signal = _last(x[..., 0] if parts == 1 else tf.complex(x[..., 0], x[..., 1]), axis)
    size = dims(signal)[-1]
    count = _size(length) if length is not None else 2 * (size - 1) if inverse and onesided else size
    if inverse and onesided:
        return _last(tf.signal.irfft(_complex(signal), [count]), axis)[..., tf.newaxis]
    if onesided and parts == 2:
        raise UnsupportedError("onesided=1 for a complex signal")
    if parts == 1 and not inverse:
        spectrum = tf.signal.rfft(signal, [count])
        # The second half of a real signal's spectrum is the first, mirrored and conjugated.
        spectrum = spectrum if onesided else tf.concat([spectrum, _mirrored(spectrum, count)], -1)
    else:
        transform = tf.signal.ifft if inverse else tf.signal.fft
        spectrum = transform(_complex(_resized(signal, size, count)))
    spectrum = _last(spectrum, axis)
    return tf.stack([tf.math.real(spectrum), tf.math.imag(spectrum)], -1)


def _last(x: tf.Tensor, axis: int | tf.Tensor) -> tf.Tensor:
    """Swap `axis` with the last axis; done twice, all axes are where they were."""
    last = rank(x) - 1
    if isinstance(axis, int):
        return x if axis == last else tf.transpose(x, [*range(axis), last, *range(axis + 1, last), axis])
    axes = tf.range(last + 1)
    return tf.transpose(x, tf.where(axes == axis, last, tf.where(axes == last, axis, axes)))


def _mirrored(spectrum: tf.Tensor, count: int | tf.Tensor) -> tf.Tensor:
    return tf.math.conj(tf.reverse(spectrum[..., 1 : (count + 1) // 2], [-1]))


def _resized(signal: tf.Tensor, size: int | tf.Tensor, count: int | tf.Tensor) -> tf.Tensor:
    """Cut or pad with zeros the last axis of `signal`, of `size`, to `count`."""
    if count is size or (isinstance(count, int) and isinstance(size, int) and count == size):
        return signal
    missing = tf.maximum(count - size, 0)
    paddings = [[0, 0]] * (rank(signal) - 1) + [[0, missing]]
    return tf.pad(signal[..., :count], paddings)


def _complex(signal: tf.Tensor) -> tf.Tensor:
    return signal if signal.dtype.is_complex else tf.complex(signal, tf.zeros_like(signal))


def _cosine_window(size: tf.Tensor, terms: tuple[float, ...], output_datatype: int, periodic: int) -> tf.Tensor:
    """Return the sum of terms[k] cos(2 pi k n / N), n from 0 to `size` - 1."""
    size = tf.reshape(size, [])
    n = tf.cast(tf.range(size), tf.float64)
    angle = 2 * math.pi * n / tf.cast(size if periodic else size - 1, tf.float64)
    window = tf.add_n([term * tf.cos(k * angle) for k, term in enumerate(terms)])
    return tf.cast(window, tf_dtype(output_datatype))
