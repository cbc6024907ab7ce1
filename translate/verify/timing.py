"""How long models take: measured in turns on the same inputs, and what that says of one against the other.

Both statistics and measurement allow for a machine that does other things: the models take turns, so that a slow spell
falls on all of them; the ratio of two models is taken within each round; and its interval says how sure it is.
"""

from __future__ import annotations

import contextlib
import gc
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from translate.errors import UsageError
from translate.models.base import Model
from translate.models.inputs import open_dims, symbols
from translate.verify.bootstrap import FEWEST, ratio_interval
from translate.verify.cases import Case
from translate.verify.cold_start import ColdStart
from translate.verify.sizes import size_choices
from translate.verify.stopwatch import ModelTiming, Stopwatch

_ROUNDS = 20
_WARMUP_SHARE = 0.3
_BATCHES = (1, 8)
# An interval that holds 1 and is narrower than this rules a difference worth mentioning out.
_SAME_WITHIN = 1.1


@dataclass(frozen=True)
class Options:
    """How to measure.

    `seconds` is the budget for all cases together, warm-up included; first calls, which may compile, do not count, and
    a model so slow that six rounds take longer is given the time. `confidence` is that of the intervals, `resamples`
    the number of bootstrap resamples, `seed` their seed. `clock` returns seconds.
    """

    seconds: float = 10.0
    seed: int = 0
    confidence: float = 0.95
    resamples: int = 2000
    clock: Callable[[], float] = time.perf_counter


@dataclass(frozen=True)
class Ratio:
    """How many times as long as `baseline` the model `label` takes: `value`, and its interval `low` to `high`.

    The value is the median over rounds of the quotient within a round. `steady` is False when the two halves of the
    rounds gave intervals that do not meet; the interval then holds both of them.
    """

    label: str
    baseline: str
    value: float
    low: float
    high: float
    confidence: float
    steady: bool

    @property
    def word(self) -> str:
        """Return "faster", "slower", "no different" or "too noisy to tell".

        The first two when the interval does not hold 1. When it does, there is no difference worth mentioning if the
        interval is narrow (its ends within 10 % of each other), and otherwise the machine was too noisy, or
        the time too short, to tell.
        """
        if self.high < 1:
            return "faster"
        if self.low > 1:
            return "slower"
        return "no different" if self.high <= self.low * _SAME_WITHIN else "too noisy to tell"

    def __str__(self) -> str:
        value, low, high = (f"{x:.0f}" if x >= 100 else f"{x:#.3g}" for x in (self.value, self.low, self.high))
        return f"{value} [{low}, {high}]"


@dataclass(frozen=True)
class CaseTiming:
    """All models on one set of inputs.

    `sizes` are those of the symbolic dimensions, `items` the size of the batch (None: there is no such dimension).
    `ratios` compare every model but the first with the first.
    """

    label: str
    sizes: Mapping[str, int]
    items: int | None
    models: tuple[ModelTiming, ...]
    ratios: tuple[Ratio, ...]

    @property
    def where(self) -> str:
        """The sizes in words, to end a sentence with: " at batch=8"."""
        return " at " + ", ".join(f"{name}={size}" for name, size in self.sizes.items()) if self.sizes else ""


@dataclass(frozen=True)
class TimedModel:
    """What was timed: `settings` are what it ran with (device, threads, TF32, XLA), read back from its framework."""

    label: str
    kind: str
    settings: Mapping[str, str | int | bool]


@dataclass(frozen=True)
class Timing:
    """The result: `cases` are in the order given; `seconds` is what the measurement took.

    `cold` is what a fresh process needs for each model, where that was measured, see `cold_start`.
    """

    models: tuple[TimedModel, ...]
    cases: tuple[CaseTiming, ...]
    options: Options
    seconds: float
    cold: tuple[ColdStart, ...] = ()

    def too_slow(self, limit: float) -> list[str]:
        """Say why no model is proven to take at most `limit` times as long as the first; empty when it is proven.

        Proven means that the upper end of the interval is within the limit, at every set of sizes. What is not
        proven fails, and the words say which it is: slower for certain, or not to be told. Raises `UsageError` when
        only one model was timed.
        """
        if len(self.models) < 2:
            raise UsageError("--max-slowdown compares two models; only one was timed")
        complaints = []
        for case in self.cases:
            for ratio in case.ratios:
                taken = f"{ratio.label} takes {ratio} times as long as {ratio.baseline}{case.where}"
                if ratio.low > limit:
                    complaints.append(f"{taken}; the limit is {limit:g}")
                elif not ratio.high <= limit:
                    complaints.append(
                        f"{taken}, and the limit {limit:g} lies within this interval: not proven. "
                        "Measure for longer, or on a quieter machine"
                    )
        return complaints

    def warnings(self) -> list[str]:
        """Say where the machine was too noisy, or the time too short, to trust a number."""
        found = []
        for case in self.cases:
            where = case.where
            for model in case.models:
                if not model.warm:
                    found.append(f"{model.label} was still changing speed{where} when its time for warming up was over")
                if not model.steady:
                    found.append(
                        f"the machine changed speed{where}: {model.label} took {model.drift:#.3g} times as long in the "
                        "second half of its rounds; do not rely on its times"
                    )
            for ratio in case.ratios:
                if not ratio.steady:
                    found.append(
                        f"the two halves of the rounds disagree{where} on {ratio.label} against {ratio.baseline}; "
                        "the interval holds both"
                    )
                if ratio.word == "too noisy to tell":
                    found.append(f"too noisy to tell{where}: {ratio.label} against {ratio.baseline} is {ratio}")
        return found


