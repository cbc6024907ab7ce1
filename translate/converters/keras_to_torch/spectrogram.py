"""Spectrograms of sequences."""

from __future__ import annotations

import math
from typing import Any

import keras
import torch
import torch.nn.functional as F

from translate.converters.keras_to_torch.here import constant, parameter
from translate.converters.keras_to_torch.ops.dtypes import torch_dtype
from translate.converters.keras_to_torch.ops.signal import short_time_spectrum
from translate.converters.keras_to_torch.stored import kernel
from translate.converters.keras_to_torch.table import lower
from translate.converters.onnx_to_torch.windows import Window

_EPSILON = 1e-7


@lower("STFTSpectrogram")
def stft_spectrogram(layer: Any, x: torch.Tensor) -> Any:
    """Return spectra of windows over each channel of x, which the layer's kernels compute as convolutions."""
    x = x.transpose(1, 2) if layer.data_format == "channels_last" else x
    channels = x.shape[1]
    rows = x.reshape(-1, 1, x.size(2))
    padding = "SAME_UPPER" if layer.padding == "same" else "VALID"
    window = Window.over(rows, (layer.frame_length,), (layer._frame_step,), None, None, padding)
    rows = window.pad(rows)

    def part(name: str) -> torch.Tensor:
        weight = parameter(name, kernel(getattr(layer, name)))
        y = F.conv1d(rows, weight, stride=layer._frame_step)
        # [N, C, F, T]
        return y.reshape(-1, channels, *y.shape[1:])

    real = part("real_kernel") if layer.mode != "imag" else None
    imag = part("imag_kernel") if layer.mode != "real" else None
    if real is None or imag is None:
        return _arranged(layer, imag if real is None else real)
    if layer.mode == "angle":
        return _arranged(layer, torch.atan2(imag, real))
    if layer.mode == "stft":
        return _arranged(layer, torch.cat([real, imag], 2))
    power = torch.square(real) + torch.square(imag)
    if layer.mode == "psd":
        # All frequencies but the first and the last stand for two.
        return _arranged(layer, torch.cat([power[:, :, :1], 2 * power[:, :, 1:-1], power[:, :, -1:]], 2))
    y = torch.sqrt(torch.clamp(power, min=_EPSILON))
    return _arranged(layer, y if layer.mode == "magnitude" else torch.log(torch.clamp(y, min=_EPSILON)))


def _arranged(layer: Any, y: Any) -> Any:
    """Return y [N, C, F, T] with its axes as the layer has them; channels and frequencies are one axis or two."""
    first = layer.data_format == "channels_first"
    if layer.expand_dims:
        return y.permute(0, 1, 3, 2) if first else y.permute(0, 3, 2, 1)
    flat: torch.Tensor = y.flatten(1, 2)
    return flat if first else flat.transpose(1, 2)


@lower("MelSpectrogram")
def mel_spectrogram(layer: Any, x: torch.Tensor) -> torch.Tensor:
    """Return how much there is of each pitch in windows over x [..., T]: [..., mels, windows]."""
    dtype = torch_dtype(layer.compute_dtype)
    x = x if x.dtype in (torch.float32, torch.float64) else x.to(torch.float32)
    spectrum = short_time_spectrum(
        x, layer.sequence_length, layer.sequence_stride, layer.fft_length, layer.window, center=True
    )
    matrix = layer.linear_to_mel_weight_matrix(
        num_mel_bins=layer.num_mel_bins,
        num_spectrogram_bins=layer.fft_length // 2 + 1,
        sampling_rate=layer.sampling_rate,
        lower_edge_hertz=layer.min_freq,
        upper_edge_hertz=layer.max_freq,
    )
    filters = constant("filters", keras.ops.convert_to_numpy(matrix))
    y = torch.matmul(torch.abs(spectrum) ** layer.mag_exp, filters)
    if layer.power_to_db:
        reference = 10 * math.log10(max(abs(layer.ref_power), layer.min_power))
        y = 10 * torch.log10(torch.clamp(y, min=layer.min_power))
        y = y - reference if reference else y
        y = torch.maximum(y, torch.amax(y) - layer.top_db)
    y = y.transpose(-1, -2)
    return y if y.dtype is dtype else y.to(dtype)
