"""Run two models on the same inputs and compare what they return."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TypeAlias

import numpy as np
import onnx_ir as ir

from translate.errors import TranslateError, UsageError, in_a_line
from translate.models.base import Array, Model
from translate.models.inputs import example_feeds
from translate.models.perturb import is_floating, neighbouring_feeds
from translate.verify.cases import Case, greatest_integers
from translate.verify.index_outputs import IndexJudge
from translate.verify.interface import interface_differences
from translate.verify.noise import (
    Measurement,
    Noise,
    copies,
    eps_of,
    finite_distances,
    largest,
    measure,
    pool,
    widened,
    widest,
)
from translate.verify.outputs import judge, tolerance_for
from translate.verify.sizes import size_choices
from translate.verify.tolerance import Allowed, Tolerance, check_names, loosest
from translate.verify.verdict import OutputParity, RunParity, Side, Verdict

# An output that moves by less than this many allowed distances when the input changes says nothing about parity:
# almost any mistake upstream of it would pass.
_DEAD_BELOW = 10.0
# Of a quantised target, of which much is allowed: below 1 an output that never changes would pass.
_DEAD_BELOW_NEAR = 2.0
# The label of cases that differ in nothing but the seed.
_TYPICAL = "random"
# The labels of cases that the source may refuse, and in which denormals, which TensorFlow makes zero, may play a part.
_EDGE = "edge"

# How many elements of an output make a good estimate of its noise.
_ENOUGH = 1000
# On how many inputs next to one that fails the noise is measured, too.
_DRAWS = 4

# What was measured of one output, by the place of the case in its group.
_Measured: TypeAlias = dict[int, Measurement]

_OTHER_INPUTS = "  choose other sizes with --sizes, fix a dimension with --input, or give real inputs with --sample"


def compare(
    source: Model,
    target: Model,
    cases: Iterable[Case] | None = None,
    *,
    sizes: Sequence[Mapping[str, int]] | None = None,
    sample: Mapping[str, Array] | None = None,
    seed: int = 0,
    rtol: Allowed = None,
    atol: Allowed = None,
    near: float | None = None,
    graph: ir.Model | Callable[[], ir.Model | None] | None = None,
) -> Verdict:
    """Run both models on the same inputs and return the verdict.

    `cases` are the inputs, see `translate.verify.cases`. Without them the inputs are random, of the seeds `seed` and
    `seed + 1` at each of `sizes` (`size_choices(source)` when None), and `sample`, real inputs; random integers then
    lie between 0 and the largest in the sample, otherwise they are 0 or 1.

    Each floating-point output is judged by the source's own rounding error, see `noise` and `tolerance`; `rtol` and
    `atol`, one number or one for each output by name, give the classic test instead; `near`, in decibels, asks for no
    more than this signal-to-noise ratio, for a target that is quantised. `graph` is the source as an ONNX
    graph, or makes it: it tells which integer outputs are indices, which are judged by the values that they point to
    where they differ.

    Raises `UsageError` when the inputs do not fit the source, or a tolerance names no output.
    """
    sides = _side(source), _side(target)
    interface = interface_differences(source, target)
    if interface:
        return Verdict(*sides, runs=(), interface=tuple(interface))
    check_names(rtol, [spec.name for spec in source.outputs])
    check_names(atol, [spec.name for spec in source.outputs])
    comparison = _Comparison(source, target, rtol, atol, near, graph)
    try:
        wanted = _default_cases(source, sizes, sample, seed) if cases is None else cases
        # One group at a time: what a model returned for earlier sizes need not be kept.
        for (label, _), group in itertools.groupby(wanted, key=lambda case: (case.label, dict(case.sizes))):
            comparison.run_group(label, list(group))
    finally:
        source.release()
    return Verdict(*sides, runs=tuple(comparison.runs), warnings=tuple(comparison.warnings()))


def _default_cases(
    source: Model, sizes: Sequence[Mapping[str, int]] | None, sample: Mapping[str, Array] | None, seed: int
) -> Iterator[Case]:
    bounds = greatest_integers(sample or {})
    for size in size_choices(source) if sizes is None else sizes:
        for case_seed in (seed, seed + 1):
            yield Case(_TYPICAL, size, case_seed, example_feeds(source.inputs, size, case_seed, bounds))
    if sample is not None:
        yield Case("sample", {}, None, sample)


@dataclass(frozen=True)
class _Pair:
    """What the two models returned for a case; `failure` is what the target said when it could not be run."""

    case: Case
    source: Mapping[str, Array]
    target: Mapping[str, Array]
    failure: str = ""


@dataclass(frozen=True)
class _Level:
    """The noise of one output in some cases, and the output's largest magnitude there."""

    noise: Noise
    scale: float

    def at(self, scale: float) -> Noise:
        """Return the noise of the same output where its largest magnitude is `scale`."""
        factor = scale / self.scale if self.scale else 1.0
        return replace(self.noise, maximum=self.noise.maximum * factor, rms=self.noise.rms * factor)