def timing(models: Sequence[tuple[str, Model]], cases: Sequence[Case], options: Options | None = None) -> Timing:
    """Time labelled models on the same inputs, in turns, and compare each with the first.

    Raises `UsageError` when there is nothing to time, or a model fails on the inputs.
    """
    options = options or Options()
    if not models or not cases:
        raise UsageError("there is nothing to time")
    start = options.clock()
    races = [[Stopwatch(label, model, case, options.clock) for label, model in models] for case in cases]
    with _no_garbage_collection():
        _measure(races, options)
    batch = batch_dimension(models[0][1])
    return Timing(
        tuple(TimedModel(label, model.kind, model.settings()) for label, model in models),
        tuple(_result(case, batch, race, options) for case, race in zip(cases, races, strict=True)),
        options,
        options.clock() - start,
    )


def batch_dimension(model: Model) -> str | None:
    """Return the name of the symbolic dimension that counts items: `batch`, or else what is somewhere a first axis."""
    names = symbols(model.inputs)
    firsts = [spec.shape[0] for spec in open_dims(model.inputs) if spec.shape]
    return "batch" if "batch" in names else next((name for name in names if name in firsts), None)


def sweep(
    model: Model, batches: Sequence[int] | None = None, asked: Mapping[str, Sequence[int]] | None = None
) -> dict[str, list[int]]:
    """Return the sizes of the symbolic dimensions for a sweep over the batch, as `InputPlan` takes them.

    What is in `asked` is taken as it is; the batch takes those of `batches` (1 and 8 when None) that the model allows,
    any other dimension its first default size. Raises `UsageError` for a dimension that the model does not have, and
    where it allows none of `batches`.
    """
    asked = asked or {}
    batch = batch_dimension(model)
    low, high = getattr(model, "ranges", {}).get(batch, (1, math.inf))
    allowed = [size for size in batches or _BATCHES if low <= size <= high]
    if batches and batch is not None and batch not in asked and not allowed:
        tried = ", ".join(map(str, batches))
        raise UsageError(f"a batch of {tried} is not what the model takes: {batch} lies between {low} and {high}")
    return {
        name: list(asked.get(name, allowed if name == batch and allowed else [default]))
        for name, default in size_choices(model, {name: sizes[:1] for name, sizes in asked.items()})[0].items()
    }


def _measure(races: Sequence[Sequence[Stopwatch]], options: Options) -> None:
    """Let the stopwatches of each case take turns, round after round, each round going through all cases.

    So every case is measured from the beginning to the end, and what the machine does in between shows in the rounds.
    """
    clock, share = options.clock, options.seconds / len(races)
    budget = options.seconds
    for race in races:
        for stopwatch in race:
            budget -= stopwatch.warm_up(share * _WARMUP_SHARE / len(race))
    start = until = clock()
    turns = rounds = 0
    while rounds < FEWEST or (rounds < _ROUNDS and clock() < start + budget):
        for race in races:
            until += budget / len(races) / _ROUNDS
            while True:
                # A B, B A, A B, ...: no model comes first more often.
                for stopwatch in race if turns % 2 == 0 else reversed(race):
                    stopwatch.turn()
                turns += 1
                if clock() >= until:
                    break
            for stopwatch in race:
                stopwatch.end_round()
        rounds += 1


def _result(case: Case, batch: str | None, race: Sequence[Stopwatch], options: Options) -> CaseTiming:
    items = case.sizes.get(batch) if batch else None
    timed = tuple(stopwatch.result(items or 1) for stopwatch in race)
    ratios = tuple(_ratio(timed[0], other, options) for other in timed[1:])
    return CaseTiming(case.label, dict(case.sizes), items, timed, ratios)


def _ratio(baseline: ModelTiming, other: ModelTiming, options: Options) -> Ratio:
    value, low, high, steady = ratio_interval(
        baseline.rounds,
        other.rounds,
        confidence=options.confidence,
        resamples=options.resamples,
        seed=options.seed,
    )
    return Ratio(other.label, baseline.label, value, low, high, options.confidence, steady)


@contextlib.contextmanager
def _no_garbage_collection() -> Iterator[None]:
    """As `timeit` does: what Python collects during one model's turn may be the other's garbage."""
    enabled = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
