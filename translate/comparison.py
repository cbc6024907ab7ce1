"""Two models from opening to verdict: what `translate verify` and `translate bench` do."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from translate.errors import TranslateError, UsageError
from translate.graphs import to_onnx

if TYPE_CHECKING:
    import onnx_ir as ir

    from translate.models.base import Dim, Model, Spec
    from translate.models.device import Placement
    from translate.models.distributions import Distribution
    from translate.verify.bisect import Finding
    from translate.verify.cases import Case, InputPlan
    from translate.verify.cold_start import ColdStart
    from translate.verify.gradients import GradientVerdict
    from translate.verify.timing import Timing
    from translate.verify.tolerance import Allowed
    from translate.verify.verdict import Verdict


@dataclass(frozen=True)
class Side:
    """One of the two models to open, with the options that belong to it; see `open_model`."""

    source: object
    inputs: Sequence[str | Spec] = ()
    sample: str | Path | None = None
    weights: str | Path | None = None
    signature: str = "serving_default"
    unsafe_load: bool = False
    via: str | None = None
    graph_inputs: Sequence[str] = ()
    graph_outputs: Sequence[str] = ()
    custom_objects: str | Path | None = None

    def open(self, placement: Placement | None, notes: list[str], expected: Sequence[str | Spec] = ()) -> Model:
        """Open it where `placement` says, by another runtime if `via` names one; `expected` is as in `open_model`."""
        if self.via is not None:
            from translate.models.via import open_via

            return open_via(self.via, str(self.source), signature=self.signature, placement=placement, notes=notes)
        from translate.models.open import open_model

        return open_model(
            self.source,
            inputs=self.inputs,
            expected=expected,
            sample=self.sample,
            weights=self.weights,
            signature=self.signature,
            graph_inputs=self.graph_inputs,
            graph_outputs=self.graph_outputs,
            unsafe_load=self.unsafe_load,
            custom_objects=self.custom_objects,
            placement=placement,
            notes=notes,
        )


@dataclass(frozen=True)
class Pair:
    """Two open models under one set of names; `aliases` are the names that the source had: {old: new}."""

    source: Model
    target: Model
    aliases: Mapping[str, str]
    notes: list[str]


@dataclass(frozen=True)
class Wanted:
    """What to find out about a pair besides the verdict.

    `bisect` looks for the first value that differs when the verdict fails, and writes what reproduces it into
    `bisect_folder`; `gradients` compares derivatives; `max_slowdown` is the greatest ratio of the target's time to the
    source's, measured for `seconds`; `save_inputs` is a folder for the inputs.
    """

    bisect: bool = False
    bisect_folder: Path | None = None
    gradients: bool = False
    max_slowdown: float | None = None
    seconds: float = 10.0
    save_inputs: Path | None = None


@dataclass(frozen=True)
class Comparison:
    """What was found; each part is None where it was not asked for."""

    verdict: Verdict
    finding: Finding | None = None
    gradients: GradientVerdict | None = None
    timing: Timing | None = None
    replay: Path | None = None


@dataclass
class _Graph:
    """The source as an ONNX graph, made when it is first needed."""

    pair: Pair
    made: ir.Model | None = None
    refusal: str = field(default="", init=False)

    def get(self, without: str) -> ir.Model | None:
        """Return the graph; None where the source has no way to ONNX, and a note says what is `without` it."""
        if self.made is None and not self.refusal:
            try:
                self.made = to_onnx(_unwrapped(self.pair.source), self.pair.notes)
            except TranslateError as error:
                self.refusal = str(error).splitlines()[0]
        if self.made is None:
            self.pair.notes.append(f"{without}: {self.refusal}")
        return self.made


def cut_graphs(sides: Sequence[Side], inputs: Sequence[str], outputs: Sequence[str]) -> list[Side]:
    """Return `sides`, each frozen graph among them cut out by these tensors.

    Raises `UsageError` where tensors are named and none of the sides is a frozen graph.
    """
    from translate.models.open import is_frozen_graph

    frozen = [is_frozen_graph(side.source) for side in sides]
    if (inputs or outputs) and not any(frozen):
        raise UsageError("--inputs and --outputs are for frozen graphs (.pb); none of these models is one")
    return [
        replace(side, graph_inputs=inputs, graph_outputs=outputs) if is_graph else side
        for side, is_graph in zip(sides, frozen, strict=True)
    ]


def open_pair(
    source: Side,
    target: Side,
    *,
    renames: Mapping[str, str] | None = None,
    placement: Placement | None = None,
    notes: list[str] | None = None,
) -> Pair:
    """Open both models and bring them under one set of names, see `translate.models.align`."""
    from translate.models.align import align

    notes = notes if notes is not None else []
    ours = source.open(placement, notes)
    old = [spec.name for spec in ours.inputs]
    expected = [replace(spec, name=(renames or {}).get(spec.name, spec.name)) for spec in ours.inputs]
    ours, theirs = align(ours, target.open(placement, notes, expected), renames, notes)
    return Pair(ours, theirs, dict(zip(old, (spec.name for spec in ours.inputs), strict=True)), notes)


def compare_pair(
    pair: Pair,
    plan: InputPlan | Sequence[Case],
    *,
    rtol: Allowed = None,
    atol: Allowed = None,
    near: float | None = None,
    wanted: Wanted | None = None,
    graph: ir.Model | None = None,
    progress: Callable[[str], None] | None = None,
) -> Comparison:
    """Compare a pair on the inputs that `plan` asks for, or on these cases, and find out what else is `wanted`.

    `graph` is the source as an ONNX graph, under its old names or the pair's, if it is at hand: it bounds integer
    inputs that index, and tells which integer outputs are indices. It is exported when it is needed and not given.

    Raises `UsageError` where the inputs do not fit the source.
    """
    from translate.verify import compare

    wanted = wanted or Wanted()
    say = progress or (lambda stage: None)
    known = _Graph(pair, graph)
    made_up = None if isinstance(plan, Sequence) else plan
    counts = made_up is not None and _counts(pair.source.inputs, made_up)
    bounds = input_bounds(known.get("the bounds of integer inputs are not known"), pair) if counts else {}

    def exported() -> ir.Model | None:
        return _renamed(known.get("integer outputs are not judged by what they index"), pair.aliases)

    def cases(notes: list[str] | None = None) -> Iterator[Case]:
        return iter(plan) if isinstance(plan, Sequence) else make_cases(pair, plan, bounds, notes)

    if wanted.gradients:
        from translate.verify.gradients import check_differentiable

        check_differentiable(pair.source, pair.target)
    if wanted.save_inputs is not None:
        from translate.verify.replay import check_new

        check_new(wanted.save_inputs)
    say("verify")
    verdict = compare(pair.source, pair.target, cases(pair.notes), rtol=rtol, atol=atol, near=near, graph=exported)
    found = Comparison(verdict)
    if wanted.save_inputs is not None:
        from translate.verify.replay import save_cases

        save_cases(cases(), wanted.save_inputs)
        found = replace(found, replay=wanted.save_inputs)
    if wanted.bisect and verdict.runs and not verdict.passed:
        say("bisect")
        found = replace(found, finding=_bisect(pair, known, verdict, cases(), wanted.bisect_folder))
    # Before the gradients: PyTorch's backward pass leaves threads behind that slow its later calls down.
    if wanted.max_slowdown is not None and not verdict.interface:
        say("timing")
        first = {name: sizes[:1] for name, sizes in (made_up.sizes if made_up else {}).items()}
        models = [("source", pair.source), ("target", pair.target)]
        found = replace(found, timing=race(models, first, wanted.seconds))
    if wanted.gradients and not verdict.interface:
        from translate.verify.gradients import compare_gradients

        say("gradients")
        found = replace(found, gradients=compare_gradients(pair.source, pair.target, next(cases())))
    return found


def make_cases(
    pair: Pair, plan: InputPlan, bounds: Mapping[str, Dim], notes: list[str] | None = None
) -> Iterator[Case]:
    """Make the inputs that `plan` asks for, for a pair."""
    from translate.verify.cases import cases

    ranges = getattr(pair.source, "ranges", None)
    own = {pair.aliases.get(name, name): known for name, known in _distributions(pair.source).items()}
    plan = replace(plan, distributions={**own, **plan.distributions})
    return cases(pair.source.inputs, ranges, plan, bounds, aliases=pair.aliases, notes=notes)


def open_rivals(sides: Sequence[Side], placement: Placement | None, notes: list[str]) -> list[tuple[str, Model]]:
    """Open models to time, all under the names of the first."""
    from translate.models.align import align

    first = sides[0].open(placement, notes)
    others = [side.open(placement, notes, first.inputs) for side in sides[1:]]
    aligned = [align(first, other, None, notes) for other in others]
    models = [aligned[0][0] if aligned else first, *(other for _, other in aligned)]
    return [(str(side.source), model) for side, model in zip(sides, models, strict=True)]


def race(
    models: Sequence[tuple[str, Model]],
    sizes: Mapping[str, Sequence[int]],
    seconds: float,
    *,
    batches: Sequence[int] | None = None,
    seed: int = 0,
) -> Timing:
    """Time models against the first of them, on random inputs of a `sweep` over the batch."""
    from translate.verify.cases import InputPlan, cases
    from translate.verify.timing import Options, sweep, timing

    source = models[0][1]
    plan = InputPlan(sizes=sweep(source, batches, sizes), seeds=(seed,))
    inputs = list(cases(source.inputs, getattr(source, "ranges", None), plan))
    return timing(models, inputs, Options(seconds=seconds, seed=seed))


def cold_starts(
    sides: Sequence[Side], models: Sequence[tuple[str, Model]], placement: Placement | None
) -> list[ColdStart]:
    """Load and run each side once in a process of its own."""
    from translate.models.inputs import format_input, open_dims
    from translate.verify.cases import InputPlan, cases
    from translate.verify.cold_start import cold_start

    source = models[0][1]
    case = next(cases(source.inputs, getattr(source, "ranges", None), InputPlan(seeds=(0,))))
    expected = [format_input(spec) for spec in open_dims(source.inputs)]
    starts = []
    for side, (label, model) in zip(sides, models, strict=True):
        if side.via is not None or not isinstance(side.source, str | Path):
            raise UsageError(f"a cold start needs a file to load; {label} has none")
        starts.append(
            cold_start(
                label,
                str(side.source),
                model,
                case,
                inputs=[str(item) for item in side.inputs],
                expected=expected,
                sample=None if side.sample is None else str(side.sample),
                weights=None if side.weights is None else str(side.weights),
                signature=side.signature,
                graph_inputs=side.graph_inputs,
                graph_outputs=side.graph_outputs,
                unsafe_load=side.unsafe_load,
                custom_objects=None if side.custom_objects is None else str(side.custom_objects),
                placement=placement,
            )
        )
    return starts


def input_bounds(graph: ir.Model | None, pair: Pair) -> dict[str, Dim]:
    """Return the greatest integer that each input of a source may hold, by its name in the pair."""
    if graph is None:
        return {}
    from translate.models.inputs import symbols
    from translate.verify.index_bounds import index_bounds

    bounds = index_bounds(graph, symbols(pair.source.inputs))
    return {pair.aliases.get(name, name): bound for name, bound in bounds.items()}


def _counts(inputs: Sequence[Spec], plan: InputPlan) -> bool:
    """Whether an integer input is drawn without being told from what."""
    return any(spec.dtype.startswith(("int", "uint")) and spec.name not in plan.distributions for spec in inputs)


def _renamed(graph: ir.Model | None, aliases: Mapping[str, str]) -> ir.Model | None:
    if graph is None:
        return None
    graph = graph.clone()
    for value in graph.graph.inputs:
        value.name = aliases.get(str(value.name), str(value.name))
    return graph


def _distributions(model: Model) -> Mapping[str, Distribution]:
    """Return how a model says itself that its inputs are drawn, by their own names."""
    known: Mapping[str, Distribution] = getattr(_unwrapped(model), "distributions", {})
    return known


def _unwrapped(model: Model) -> Model:
    from translate.models.renamed import RenamedInputs

    while isinstance(model, RenamedInputs):
        model = model.model
    return model


def _bisect(pair: Pair, graph: _Graph, verdict: Verdict, cases: Iterator[Case], folder: Path | None) -> Finding | None:
    from translate.verify.bisect import bisect

    failing = next((run for run in verdict.runs if run.outputs and not run.passed), None)
    if failing is None:
        pair.notes.append("--bisect: the target returned nothing to compare")
        return None
    exported = _renamed(graph.get("--bisect: the source has no ONNX graph"), pair.aliases)
    if exported is None:
        return None
    wanted = (failing.inputs, dict(failing.sizes), failing.seed)
    case = next(case for case in cases if (case.label, dict(case.sizes), case.seed) == wanted)
    return bisect(pair.source, pair.target, exported, case, folder=folder)
