"""How many times as long one model takes as another, and between which bounds that is known."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

# With fewer values no interval of a median reaches 95 %: the least and the greatest of n values hold it with a
# probability of 1 - 2**(1 - n).
FEWEST = 6
# What measuring in one process cannot show: the same model opened twice differs by about a percent, for as long as both
# live, because their weights lie elsewhere in memory (benchmarks/timing_trust.py).
RESOLUTION = 1.02


def ratio_interval(
    baseline: Sequence[float],
    other: Sequence[float],
    *,
    confidence: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> tuple[float, float, float, bool]:
    """Return value, low and high of how many times as long `other` takes, and whether both halves agree.

    `baseline` and `other` are seconds, paired by round. The value is the median of the quotients. The interval is the
    percentile interval of a bootstrap that resamples rounds, as pairs (Efron and Tibshirani, An Introduction to the
    Bootstrap, 1993, section 13.3). Where the intervals of the two halves of the rounds do not meet, the machine
    changed in between, and the interval is extended to hold both. Then it is extended by `RESOLUTION` at either end:
    what else is in the process, and where, biases a measurement however often it is repeated (Mytkowicz and others,
    Producing wrong data without doing anything obviously wrong!, 2009).
    """
    tiny = np.finfo(np.float64).tiny
    logs = np.log(np.maximum(other, tiny)) - np.log(np.maximum(baseline, tiny))
    generator = np.random.default_rng(seed)
    low, high = _median_interval(logs, confidence, resamples, generator)
    half = len(logs) // 2
    steady = True
    if half >= FEWEST:
        first = _median_interval(logs[:half], confidence, resamples, generator)
        second = _median_interval(logs[half:], confidence, resamples, generator)
        steady = first[0] <= second[1] and second[0] <= first[1]
        if not steady:
            low, high = min(low, first[0], second[0]), max(high, first[1], second[1])
    return math.exp(float(np.median(logs))), math.exp(low) / RESOLUTION, math.exp(high) * RESOLUTION, steady


def _median_interval(
    values: npt.NDArray[np.float64], confidence: float, resamples: int, generator: np.random.Generator
) -> tuple[float, float]:
    count = len(values)
    medians = np.median(values[generator.integers(0, count, (resamples, count))], axis=1)
    low, high = np.quantile(medians, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)
