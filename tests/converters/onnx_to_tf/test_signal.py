"""Fourier transforms with symbolic sizes against numpy and PyTorch; windows of a size that is computed."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
import torch

from tests.converters.onnx_to_tf.cases import check, gradients, one_node, run, translated
from translate.errors import CannotTranslateError

GENERATOR = np.random.default_rng(0)
REAL = GENERATOR.standard_normal((3, 6, 7, 1), np.float32)
COMPLEX = GENERATOR.standard_normal((3, 6, 7, 2), np.float32)
KINDS = [(REAL, 0, 0), (REAL, 0, 1), (REAL, 1, 0), (COMPLEX, 0, 0), (COMPLEX, 1, 0), (COMPLEX, 1, 1)]


def pairs(spectrum: np.ndarray) -> np.ndarray:
    return np.stack([spectrum.real, spectrum.imag], -1).astype(np.float32)


def expected(x: np.ndarray, length: int | None, axis: int, inverse: int, onesided: int) -> np.ndarray:
    values = x[..., 0] if x.shape[-1] == 1 else x[..., 0] + 1j * x[..., 1]
    if onesided and inverse:
        return np.fft.irfft(values, length, axis)[..., np.newaxis].astype(np.float32)
    transform = np.fft.rfft if onesided else np.fft.ifft if inverse else np.fft.fft
    return pairs(transform(values, length, axis))


@pytest.mark.parametrize("length", [None, 4, 5, 9, 10])
@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize(("x", "inverse", "onesided"), KINDS)
def test_dft(x, inverse, onesided, axis, length):
    attributes = {"inverse": inverse, "onesided": onesided}
    arrays = [x, None if length is None else np.array(length), np.array(axis - 4 if axis else axis)]
    wanted = [expected(x, length, axis, inverse, onesided)]
    # All but the last axis are symbolic; length and axis are computed, then known.
    for known in ((), (1, 2)):
        model = one_node("DFT", arrays, attributes, 20, known=known)
        model.graph.input[0].type.tensor_type.shape.dim[3].dim_value = x.shape[3]
        fed = [array for i, array in enumerate(arrays) if array is not None and i not in known]
        np.testing.assert_allclose(translated(model)(*fed)["y0"], wanted[0], rtol=1e-5, atol=1e-5)
    attributes["axis"] = axis
    static = run("DFT", arrays[:2], attributes, 17, known=(1,), dynamic=False)
    np.testing.assert_allclose(static[0], wanted[0], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("length", "step", "samples"), [(16, 4, 100), (15, 7, 64)])
@pytest.mark.parametrize("windowed", [True, False])
def test_stft(length, step, samples, windowed):
    x, window = GENERATOR.standard_normal((2, samples), np.float32), np.hanning(length).astype(np.float32)
    weights = torch.tensor(window) if windowed else torch.ones(length)
    spectrum = torch.stft(torch.tensor(x), length, step, window=weights, center=False, return_complex=True)
    wanted = torch.view_as_real(spectrum).numpy().transpose(0, 2, 1, 3)
    arrays = [x[..., np.newaxis], np.array(step), window if windowed else None, np.array(length)]
    for known in ((), (1, 3)):
        (actual,) = run("STFT", arrays, {"onesided": 1}, 17, known=known, dynamic=False)
        np.testing.assert_allclose(actual, wanted, rtol=1e-5, atol=1e-5)


def test_gradients_pass_through_a_spectrum():
    (gradient,) = gradients("DFT", [REAL], {"onesided": 1}, 20, dynamic=False)
    assert np.abs(gradient).max() > 0


@pytest.mark.parametrize("op", ["HannWindow", "HammingWindow", "BlackmanWindow"])
@pytest.mark.parametrize("periodic", [0, 1])
@pytest.mark.parametrize("size", [2, 11])
def test_windows(op, periodic, size):
    for dtype in (onnx.TensorProto.FLOAT, onnx.TensorProto.DOUBLE):
        check(op, [np.array(size)], {"periodic": periodic, "output_datatype": dtype}, 17, atol=1e-4)


@pytest.mark.parametrize("values", [(8, 16, 8192, 0, 4096), (10, 64, 16000, 20, 7600)])
def test_mel_weights(values):
    *integers, low, high = values
    arrays = [np.array(value) for value in integers] + [np.array(low, np.float32), np.array(high, np.float32)]
    check("MelWeightMatrix", arrays, {}, 17)


def test_a_signal_that_may_be_real_or_complex_is_refused():
    with pytest.raises(CannotTranslateError, match="real or complex"):
        run("DFT", [REAL], {}, 20)
