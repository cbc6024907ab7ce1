"""Whether two models can be trained alike: the gradients of one loss on both, and a few steps down another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import ml_dtypes
import numpy as np

from translate.errors import UsageError, in_a_line
from translate.models.base import Array, Gradients, Model, Spec
from translate.models.inputs import numpy_dtype
from translate.models.perturb import is_floating
from translate.verify.cases import Case
from translate.verify.descent import LossCurve, TargetError, compare_descent
from translate.verify.noise import (
    PERTURBED_RUNS,
    Method,
    Noise,
    copies,
    finite_distances,
    largest,
    root_mean_square,
    widened,
    widest,
)
from translate.verify.outputs import judge
from translate.verify.tolerance import Tolerance, calibrated

Kind = Literal["input", "parameter"]
# What is allowed in any case, in units in the last place. That of a bias is a sum over all positions of all
# samples, which PyTorch adds up in pairs and TensorFlow one after the other, so that it loses a digit more.
ULPS = 16.0


@dataclass(frozen=True)
class GradientParity:
    """The gradient of the loss with respect to one input or one parameter.

    `kind` says which, `dtype` and `shape` are those of the source. `max_abs` is the largest `|a - b|` over the
    elements, `rms` the root mean square of the distances, `scale` the source's largest magnitude, `noise` the source's
    own rounding error (its distance from its gradient in float64, or from that of a model one rounding away),
    `allowed` the largest distance that passes, `error` is the distance in units of what is allowed (1 is the limit,
    infinite where no distance would do). `problems` say why it did not pass, `notes` what is worth knowing though it
    did.
    """

    name: str
    kind: Kind
    dtype: str
    shape: tuple[int, ...]
    max_abs: float = 0.0
    rms: float = 0.0
    scale: float = 0.0
    noise: float = 0.0
    allowed: float = 0.0
    error: float = 0.0
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether source and target agree."""
        return not self.problems


