"""Spectrograms against Keras."""

from __future__ import annotations

import pytest
from keras import layers as L

from tests.converters.keras_to_torch.cases import assert_same, feed, sequential


@pytest.mark.parametrize("steps", [60, None], ids=["known", "open"])
@pytest.mark.parametrize("mode", ["magnitude", "psd", "real", "imag", "angle", "stft"])
def test_spectra_by_convolutions(mode, steps):
    layer = L.STFTSpectrogram(mode=mode, frame_length=16, frame_step=5, fft_length=32)
    assert_same(sequential((steps, 2), layer), feed((2, 60, 2)), atol=2e-5)


@pytest.mark.parametrize(
    "options", [{"padding": "same"}, {"expand_dims": True}, {"padding": "same", "expand_dims": True}], ids=str
)
def test_where_the_frequencies_are(options):
    layer = L.STFTSpectrogram(mode="log", frame_length=16, **options)
    assert_same(sequential((60, 2), layer), feed((2, 60, 2)), atol=2e-5)


@pytest.mark.parametrize(
    "layer",
    [
        L.MelSpectrogram(fft_length=64, sequence_stride=16, num_mel_bins=8, sampling_rate=8000),
        L.MelSpectrogram(64, 20, 50, "hamming", num_mel_bins=8, power_to_db=False, mag_exp=1.0),
    ],
    ids=["decibels", "magnitude"],
)
def test_pitches(layer):
    assert_same(sequential((300,), layer), feed((2, 300)), atol=1e-4)
