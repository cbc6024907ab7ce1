"""Spectra, and windows over sequences."""

from __future__ import annotations

import pytest
from keras import ops

from tests.converters.keras_to_torch.ops.operations import assert_operation, normal


def test_spectra():
    pair, planes = (normal(2, 8), normal(2, 8, seed=1)), (normal(2, 4, 8), normal(2, 4, 8, seed=1))
    assert_operation(lambda x, y: ops.fft((x, y)), *pair, atol=1e-5)
    assert_operation(lambda x, y: ops.fft2((x, y)), *planes, atol=1e-5)
    assert_operation(lambda x, y: ops.ifft2((x, y)), *planes)
    assert_operation(lambda x, y: ops.irfft((x, y)), normal(2, 5), normal(2, 5, seed=1))
    assert_operation(ops.rfft, normal(2, 8))
    assert_operation(lambda x: ops.rfft(x, fft_length=12), normal(2, 8))


def test_windows_over_a_sequence():
    assert_operation(lambda x: ops.extract_sequences(x, 4, 2), normal(2, 11), batch=True)


@pytest.mark.parametrize("center", [True, False])
@pytest.mark.parametrize(("length", "window"), [(8, "hann"), (9, "hann"), (9, "hamming"), (16, None)])
def test_spectra_of_windows(length, window, center):
    assert_operation(lambda x: ops.stft(x, length, 3, 16, window, center), normal(2, 40), atol=1e-5, batch=True)
    assert_operation(lambda x: ops.stft(x, length, 3, 16, window, center), normal(2, 3, 40), atol=1e-5)


@pytest.mark.parametrize("center", [True, False])
@pytest.mark.parametrize("length", [None, 30])
def test_sequences_from_spectra(length, center):
    def call(x):
        return ops.istft(ops.stft(x, 12, 4, 16), 12, 4, 16, length=length, center=center)

    assert_operation(call, normal(2, 64), atol=1e-5)
    assert_operation(call, normal(3, 2, 64), atol=1e-5)
