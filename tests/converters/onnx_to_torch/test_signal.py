"""Fourier transforms and windows by numpy's, with open sizes."""

from __future__ import annotations

import numpy as np
import pytest

from tests.converters.onnx_to_torch.cases import run
from translate.errors import CannotTranslateError

GENERATOR = np.random.default_rng(0)


def parts(x: np.ndarray) -> np.ndarray:
    return np.stack([x.real, x.imag], -1)


@pytest.mark.parametrize("length", [None, 4, 9])
@pytest.mark.parametrize("size", [6, 7])
def test_a_real_signal(size, length):
    x = GENERATOR.standard_normal((3, size, 1), np.float32)
    arrays = [x, None if length is None else np.int64(length)]
    (whole,) = run("DFT", arrays, {}, 20, dynamic=False)
    np.testing.assert_allclose(whole, parts(np.fft.fft(x[..., 0], length)), rtol=1e-4, atol=1e-5)
    (half,) = run("DFT", arrays, {"onesided": 1}, 20, dynamic=False)
    np.testing.assert_allclose(half, parts(np.fft.rfft(x[..., 0], length)), rtol=1e-4, atol=1e-5)


def test_back_along_the_first_axis():
    x = GENERATOR.standard_normal((4, 3, 2), np.float32)
    (actual,) = run("DFT", [x, None, np.int64(0)], {"inverse": 1}, 20, known=(2,), dynamic=False)
    np.testing.assert_allclose(actual, parts(np.fft.ifft(x[..., 0] + 1j * x[..., 1], axis=0)), rtol=1e-4, atol=1e-6)


def test_half_a_spectrum_becomes_a_real_signal_again():
    x = GENERATOR.standard_normal((2, 9), np.float32)
    spectrum = parts(np.fft.rfft(x)).astype(np.float32)
    (actual,) = run("DFT", [spectrum, np.int64(9)], {"inverse": 1, "onesided": 1}, 20, dynamic=False)
    np.testing.assert_allclose(actual[..., 0], x, rtol=1e-4, atol=1e-5)


def test_half_the_spectrum_of_a_complex_signal_is_refused():
    with pytest.raises(CannotTranslateError, match="complex signal"):
        run("DFT", [np.zeros([1, 4, 2], np.float32)], {"onesided": 1}, 20, dynamic=False)


@pytest.mark.parametrize("windowed", [True, False])
@pytest.mark.parametrize("kind", [1, 2])
def test_frames(kind, windowed):
    x = GENERATOR.standard_normal((2, 20, kind), np.float32)
    window = np.hanning(8).astype(np.float32)
    arrays = [x, np.int64(3), window if windowed else None, np.int64(8)]
    (actual,) = run("STFT", arrays, {"onesided": 2 - kind}, 17, known=(1, 3), dynamic=False)
    signal = x[..., 0] if kind == 1 else x[..., 0] + 1j * x[..., 1]
    frames = np.stack([signal[:, i : i + 8] for i in range(0, 13, 3)], 1) * (window if windowed else 1)
    expected = np.fft.rfft(frames) if kind == 1 else np.fft.fft(frames)
    np.testing.assert_allclose(actual, parts(expected), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("periodic", [0, 1])
def test_windows(periodic):
    angle = 2 * np.pi * np.arange(6) / (6 if periodic else 5)
    expected = {
        "HannWindow": 0.5 - 0.5 * np.cos(angle),
        "HammingWindow": 25 / 46 - 21 / 46 * np.cos(angle),
        "BlackmanWindow": 0.42 - 0.5 * np.cos(angle) + 0.08 * np.cos(2 * angle),
    }
    for op, window in expected.items():
        for known in ((), (0,)):
            (actual,) = run(op, [np.int64(6)], {"periodic": periodic}, 17, known=known)
            np.testing.assert_allclose(actual, window, rtol=1e-5, atol=1e-6)