@dataclass(frozen=True)
class GradientVerdict:
    """Whether two models have the same gradients and learn alike, on one set of inputs.

    `sizes` are those of the symbolic dimensions. `gradients` come in the order of the source's inputs, then of its
    parameters. `curve` is None where there was nothing to train or the gradients could not be taken. `failure` is
    what the target said when it could not be differentiated at all. `notes` say what was left out: outputs that have
    no gradient, parameters that only one side has.
    """

    seed: int
    sizes: Mapping[str, int]
    gradients: tuple[GradientParity, ...] = ()
    curve: LossCurve | None = None
    failure: str = ""
    notes: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether every gradient agrees, and the loss curves do where there are any."""
        agree = all(gradient.passed for gradient in self.gradients) and (self.curve is None or self.curve.passed)
        return not self.failure and bool(self.gradients) and agree


def compare_gradients(
    source: Model, target: Model, case: Case, *, outputs: Sequence[str] | None = None, steps: int = 5
) -> GradientVerdict:
    """Differentiate one loss on both sides with respect to every floating-point input and every parameter they share.

    The loss is the sum of each floating-point output, of all or of `outputs`, times fixed random weights. A plain sum
    would not do: that of a softmax is always one and that of a layer normalisation always zero, whose gradients are
    nothing but rounding.
    Then `steps` steps of gradient descent on the mean squared distance from a random goal are taken on both sides; the
    models stay as they are.

    Each gradient is judged as an output is, by the source's own rounding error, see `noise` and `tolerance`: the
    distance from its gradients in float64, and where that does not explain a difference, from those with inputs and
    parameters one rounding away. The latter also covers kinks: where the input of a relu is zero, or two values are the
    largest of a pool, frameworks may choose different gradients, each as right as the other. Such a choice that a
    rounding overturns is part of the noise. A gradient that a framework calls None is one of zeros.

    Raises `UsageError` when one of the models has no gradients at all, or the source cannot be differentiated.
    """
    asked = [spec for spec in source.outputs if outputs is None or spec.name in outputs]
    real = _real_outputs(source, asked)
    left_out = [f'output "{spec.name}" is {spec.dtype}: it has no gradient' for spec in asked if spec.name not in real]
    seed = case.seed or 0
    verdict = GradientVerdict(seed, dict(case.sizes), notes=tuple(left_out))
    loss = _WeightedSum(real, seed)
    ours = source.gradients(copies(case.feeds), loss)
    if ours is None:
        raise _without_gradients(source)
    try:
        theirs = target.gradients(copies(case.feeds), loss)
    except Exception as error:
        # A framework raises anything here; whatever it is, the target cannot be trained as the source can.
        return replace(verdict, failure=in_a_line(error))
    if theirs is None:
        raise _without_gradients(target)
    pairs, notes = _pair(ours, theirs)
    found = _judge(source, case, loss, pairs)
    verdict = replace(verdict, gradients=tuple(found), notes=(*left_out, *notes))
    trained = {pair.name: pair.their_name for pair in pairs if pair.kind == "parameter" and pair.in_both}
    if not trained or not steps:
        return verdict
    try:
        return replace(verdict, curve=compare_descent(source, target, case, real, trained, steps))
    except TargetError as error:
        return replace(verdict, failure=in_a_line(error.__cause__ or error))


def check_differentiable(source: Model, target: Model) -> None:
    """Raise `UsageError` where it is plain from the start that gradients cannot be compared."""
    _real_outputs(source, source.outputs)
    for model in (source, target):
        if not model.differentiable:
            raise _without_gradients(model)


def _real_outputs(source: Model, asked: Sequence[Spec]) -> dict[str, str]:
    """Return the dtypes of the outputs that have gradients, of those that are `asked` for, by name."""
    outputs = {spec.name: spec.dtype for spec in asked if _is_real(spec.dtype)}
    if not outputs:
        raise UsageError(f"the {source.kind} has no floating-point output to differentiate")
    return outputs


def _without_gradients(model: Model) -> UsageError:
    return UsageError(f"the {model.kind} has no gradients; they can be compared for PyTorch models and SavedModels")


class _WeightedSum:
    """The sum of each output times random weights, which are numbers of the output's own dtype."""

    def __init__(self, outputs: Mapping[str, str], seed: int) -> None:
        self._outputs = dict(outputs)
        self._seed = seed

    def __call__(self, outputs: Mapping[str, Array]) -> tuple[float, dict[str, Array]]:
        generator = np.random.default_rng(self._seed)
        weights = {
            name: generator.standard_normal(outputs[name].shape).astype(numpy_dtype(dtype))
            for name, dtype in self._outputs.items()
        }
        products = {name: widened(outputs[name]) * widened(weight) for name, weight in weights.items()}
        return sum(float(np.sum(product)) for product in products.values()), weights


@dataclass(frozen=True)
class _Pair:
    """A gradient on both sides; zeros stand for None. `in_both` says that both have such a parameter."""

    name: str
    their_name: str
    kind: Kind
    ours: Array
    theirs: Array
    in_both: bool = True


def _pair(ours: Gradients, theirs: Gradients) -> tuple[list[_Pair], list[str]]:
    """Match the gradients of both sides by name; say which parameters only one side has."""
    pairs: list[_Pair] = []
    for name, gradient in ours.inputs.items():
        pairs += _filled(name, name, "input", gradient, theirs.inputs.get(name))
    names = {ours.tied.get(theirs_name, theirs_name): theirs_name for theirs_name in theirs.parameters}
    shared = [name for name in ours.parameters if theirs.tied.get(name, name) in names]
    alone: list[str] = []
    for name, gradient in ours.parameters.items():
        if name in shared:
            their_name = names[theirs.tied.get(name, name)]
            pairs += _filled(name, their_name, "parameter", gradient, theirs.parameters[their_name])
        elif gradient is not None and np.any(gradient != 0):
            alone.append(name)
            if shared:
                # The translation kept names, and this weight is none of its variables.
                pairs.append(_Pair(name, name, "parameter", gradient, np.zeros_like(gradient), in_both=False))
    reached = {pair.name for pair in pairs}
    notes = [f'the outputs do not depend on input "{name}"' for name in ours.inputs if name not in reached]
    if ours.parameters and not shared:
        said = "the two models have no parameter in common: only the gradients of inputs were compared"
        return pairs, [*notes, said]
    foreign = sorted(set(names) - set(shared))
    if foreign:
        notes.append(f"only the target has the {_count(foreign)}")
    unused = [name for name in ours.parameters if name not in reached and name not in alone]
    if unused:
        notes.append(f"the outputs do not depend on the {_count(unused)}")
    return pairs, notes


