"""Take the times of one model on one set of inputs."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from translate.errors import TranslateError, UsageError, in_a_line
from translate.models.base import Model
from translate.verify.cases import Case

# A turn calls one model for this long, so that its calls are not all made in a cache that the other has filled. It is
# the same time for all: with a number of calls instead, the model that was given fewer would look slower.
_TURN_SECONDS = 0.01
# Warm-up ends when the medians of two successive windows of calls are this close.
_WINDOW = 5
_STABLE = 1.05
_WARMUP_SECONDS = 0.1
_MOST_WARMUP_CALLS = 1000
_DRIFT = 1.25
# Raw times kept for plots.
_MOST_SAMPLES = 2000


@dataclass(frozen=True)
class Latency:
    """Times in seconds: `count` of them, their mean and percentiles (linear interpolation), and the times themselves.

    `samples` are in the order of measurement; of more than 2000, every n-th is kept. With fewer than 100 times `p99` is
    hardly more than the longest.
    """

    count: int
    mean: float
    p50: float
    p90: float
    p99: float
    samples: tuple[float, ...]


@dataclass(frozen=True)
class ModelTiming:
    """One model on one set of inputs.

    `call` is the computation alone, `upload` and `download` the copies of inputs to the device and of outputs back,
    each once in a turn of about `calls_per_turn` calls. `rounds` holds the median call of each round, which is some
    turns of every model, and pairs with that of the other models. `throughput` is in items (of the batch; calls where
    there is no batch) per second. `first_call` is the first of the `warmup_calls`, in seconds; `warm` says whether the
    calls became steady before the time for warming up was over. `drift` is the median of the second half of the
    rounds over that of the first.
    """

    label: str
    call: Latency
    upload: Latency
    download: Latency
    rounds: tuple[float, ...]
    calls_per_turn: int
    throughput: float
    first_call: float
    warmup_calls: int
    warm: bool
    drift: float

    @property
    def steady(self) -> bool:
        """Whether the two halves of its rounds agree: their medians are within 25 % of each other."""
        return 1 / _DRIFT <= self.drift <= _DRIFT


class Stopwatch:
    """Takes the times of one model on one set of inputs."""

    def __init__(self, label: str, model: Model, case: Case, clock: Callable[[], float]) -> None:
        self.label = label
        self.model = model
        self.case = case
        self.clock = clock
        self.warmup: list[float] = []
        self.warm = False
        self.uploads: list[float] = []
        self.calls: list[float] = []
        self.downloads: list[float] = []
        self.rounds: list[float] = []
        self._ended = 0

    def warm_up(self, limit: float) -> float:
        """Call until the times are steady, for about `limit` seconds after the first call, which may compile.

        Returns the seconds taken without the first call.
        """
        try:
            values = self.model.upload(self.case.feeds)
            self._warm_up_call(values)
            start = self.clock()
            while not self.warm and len(self.warmup) < _MOST_WARMUP_CALLS:
                self._warm_up_call(values)
                spent = self.clock() - start
                if spent >= limit:
                    break
                self.warm = spent >= min(_WARMUP_SECONDS, limit / 2) and _is_steady(self.warmup)
        except TranslateError:
            raise
        except Exception as error:
            # A framework raises anything here.
            where = ", ".join(f"{name}={size}" for name, size in self.case.sizes.items()) or "its inputs"
            raise UsageError(f"{self.label} fails at {where}: {in_a_line(error)}") from error
        return self.clock() - start

    def _warm_up_call(self, values: Any) -> None:
        start = self.clock()
        self.model.call(values)
        self.warmup.append(self.clock() - start)

    def turn(self) -> None:
        """Copy the inputs to the device, call, and copy the results back."""
        clock, call = self.clock, self.model.call
        start = clock()
        values = self.model.upload(self.case.feeds)
        self.uploads.append(clock() - start)
        start = ended = clock()
        while ended < start + _TURN_SECONDS:
            # Freeing the last results is no part of the next call.
            results = None
            began = clock()
            results = call(values)
            ended = clock()
            self.calls.append(ended - began)
        start = clock()
        self.model.download(results)
        self.downloads.append(clock() - start)

    def end_round(self) -> None:
        """Take the calls since the last round together."""
        self.rounds.append(float(np.median(self.calls[self._ended :])))
        self._ended = len(self.calls)

    def result(self, items: int) -> ModelTiming:
        """Return the statistics; a call computes `items` items."""
        call = latency(self.calls)
        half = len(self.rounds) // 2
        return ModelTiming(
            label=self.label,
            call=call,
            upload=latency(self.uploads),
            download=latency(self.downloads),
            rounds=tuple(self.rounds),
            calls_per_turn=round(len(self.calls) / len(self.uploads)),
            throughput=items / call.mean if call.mean else math.inf,
            first_call=self.warmup[0],
            warmup_calls=len(self.warmup),
            warm=self.warm,
            drift=float(np.median(self.rounds[half:]) / np.median(self.rounds[:half])),
        )


def latency(times: Sequence[float]) -> Latency:
    """Return the statistics of `times`, in seconds."""
    p50, p90, p99 = (float(value) for value in np.percentile(times, [50, 90, 99]))
    every = -(-len(times) // _MOST_SAMPLES)
    return Latency(len(times), float(np.mean(times)), p50, p90, p99, tuple(times[::every]))


def _is_steady(times: Sequence[float]) -> bool:
    if len(times) < 2 * _WINDOW:
        return False
    before, after = np.median(times[-2 * _WINDOW : -_WINDOW]), np.median(times[-_WINDOW:])
    return bool(max(before, after) <= _STABLE * min(before, after))
