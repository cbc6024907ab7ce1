"""Fourier transforms, windows and the mel scale."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from translate.converters.onnx_to_torch.cast import convert
from translate.converters.onnx_to_torch.dtypes import torch_dtype
from translate.converters.onnx_to_torch.shapes import Size, entries
from translate.converters.onnx_to_torch.table import lower
from translate.converters.onnx_to_torch.values import record
from translate.converters.onnx_to_torch.widen import HALVES, widened
from translate.errors import UnsupportedError


@lower("DFT", since=17)
def dft_17(
    x: torch.Tensor,
    dft_length: torch.Tensor | np.ndarray | None = None,
    *,
    axis: int = 1,
    inverse: int = 0,
    onesided: int = 0,
) -> torch.Tensor:
    """Transform along `axis`: [..., n, ..., 1 or 2] to [..., dft_length, ..., 2], the last axis real and imaginary.

    `onesided` gives the first half of a real signal's spectrum, or with `inverse` turns one back, [..., 1].
    """
    return _dft(x, dft_length, axis % x.ndim, bool(inverse), bool(onesided))


@lower("DFT", since=20)
def dft(
    x: torch.Tensor,
    dft_length: torch.Tensor | np.ndarray | None = None,
    axis: np.ndarray | None = None,
    *,
    inverse: int = 0,
    onesided: int = 0,
) -> torch.Tensor:
    """Transform along `axis`: [..., n, ..., 1 or 2] to [..., dft_length, ..., 2], the last axis real and imaginary.

    `onesided` gives the first half of a real signal's spectrum, or with `inverse` turns one back, [..., 1].
    """
    chosen = -2 if axis is None else int(axis.item())
    return _dft(x, dft_length, chosen % x.ndim, bool(inverse), bool(onesided))


@widened(*HALVES)
def _dft(
    x: torch.Tensor, length: torch.Tensor | np.ndarray | None, axis: int, inverse: bool, onesided: bool
) -> torch.Tensor:
    signal = _as_signal(x)
    count = None if length is None else entries(length)[0]
    if inverse and onesided:
        return torch.fft.irfft(signal, count, axis).unsqueeze(-1)
    if onesided and x.shape[-1] == 2:
        raise UnsupportedError("onesided=1 for a complex signal")
    transform = torch.fft.rfft if onesided else torch.fft.ifft if inverse else torch.fft.fft
    return torch.view_as_real(transform(signal, count, axis))


def _as_signal(x: torch.Tensor) -> torch.Tensor:
    """Return x [..., 1] as real numbers [...], [..., 2] as complex ones."""
    if x.shape[-1] not in (1, 2):
        raise UnsupportedError("the last axis of a signal must have 1 or 2 elements, real or complex")
    return x[..., 0] if x.shape[-1] == 1 else torch.view_as_complex(x.contiguous())


@lower("STFT", since=17)
@widened(*HALVES)
def stft(
    signal: torch.Tensor,
    frame_step: torch.Tensor | np.ndarray,
    window: torch.Tensor | None = None,
    frame_length: torch.Tensor | np.ndarray | None = None,
    *,
    onesided: int = 1,
) -> torch.Tensor:
    """Transform overlapping frames of `signal`, [N, samples, 1 or 2]; returns [N, frames, frequencies, 2].

    Limits: `onesided` of a complex signal is refused.
    """
    if onesided and signal.shape[-1] == 2:
        raise UnsupportedError("onesided=1 for a complex signal")
    length = signal.size(1)
    if frame_length is not None:
        (length,) = entries(frame_length)
    elif window is not None:
        length = window.size(0)
    window = record(torch.ones, [length], dtype=signal.dtype) if window is None else window.to(signal.dtype)
    spectrum = torch.stft(
        _as_signal(signal),
        length,
        entries(frame_step)[0],
        window=window,
        center=False,
        onesided=bool(onesided),
        return_complex=True,
    )
    return torch.view_as_real(spectrum.transpose(1, 2))


@lower("HannWindow", since=17)
def hann_window(size: torch.Tensor | np.ndarray, *, output_datatype: int = 1, periodic: int = 1) -> torch.Tensor:
    """Return the Hann window, [size]: 0.5 - 0.5 cos(2 pi n / N), N being `size` if periodic, else `size` - 1."""
    return _window(torch.hann_window, size, output_datatype, periodic)


@lower("HammingWindow", since=17)
def hamming_window(size: torch.Tensor | np.ndarray, *, output_datatype: int = 1, periodic: int = 1) -> torch.Tensor:
    """Return the Hamming window, [size]: 25/46 - 21/46 cos(2 pi n / N), N being `size` if periodic, else `size` - 1."""
    return _window(torch.hamming_window, size, output_datatype, periodic, alpha=25 / 46, beta=21 / 46)


@lower("BlackmanWindow", since=17)
def blackman_window(size: torch.Tensor | np.ndarray, *, output_datatype: int = 1, periodic: int = 1) -> torch.Tensor:
    """Return the Blackman window, [size]: 0.42 - 0.5 cos(2 pi n / N) + 0.08 cos(4 pi n / N), N as for Hann."""
    return _window(torch.blackman_window, size, output_datatype, periodic)


def _window(
    function: Callable[..., torch.Tensor], size: Any, output_datatype: int, periodic: int, **options: float
) -> torch.Tensor:
    (length,) = entries(size)
    dtype = torch_dtype(output_datatype)
    computed = dtype if dtype in (torch.float32, torch.float64) else torch.float32
    return convert(record(function, length, bool(periodic), dtype=computed, **options), dtype)


@lower("MelWeightMatrix", since=17)
def mel_weight_matrix(
    num_mel_bins: torch.Tensor | np.ndarray,
    dft_length: torch.Tensor | np.ndarray,
    sample_rate: torch.Tensor,
    lower_edge_hertz: torch.Tensor,
    upper_edge_hertz: torch.Tensor,
    *,
    output_datatype: int = 1,
) -> torch.Tensor:
    """Return the weights from linear frequencies to mel bins, [dft_length // 2 + 1, num_mel_bins]; all inputs scalars.

    The mel of f hertz is 2595 log10(1 + f / 700); bins are triangles between bin centres rounded down to a frequency
    of the transform.
    """
    (bins,), (length,) = entries(num_mel_bins), entries(dft_length)
    low, high = _mel(lower_edge_hertz), _mel(upper_edge_hertz)
    step = (high - low) / (bins + 2)
    hertz = 700 * (torch.pow(10, (low + _range(bins + 2) * step) / 2595) - 1)
    points = torch.floor((length + 1) * hertz / sample_rate.reshape([]))
    left, centre, right = points[:-2], points[1:-1], points[2:]
    frequency = _range(length // 2 + 1).unsqueeze(1)
    rising = (frequency - left) / (centre - left)
    falling = (right - frequency) / (right - centre)
    slope = torch.where(frequency < centre, rising, torch.where(frequency > centre, falling, 1.0))
    return convert(torch.clamp(slope, min=0), torch_dtype(output_datatype))


def _range(count: Size) -> torch.Tensor:
    result: torch.Tensor = record(torch.arange, count, dtype=torch.float64)
    return result


def _mel(hertz: torch.Tensor) -> torch.Tensor:
    return 2595 / math.log(10) * torch.log1p(hertz.reshape([]).to(torch.float64) / 700)
