"""One output, judged."""

from __future__ import annotations

import numpy as np

from translate.verify.outputs import judge, tolerance_for
from translate.verify.tolerance import Tolerance
from translate.verify.verdict import Agreement

LOOSE = Tolerance("calibrated", maximum=0.1, rms=0.1)


def test_agreement_of_the_greatest_values() -> None:
    source = np.float32([[1, 5, 2], [3, 2.95, 0], [1, 2, 9], [0, 1, 2]])
    # The same, a near tie, another place, the same.
    target = np.float32([[1, 5, 2], [2.95, 3, 0], [9, 2, 1], [0, 1, 2]])
    assert judge("y", source, target, LOOSE).agreement == (Agreement(1, rows=4, same=2, near_ties=1),)
    # No classes, one class, one row that is no row.
    for shape in ((12,), (12, 1)):
        assert judge("y", source.reshape(shape), target.reshape(shape), LOOSE).agreement == ()


def test_agreement_of_the_five_greatest_is_that_of_their_set() -> None:
    source = np.arange(24, dtype=np.float32).reshape(2, 12)
    swapped, missed = source.copy(), source.copy()
    swapped[0, [10, 11]] = swapped[0, [11, 10]]
    missed[1, 11] = -1
    assert judge("y", source, swapped, LOOSE).agreement == (Agreement(1, 2, 1, 0), Agreement(5, 2, 2, 0))
    assert judge("y", source, missed, LOOSE).agreement == (Agreement(1, 2, 1, 0), Agreement(5, 2, 1, 0))


def test_both_statistics_are_gated() -> None:
    source = np.zeros(10_000, np.float32) + 1
    one_far, all_off = source.copy(), source + np.float32(0.05)
    one_far[7] += 0.5
    tolerance = Tolerance("calibrated", maximum=0.1, rms=0.01)
    far, off = judge("y", source, one_far, tolerance), judge("y", source, all_off, tolerance)
    assert "1 of 10000 values differ by more than the 0.1" in far.problems[0] and len(far.problems) == 1
    assert "in the root mean square" in off.problems[0] and len(off.problems) == 1
    np.testing.assert_allclose((far.error, off.error), (5, 5), rtol=1e-4)


def test_histogram() -> None:
    source, errors = np.full(5, 10, np.float64), np.array([0, 1.2e-5, 1.5e-5, 0.2, 0])
    histogram = judge("y", source, source + errors, LOOSE, None, np.array([0.2, 0])).histogram
    assert histogram is not None
    # Relative to the scale: 1.2e-6, 1.5e-6 and 0.02; decades are two bins.
    assert (histogram.first, histogram.equal, histogram.noise_equal) == (-6.0, 2, 1)
    assert histogram.errors == (2, 0, 0, 0, 0, 0, 0, 0, 1)
    assert histogram.noise == (0, 0, 0, 0, 0, 0, 0, 0, 1)


def test_the_histogram_holds_whatever_is_off_its_ends() -> None:
    source = np.float64([1, 1, 1])
    histogram = judge("y", source, source + np.float64([1e9, 1e-16, 0]), LOOSE).histogram
    assert histogram is not None
    assert sum(histogram.errors) + histogram.equal == 3


def test_large_numbers_do_not_overflow() -> None:
    source = np.float32([3e38, 1])
    output = judge("y", source, source * np.float32(0.5), Tolerance("calibrated", maximum=1e38, rms=1e38))
    assert np.isfinite([output.rms, output.max_abs, output.error]).all() and output.cosine is not None
    assert not output.passed


def test_near_is_a_ratio_of_signal_to_noise() -> None:
    source = np.float32([[3, -3, 3, -3]])
    # Noise of a tenth of the signal, 20 dB.
    target = source + np.float32([[0.3, 0.3, -0.3, -0.3]])
    near = judge("y", source, target, Tolerance("near", decibels=19.9))
    assert near.passed
    assert near.notes == ("signal-to-noise ratio 20.0 dB",)
    np.testing.assert_allclose(near.error, 10 ** (-0.1 / 20), rtol=1e-5)
    far = judge("y", source, target, Tolerance("near", decibels=20.1))
    assert far.problems == ("the signal-to-noise ratio is less than 20.1 dB",)
    assert judge("y", source, source, Tolerance("near", decibels=20)).error == 0
    assert not judge("y", 0 * source, target - source, Tolerance("near", decibels=20)).passed


def test_near_lets_a_tenth_of_the_integers_differ() -> None:
    source = np.arange(20)
    tolerance = tolerance_for("y", source, None, None, None, near=20.0)
    target = source.copy()
    target[:2] += 1
    assert judge("y", source, target, tolerance).passed
    target[2] += 1
    assert judge("y", source, target, tolerance).problems == ("3 of 20 values differ, more than 10%",)
