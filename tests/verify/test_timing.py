"""Times are taken by a clock that only the models move, so that every number can be foretold."""

from __future__ import annotations

import gc
from collections.abc import Iterator, Mapping
from itertools import chain, repeat
from typing import Any

import numpy as np
import pytest

from translate.errors import UsageError
from translate.models.base import Array, Model, Spec
from translate.verify.bootstrap import FEWEST, RESOLUTION
from translate.verify.cases import Case
from translate.verify.cold_start import ColdStart
from translate.verify.stopwatch import latency
from translate.verify.timing import Options, Ratio, Timing, batch_dimension, sweep, timing

pytestmark = pytest.mark.once


class Clock:
    def __init__(self) -> None:
        self.now = 0.0
        self.order: list[str] = []

    def __call__(self) -> float:
        return self.now


class Fake(Model):
    """A model whose calls take the given seconds, one after the other, and then the last for ever."""

    kind = "fake"
    outputs = (Spec("y", "float32", ("batch",)),)

    def __init__(self, clock: Clock, name: str, *seconds: float, dims: tuple[Any, ...] = ("batch", 3)) -> None:
        self.clock = clock
        self.name = name
        self.seconds: Iterator[float] = chain(seconds, repeat(seconds[-1]))
        self.inputs = (Spec("x", "float32", dims),)

    def upload(self, feeds: Mapping[str, Array]) -> Any:
        self.clock.now += 0.25
        return super().upload(feeds)

    def call(self, values: Any) -> Any:
        self.clock.order.append(self.name)
        self.clock.now += next(self.seconds)
        return {"y": values["x"][:, 0]}

    def download(self, results: Any) -> dict[str, Array]:
        self.clock.now += 0.125
        return super().download(results)

    def settings(self) -> Mapping[str, str | int | bool]:
        return {"device": "cpu"}


def case(batch: int = 4) -> Case:
    return Case("random", {"batch": batch}, 0, {"x": np.zeros((batch, 3), np.float32)})


def race(clock: Clock, *models: Fake, seconds: float = 100.0, cases: tuple[Case, ...] = (case(),)) -> Timing:
    return timing([(m.name, m) for m in models], cases, Options(seconds=seconds, clock=clock, resamples=200))


def test_what_is_measured_is_what_the_clock_says() -> None:
    clock = Clock()
    found = race(clock, Fake(clock, "a", 0.5), Fake(clock, "b", 0.75))
    a, b = found.cases[0].models
    assert (a.call.p50, a.call.p99, a.call.mean, b.call.p50) == (0.5, 0.5, 0.5, 0.75)
    assert (a.upload.p50, a.download.p50) == (0.25, 0.125)
    # Items: a batch of four in half a second.
    assert (found.cases[0].items, a.throughput) == (4, 8.0)
    (ratio,) = found.cases[0].ratios
    assert (ratio.value, ratio.low, ratio.high) == pytest.approx((1.5, 1.5 / RESOLUTION, 1.5 * RESOLUTION))
    assert (ratio.label, ratio.baseline, ratio.word) == ("b", "a", "slower")
    assert found.models[0].settings == {"device": "cpu"}
    assert found.seconds == clock.now
    assert not found.warnings()


def test_the_same_against_itself_is_no_different() -> None:
    clock = Clock()
    (ratio,) = race(clock, Fake(clock, "a", 0.5), Fake(clock, "a", 0.5)).cases[0].ratios
    assert ratio.low <= 1 <= ratio.high
    assert ratio.word == "no different"


def test_models_take_turns_and_none_always_comes_first() -> None:
    clock = Clock()
    found = race(clock, Fake(clock, "a", 0.5), Fake(clock, "b", 0.5))
    a, b = found.cases[0].models
    assert a.call.count == b.call.count > 20
    turns = clock.order[-2 * a.call.count :]
    assert "".join(turns[:8]) == "abbaabba"
    assert abs(turns[::2].count("a") - turns[1::2].count("a")) <= 1


def test_every_case_is_measured_all_the_time() -> None:
    clock = Clock()

    class Slows(Fake):
        """Takes twice as long in the second half of the time, whatever the batch is."""

        def call(self, values: Any) -> Any:
            self.clock.now += 0.5 if self.clock.now > 100 else 0.0
            return super().call(values)

    found = race(clock, Slows(clock, "a", 0.5), seconds=200.0, cases=(case(1), case(8)))
    for timed in found.cases:
        times = timed.models[0].rounds
        assert times[0] == 0.5 and times[-1] == 1.0
        assert 0.2 < times.count(0.5) / len(times) < 0.8


def test_a_first_call_that_compiles_is_no_part_of_the_latency() -> None:
    clock = Clock()
    found = race(clock, Fake(clock, "a", 60.0, 9.0, 3.0, 0.5), seconds=100.0)
    model = found.cases[0].models[0]
    assert model.first_call == 60.0
    assert (model.call.p99, model.warm) == (0.5, True)
    # The budget holds for what comes after the first call.
    assert found.seconds < 60 + 100 + 1


def test_a_model_that_is_slower_than_the_budget_gets_its_rounds() -> None:
    clock = Clock()
    found = race(clock, Fake(clock, "a", 50.0), Fake(clock, "b", 51.0), seconds=1.0)
    assert len(found.cases[0].models[0].rounds) == FEWEST
    assert not found.cases[0].models[0].warm
    assert "warming up" in found.warnings()[0]


