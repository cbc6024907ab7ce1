"""Spectra, and windows over sequences. Keras has complex tensors as pairs: real and imaginary parts."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F

from translate.converters.keras_to_torch.table import lower
from translate.converters.onnx_to_torch.values import Value, record
from translate.errors import UnsupportedError

Pair = tuple[torch.Tensor, torch.Tensor]


def _pair(x: torch.Tensor) -> Pair:
    return torch.real(x), torch.imag(x)


@lower("FFT", part="ops")
def fft(op: Any, x: Pair) -> Pair:
    """Return the spectrum along the last axis."""
    return _pair(torch.fft.fft(torch.complex(*x)))


@lower("FFT2", part="ops")
def fft2(op: Any, x: Pair) -> Pair:
    """Return the spectrum along the last two axes."""
    return _pair(torch.fft.fft2(torch.complex(*x)))


@lower("IFFT2", part="ops")
def ifft2(op: Any, x: Pair) -> Pair:
    """Return what has this spectrum along the last two axes."""
    return _pair(torch.fft.ifft2(torch.complex(*x)))


@lower("RFFT", part="ops")
def rfft(op: Any, x: torch.Tensor) -> Pair:
    """Return the half of the spectrum of real numbers that says all, along the last axis."""
    return _pair(torch.fft.rfft(x, op.fft_length))


@lower("IRFFT", part="ops")
def irfft(op: Any, x: Pair) -> Any:
    """Return the real numbers of which this is half of the spectrum."""
    return torch.fft.irfft(torch.complex(*x), op.fft_length)


@lower("ExtractSequences", part="ops")
def extract_sequences(op: Any, x: torch.Tensor) -> torch.Tensor:
    """Return the windows over the last axis: [..., N, length]."""
    return x.unfold(-1, op.sequence_length, op.sequence_stride)


def window_of(window: Any, length: int, dtype: torch.dtype) -> Any:
    """Return a window [length] by its name or its numbers; None has ones."""
    if window is None:
        return record(torch.ones, length, dtype=dtype)
    if isinstance(window, Value):
        return window.to(dtype)
    if not isinstance(window, str):
        return record(torch.tensor, [float(one) for one in window], dtype=dtype)
    makers = {"hann": torch.hann_window, "hamming": torch.hamming_window}
    if window not in makers:
        raise UnsupportedError(f"the window {window}")
    # TensorFlow knows periodic windows of an even length only.
    return record(makers[window], length, periodic=length % 2 == 0, dtype=dtype)


def short_time_spectrum(
    x: torch.Tensor, length: int, stride: int, fft_length: int, window: Any, center: bool
) -> torch.Tensor:
    """Return the spectra of windows over x [..., T], complex: [..., N, fft_length // 2 + 1]."""
    rows = x.reshape(-1, x.size(x.ndim - 1)) if x.ndim > 2 else x
    y = torch.stft(
        rows,
        fft_length,
        hop_length=stride,
        win_length=length,
        window=window_of(window, length, x.dtype),
        center=center,
        pad_mode="reflect",
        onesided=True,
        return_complex=True,
    )
    y = y.transpose(-1, -2)
    return y.reshape([*x.shape[:-1], *y.shape[-2:]]) if x.ndim > 2 else y


@lower("STFT", part="ops")
def stft(op: Any, x: torch.Tensor) -> Pair:
    """Return the spectra of windows over the last axis."""
    y = short_time_spectrum(x, op.sequence_length, op.sequence_stride, op.fft_length, op.window, bool(op.center))
    return _pair(y)


@lower("ISTFT", part="ops")
def istft(op: Any, x: Pair) -> torch.Tensor:
    """Return the sequence that has these spectra of windows over it [..., N, F]."""
    stride, size = op.sequence_stride, op.fft_length
    frames = torch.fft.irfft(torch.complex(*x), size)
    if op.window is not None:
        left = (size - op.sequence_length) // 2
        window = window_of(op.window, op.sequence_length, frames.dtype)
        frames = frames * _inverse(F.pad(window, [left, size - op.sequence_length - left]), stride)
    # The frames are added up where they are: what torch.nn.functional.fold does with columns.
    count = frames.shape[-2]
    columns = frames.flatten(0, -3).transpose(1, 2) if frames.ndim > 2 else frames.t().unsqueeze(0)
    whole = F.fold(columns, (1, size + stride * (count - 1)), (1, size), stride=(1, stride)).flatten(1)
    y = whole.reshape([*frames.shape[:-2], whole.size(1)])
    start = size // 2 if op.center else 0
    if op.length is not None:
        return y[..., start : start + op.length]
    return y[..., start:-start] if start else y


def _inverse(window: torch.Tensor, stride: int) -> torch.Tensor:
    """Return the window that makes up for what another one takes away, as it overlaps with itself."""
    size = int(window.shape[0])
    rows = -(-size // stride)
    squares = F.pad(torch.square(window), [0, rows * stride - size]).reshape(rows, stride)
    return window / torch.sum(squares, 0).repeat(rows)[:size]