@dataclass
class _Comparison:
    """The runs so far, and what later runs and the verdict need of them.

    `levels` are the levels of noise that were measured, by output; `movement` is how far each output moved between two
    random inputs, in allowed distances; `noisy` are the outputs of which rounding, or chance, changes half of the
    digits, `unsteady` those among them that a second run on the same inputs changes; `left_out` says which edge cases
    the source itself refused.
    """

    source: Model
    target: Model
    rtol: Allowed
    atol: Allowed
    near: float | None
    graph: ir.Model | Callable[[], ir.Model | None] | None
    runs: list[RunParity] = field(default_factory=list)
    levels: dict[str, list[_Level]] = field(default_factory=dict)
    movement: dict[str, float] = field(default_factory=dict)
    noisy: set[str] = field(default_factory=set)
    unsteady: set[str] = field(default_factory=set)
    left_out: list[str] = field(default_factory=list)

    @cached_property
    def index_judge(self) -> IndexJudge | None:
        """Made when an output of integers differs: to export the source takes a while."""
        graph = self.graph() if callable(self.graph) else self.graph
        return None if graph is None else IndexJudge(graph)

    def run_group(self, label: str, cases: Sequence[Case]) -> None:
        """Run both models on cases of the same kind and sizes, which are judged by the same limits.

        The noise is measured on the first cases of all. Later ones are judged by that, in proportion to their scale;
        only when they fail is their own measured too, and then that of inputs next to theirs.
        """
        pairs = [pair for case in cases if (pair := self._run(case)) is not None]
        if not pairs:
            return
        values = {name: np.concatenate([p.source[name].ravel() for p in pairs]) for name in pairs[0].source}
        measured: dict[str, _Measured] = {}
        if not self.levels and self.near is None:
            measured = self._measure(label, pairs, values)
        runs = self._judge(pairs, values, measured)
        if not measured and any(_is_too_far(output) for run in runs for output in run.outputs):
            measured = self._measure(label, pairs, values)
            runs = self._judge(pairs, values, measured)
        failed = [pair for pair, run in zip(pairs, runs, strict=True) if any(map(_is_too_far, run.outputs))]
        if failed and not label.startswith(_EDGE):
            self._measure_around(failed, values)
            runs = self._judge(pairs, values, measured)
        self.runs += runs
        if label == _TYPICAL:
            self._note_movement(pairs, runs[0])

    def warnings(self) -> Iterator[str]:
        """Say what weakens the verdict."""
        yield from self.left_out
        for name, moved in self.movement.items():
            if moved < (_DEAD_BELOW if self.near is None else _DEAD_BELOW_NEAR):
                yield f'output "{name}" hardly depends on the inputs: its agreement says little'
        for name in sorted(self.unsteady):
            yield f'two runs of the source on the same inputs differ in output "{name}": its agreement says little'
        for name in sorted(self.noisy - self.unsteady):
            yield (
                f'rounding alone changes more than half of the digits of the source\'s output "{name}": '
                "its agreement says little"
            )

    def _run(self, case: Case) -> _Pair | None:
        """Run both models; None for an edge case that the source refuses."""
        try:
            expected = self.source.run(copies(case.feeds))
        except Exception as error:
            # A framework raises anything here.
            if case.label.startswith(_EDGE):
                self.left_out.append(f"{case.label} was left out: the source itself fails: {in_a_line(error)}")
                return None
            if isinstance(error, TranslateError):
                raise
            # It is the request that does not fit: the source is what it is.
            where = ", ".join(f"{name}={size}" for name, size in case.sizes.items()) or "these inputs"
            raise UsageError(f"the source itself fails at {where}: {in_a_line(error)}\n{_OTHER_INPUTS}") from error
        try:
            return _Pair(case, expected, self.target.run(copies(case.feeds)))
        except Exception as error:
            # Whatever it is, the target does not do what the source does.
            return _Pair(case, expected, {}, f"the target fails where the source does not: {in_a_line(error)}")

    def _measure(self, label: str, pairs: Sequence[_Pair], values: Mapping[str, Array]) -> dict[str, _Measured]:
        """Measure the noise of each output on as many cases as it takes for a good estimate, and keep its level."""
        edge = label.startswith(_EDGE)
        measured: dict[str, _Measured] = {}
        for place, pair in enumerate(pairs):
            for name, measurement in measure(self.source, pair.case.feeds, pair.source, edge=edge).items():
                measured.setdefault(name, {})[place] = measurement
            if all(sum(one.distances.size for one in found.values()) >= _ENOUGH for found in measured.values()):
                break
        # What rounding does at an edge, denormals that become zero say, it does nowhere else.
        for name, found in {} if edge else measured.items():
            level = _Level(pool(found.values()), largest(values[name]))
            self.levels.setdefault(name, []).append(level)
            if level.noise.maximum > level.scale * np.sqrt(eps_of(values[name])):
                self.noisy.add(name)
        if self.noisy - self.unsteady:
            again = self.source.run(copies(pairs[0].case.feeds))
            moved = [name for name in self.noisy if not _same(again[name], pairs[0].source[name])]
            self.unsteady.update(moved)
        return measured

    def _measure_around(self, pairs: Sequence[_Pair], values: Mapping[str, Array]) -> None:
        """Add the level of the noise next to the inputs of `pairs`.

        Where a network amplifies few directions, all errors of a run are one number times these, and one run may be
        exact by luck: each neighbouring input is another draw of that number.
        """
        found: dict[str, list[Measurement]] = {}
        # Integers have no neighbours: the same inputs would give the same noise again.
        movable = [pair for pair in pairs if any(is_floating(array.dtype) for array in pair.case.feeds.values())]
        for pair, seed in itertools.product(movable, range(_DRAWS)):
            feeds = neighbouring_feeds(copies(pair.case.feeds), seed)
            for name, measurement in measure(self.source, feeds, self.source.run(copies(feeds))).items():
                found.setdefault(name, []).append(measurement)
        for name, measurements in found.items():
            self.levels.setdefault(name, []).append(_Level(pool(measurements), largest(values[name])))

    def _judge(
        self, pairs: Sequence[_Pair], values: Mapping[str, Array], measured: Mapping[str, _Measured]
    ) -> list[RunParity]:
        noises: dict[str, Noise | None] = {}
        tolerances: dict[str, Tolerance] = {}
        for name, value in values.items():
            # Rounding may by luck be rare on one set of inputs, such as zeros; it is never expected to be.
            known: list[Noise | None] = [level.at(largest(value)) for level in self.levels.get(name, ())]
            known += [pool(measured[name].values())] if name in measured else []
            noises[name] = widest(known)
            step = getattr(self.source, "steps", {}).get(name, 0.0)
            tolerances[name] = loosest(
                tolerance_for(name, value, noise, self.rtol, self.atol, step, self.near) for noise in known or [None]
            )
        runs: list[RunParity] = []
        for place, pair in enumerate(pairs):
            outputs = []
            for name, expected in () if pair.failure else pair.source.items():
                own = measured.get(name, {}).get(place)
                distances = None if own is None else own.distances
                output = judge(name, expected, pair.target[name], tolerances[name], noises[name], distances)
                if not output.passed and expected.dtype.kind in "iu" and self.index_judge is not None:
                    output = self.index_judge.judge(output, expected, pair.target[name], pair.case.feeds)
                outputs.append(output)
            case = pair.case
            runs.append(RunParity(dict(case.sizes), case.seed, tuple(outputs), case.label, pair.failure))
        return runs

    def _note_movement(self, pairs: Sequence[_Pair], run: RunParity) -> None:
        for output in run.outputs:
            for other in pairs[1:2]:
                first, second = pairs[0].source[output.name], other.source[output.name]
                if not first.size:
                    continue
                moved = judge(output.name, first, second, output.tolerance, details=False)
                self.movement[output.name] = max(self.movement.get(output.name, 0.0), moved.error)


def _same(a: Array, b: Array) -> bool:
    return a.shape == b.shape and not finite_distances(widened(a), widened(b)).any()


def _is_too_far(output: OutputParity) -> bool:
    """Say whether more noise might make `output` pass."""
    return output.tolerance.kind == "calibrated" and not output.passed and bool(np.isfinite(output.error))


def _side(model: Model) -> Side:
    try:
        return Side(model.kind, tuple(model.inputs), tuple(model.outputs))
    except TranslateError:
        raise
    except Exception as error:
        # A PyTorch model is run for its outputs, and may raise anything.
        raise UsageError(f"the {model.kind} fails on example inputs: {in_a_line(error)}\n{_OTHER_INPUTS}") from error