def _filled(name: str, their_name: str, kind: Kind, ours: Array | None, theirs: Array | None) -> list[_Pair]:
    known = ours if ours is not None else theirs
    if known is None:
        return []
    zeros = np.zeros_like(known)
    return [_Pair(name, their_name, kind, zeros if ours is None else ours, zeros if theirs is None else theirs)]


def _judge(source: Model, case: Case, loss: _WeightedSum, pairs: Sequence[_Pair]) -> list[GradientParity]:
    exact = source.gradients(copies(case.feeds), loss, double=True)
    noise = _noise("float64", pairs, [exact])
    greatest = {kind: max((largest(widened(p.ours)) for p in pairs if p.kind == kind), default=0.0)
                for kind in ("input", "parameter")}  # fmt: skip
    found = [_judge_one(pair, noise[index], greatest[pair.kind]) for index, pair in enumerate(pairs)]
    if exact is not None and all(gradient.passed for gradient in found):
        return found
    perturbed = [source.gradients(copies(case.feeds), loss, seed=seed) for seed in range(PERTURBED_RUNS)]
    wider = [widest(both) for both in zip(noise, _noise("one ulp", pairs, perturbed), strict=True)]
    return [_judge_one(pair, wider[index], greatest[pair.kind]) for index, pair in enumerate(pairs)]


def _noise(method: Method, pairs: Sequence[_Pair], runs: Sequence[Gradients | None]) -> list[Noise | None]:
    """Return for each pair the source's largest distance from itself in `runs`."""
    noises: list[Noise | None] = []
    for pair in pairs:
        others = [(run.inputs if pair.kind == "input" else run.parameters).get(pair.name) for run in runs if run]
        distances = [finite_distances(widened(pair.ours), widened(other)) for other in others if other is not None]
        each = [Noise(method, float(d.max(initial=0.0)), root_mean_square(d)) for d in distances]
        noises.append(widest(each))
    return noises


def _judge_one(pair: _Pair, noise: Noise | None, greatest: float) -> GradientParity:
    tolerance = _tolerance(pair.ours, noise, greatest)
    parity = judge(pair.name, pair.ours, pair.theirs, tolerance, noise, details=False)
    problems, notes = list(parity.problems), list(parity.notes)
    zero = [side for side, array in (("source", pair.ours), ("target", pair.theirs)) if not np.any(array != 0)]
    if not pair.in_both:
        problems.insert(0, "it is no variable of the target, though the outputs depend on it")
    elif len(zero) == 2:
        notes.append("the outputs do not depend on it")
    elif zero and problems:
        problems.insert(0, f"the gradient is zero in the {zero[0]} only")
    return GradientParity(
        name=pair.name,
        kind=pair.kind,
        dtype=parity.dtype,
        shape=parity.shape,
        max_abs=parity.max_abs,
        rms=parity.rms,
        scale=parity.scale,
        noise=0.0 if noise is None else noise.maximum,
        allowed=tolerance.maximum,
        error=np.inf if not pair.in_both else parity.error,
        problems=tuple(problems),
        notes=tuple(notes),
    )


def _tolerance(value: Array, noise: Noise | None, greatest: float) -> Tolerance:
    """Return the limits for a gradient; one that is zero everywhere is measured by the `greatest` of its kind."""
    limits = calibrated(value, noise)
    unit = ULPS * float(ml_dtypes.finfo(value.dtype).eps)
    if not np.any(value != 0):
        # Where all of its kind are zero, nothing may differ.
        least = unit * greatest or float(ml_dtypes.finfo(value.dtype).tiny)
        return Tolerance("calibrated", maximum=least, rms=least)
    exact = widened(value)
    rms = root_mean_square(np.abs(exact[np.isfinite(exact)]))
    return replace(limits, maximum=max(limits.maximum, unit * largest(exact)), rms=max(limits.rms, unit * rms))


def _is_real(dtype: str) -> bool:
    return dtype != "str" and is_floating(numpy_dtype(dtype))


def _count(names: Sequence[str]) -> str:
    some = ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
    return f"{'parameter' if len(names) == 1 else 'parameters'} {some}"