def test_short_calls_share_a_turn() -> None:
    clock = Clock()
    found = race(clock, Fake(clock, "a", 1 / 256), Fake(clock, "b", 0.5), seconds=50.0)
    a, b = found.cases[0].models
    assert (a.calls_per_turn, b.calls_per_turn) == (3, 1)
    assert len(a.rounds) == len(b.rounds)
    assert a.call.count == 3 * b.call.count


def test_every_case_is_timed() -> None:
    clock = Clock()
    found = race(clock, Fake(clock, "a", 0.5), cases=(case(1), case(8)))
    assert [c.items for c in found.cases] == [1, 8]
    assert found.cases[1].models[0].throughput == 16.0
    assert found.cases[1].where == " at batch=8"


def test_a_machine_that_changes_speed_is_said() -> None:
    clock = Clock()
    found = race(clock, Fake(clock, "a", *repeat(0.5, 60), 1.0), seconds=100.0)
    assert found.cases[0].models[0].drift == 2.0
    assert "changed speed at batch=4" in found.warnings()[0]


def test_a_failing_model_is_a_usage_error() -> None:
    class Broken(Fake):
        def call(self, values: Any) -> Any:
            raise ValueError("bad kernel")

    clock = Clock()
    with pytest.raises(UsageError, match=r"b fails at batch=4: ValueError: bad kernel"):
        race(clock, Fake(clock, "a", 0.5), Broken(clock, "b", 0.5))
    with pytest.raises(UsageError, match="nothing to time"):
        race(clock)


def test_garbage_collection_is_off_and_comes_back() -> None:
    class Looks(Fake):
        def call(self, values: Any) -> Any:
            assert not gc.isenabled()
            return super().call(values)

    clock = Clock()
    race(clock, Looks(clock, "a", 0.5))
    assert gc.isenabled()


def result(low: float, high: float) -> Timing:
    clock = Clock()
    found = race(clock, Fake(clock, "a", 0.5), Fake(clock, "b", 0.5))
    ratio = Ratio("b", "a", (low * high) ** 0.5, low, high, 0.95, True)
    (only,) = found.cases
    object.__setattr__(only, "ratios", (ratio,))
    return found


def test_the_gate_asks_for_proof() -> None:
    assert result(0.9, 1.19).too_slow(1.2) == []
    (slower,) = result(1.3, 1.4).too_slow(1.2)
    assert slower == "b takes 1.35 [1.30, 1.40] times as long as a at batch=4; the limit is 1.2"
    (unknown,) = result(0.9, 1.3).too_slow(1.2)
    assert "not proven" in unknown
    assert len(result(float("nan"), float("nan")).too_slow(1.2)) == 1


def test_the_gate_needs_two_models() -> None:
    clock = Clock()
    with pytest.raises(UsageError, match="only one was timed"):
        race(clock, Fake(clock, "a", 0.5)).too_slow(1.2)


@pytest.mark.parametrize(
    ("low", "high", "word"),
    [(0.8, 0.9, "faster"), (1.1, 3.0, "slower"), (0.98, 1.03, "no different"), (0.8, 1.3, "too noisy to tell")],
)
def test_the_word(low: float, high: float, word: str) -> None:
    found = result(low, high)
    assert found.cases[0].ratios[0].word == word
    assert bool(found.warnings()) == (word == "too noisy to tell")


def test_percentiles_are_those_of_the_times() -> None:
    found = latency([float(i) for i in range(101)])
    assert (found.count, found.mean, found.p50, found.p90, found.p99) == (101, 50.0, 50.0, 90.0, 99.0)
    many = latency([float(i) for i in range(5001)])
    assert many.samples == tuple(float(i) for i in range(0, 5001, 3))


def test_the_sweep_is_over_the_batch() -> None:
    clock = Clock()
    model = Fake(clock, "a", 0.5, dims=("n", "seq", 3))
    assert batch_dimension(model) == "n"
    found = sweep(model, (1, 8))
    assert found["n"] == [1, 8]
    assert len(found["seq"]) == 1
    assert sweep(model, (1, 8), {"n": [3], "seq": [128]}) == {"n": [3], "seq": [128]}
    with pytest.raises(UsageError, match="no such dimension"):
        sweep(model, (1,), {"m": [2]})
    fixed = Fake(clock, "a", 0.5, dims=(4, 3))
    assert batch_dimension(fixed) is None
    assert sweep(fixed) == {}


def test_the_sweep_keeps_within_what_the_model_allows() -> None:
    model = Fake(Clock(), "a", 0.5)
    model.ranges = {"batch": (2, 16)}  # type: ignore[attr-defined]
    assert sweep(model, (1, 8, 32)) == {"batch": [8]}
    assert sweep(model, (32,), {"batch": [4]}) == {"batch": [4]}
    with pytest.raises(UsageError, match="batch lies between 2 and 16"):
        sweep(model, (1, 32))
    model.ranges = {"batch": (16, 32)}  # type: ignore[attr-defined]
    assert 16 <= sweep(model)["batch"][0] <= 32


def test_cold_starts_have_their_place() -> None:
    clock = Clock()
    assert race(clock, Fake(clock, "a", 0.5)).cold == ()
    assert ColdStart("a", 3.0, 1.0, 1.0, 0.5, 10, 5, None).label == "a"
