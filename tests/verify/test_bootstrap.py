"""The interval of a ratio holds the truth as often as it says, also when neighbouring rounds are alike."""

from __future__ import annotations

import numpy as np
import pytest

from translate.verify.bootstrap import RESOLUTION, ratio_interval


def rounds(generator: np.random.Generator, ratio: float, count: int = 20) -> tuple[np.ndarray, np.ndarray]:
    """Times of two models on a machine whose speed wanders, as both feel it, with outliers on either."""
    wander = np.exp(np.cumsum(generator.normal(0, 0.05, count)))
    noise = np.exp(generator.normal(0, 0.03, (2, count))) + generator.exponential(0.02, (2, count))
    noise[generator.random((2, count)) < 0.05] *= 5
    return 0.01 * wander * noise[0], 0.01 * ratio * wander * noise[1]


@pytest.mark.parametrize("ratio", [1.0, 1.3])
def test_the_interval_holds_the_truth(ratio: float) -> None:
    generator = np.random.default_rng(7)
    held = 0
    for seed in range(100):
        value, low, high, _ = ratio_interval(*rounds(generator, ratio), resamples=400, seed=seed)
        assert low <= value <= high
        # What it is extended by allows for what no rounds show; what they do show, it holds without that.
        held += low * RESOLUTION <= ratio <= high / RESOLUTION
    # Nominally 95; the percentile interval of a median is a little short.
    assert held >= 88


def test_two_measurements_give_intervals_that_overlap() -> None:
    generator = np.random.default_rng(3)
    overlaps = 0
    for seed in range(50):
        _, low, high, _ = ratio_interval(*rounds(generator, 1.1), resamples=400, seed=seed)
        _, other_low, other_high, _ = ratio_interval(*rounds(generator, 1.1), resamples=400, seed=seed + 1000)
        overlaps += low <= other_high and other_low <= high
    assert overlaps >= 48


def test_a_difference_that_stands_out_of_the_noise_is_found() -> None:
    generator = np.random.default_rng(5)
    intervals = [ratio_interval(*rounds(generator, 1.2), resamples=400)[1:3] for _ in range(20)]
    assert all(low > 1.0 and high < 1.5 for low, high in intervals)


def test_slow_spells_that_both_feel_do_not_matter() -> None:
    baseline = np.where(np.arange(40) % 2, 0.01, 0.05)
    value, low, high, steady = ratio_interval(baseline, 1.5 * baseline)
    assert (value, low, high) == pytest.approx((1.5, 1.5 / RESOLUTION, 1.5 * RESOLUTION))
    assert steady


def test_halves_that_disagree_are_both_held() -> None:
    generator = np.random.default_rng(1)
    baseline = np.full(60, 0.01)
    other = np.where(np.arange(60) < 40, 0.01, 0.02) * np.exp(generator.normal(0, 0.01, 60))
    _, low, high, steady = ratio_interval(baseline, other)
    assert not steady
    assert low < 1.02 and high > 1.9


def test_the_same_seed_gives_the_same_interval() -> None:
    times = rounds(np.random.default_rng(0), 1.0)
    assert ratio_interval(*times, seed=4) == ratio_interval(*times, seed=4)
