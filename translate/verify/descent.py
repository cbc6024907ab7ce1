"""Whether two models learn alike: the loss along a few steps of gradient descent on both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from translate.models.base import Array, Model
from translate.models.inputs import numpy_dtype
from translate.verify.cases import Case
from translate.verify.noise import PERTURBED_RUNS, Noise, copies, finite_distances, root_mean_square
from translate.verify.outputs import judge
from translate.verify.tolerance import calibrated

# The learning rate is that at which, to first order, each step takes this part of the first loss away.
_PROGRESS = 0.1


@dataclass(frozen=True)
class LossCurve:
    """The loss before and after each step of gradient descent, on both sides.

    `source` and `target` hold one value more than there were steps, `exact` the source's curve in float64 (empty
    where it cannot be run so). `noise` is the largest distance between the source's curve and itself in float64 or one
    rounding away, `max_abs` the largest distance between source and target, `error` the distance in units of
    the `allowed` one. `problems` say why it did not pass.
    """

    learning_rate: float
    source: tuple[float, ...]
    target: tuple[float, ...]
    exact: tuple[float, ...] = ()
    max_abs: float = 0.0
    noise: float = 0.0
    allowed: float = 0.0
    error: float = 0.0
    problems: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether both sides learn alike."""
        return not self.problems


class TargetError(Exception):
    """The target could not be trained; the cause is what its framework raised."""


def compare_descent(
    source: Model,
    target: Model,
    case: Case,
    outputs: Mapping[str, str],
    parameters: Mapping[str, str],
    steps: int,
) -> LossCurve | None:
    """Train both models on one batch and compare the losses; None where the loss does not depend on the parameters.

    `outputs` are those of the loss with their dtypes, `parameters` the source's names of what is trained with the
    target's. Raises `TargetError`.
    """
    values = source.run(copies(case.feeds))
    loss = _SquaredDistance({name: values[name] for name in outputs}, case.seed or 0)
    first, cotangents = loss(values)
    found = source.gradients(copies(case.feeds), lambda _: (first, cotangents))
    assert found is not None
    slopes = [found.parameters[name] for name in parameters]
    square = sum(float(np.sum(np.square(slope.astype(np.float64)))) for slope in slopes if slope is not None)
    if not square or not np.isfinite(square):
        return None
    rate = _PROGRESS * first / square

    def curve(model: Model, names: Sequence[str], *, double: bool = False, seed: int | None = None) -> Array | None:
        losses = model.descend(copies(case.feeds), loss, names, rate, steps, double=double, seed=seed)
        return None if losses is None else np.asarray(losses)

    ours, exact = curve(source, list(parameters)), curve(source, list(parameters), double=True)
    try:
        theirs = curve(target, list(parameters.values()))
    except Exception as error:
        # A framework raises anything here.
        raise TargetError from error
    assert ours is not None and theirs is not None
    coarsest = max((numpy_dtype(dtype) for dtype in outputs.values()), key=lambda dtype: -dtype.itemsize)
    others = [exact]
    noise = _noise(ours, others)
    parity = judge("loss", ours, theirs, calibrated(ours.astype(coarsest), noise))
    if exact is None or not parity.passed:
        others += [curve(source, list(parameters), seed=seed) for seed in range(PERTURBED_RUNS)]
        noise = _noise(ours, others)
        parity = judge("loss", ours, theirs, calibrated(ours.astype(coarsest), noise))
    return LossCurve(
        learning_rate=rate,
        source=tuple(ours.tolist()),
        target=tuple(theirs.tolist()),
        exact=() if exact is None else tuple(exact.tolist()),
        max_abs=parity.max_abs,
        noise=noise.maximum,
        allowed=parity.tolerance.maximum,
        error=parity.error,
        problems=parity.problems,
    )


def _noise(ours: Array, others: Sequence[Array | None]) -> Noise:
    distances = [finite_distances(ours, other) for other in others if other is not None]
    return Noise(
        "float64",
        max((float(d.max(initial=0.0)) for d in distances), default=0.0),
        max((root_mean_square(d) for d in distances), default=0.0),
    )


class _SquaredDistance:
    """The mean over the outputs of the mean squared distance of each from a random goal of the same magnitude."""

    def __init__(self, outputs: Mapping[str, Array], seed: int) -> None:
        generator = np.random.default_rng(seed)
        self._goals: dict[str, Array] = {}
        for name, value in outputs.items():
            finite = np.abs(value.astype(np.float64))
            magnitude = root_mean_square(finite[np.isfinite(finite)])
            self._goals[name] = generator.standard_normal(value.shape) * (magnitude or 1.0)

    def __call__(self, outputs: Mapping[str, Array]) -> tuple[float, dict[str, Array]]:
        value, cotangents = 0.0, {}
        for name, goal in self._goals.items():
            distance = outputs[name].astype(np.float64) - goal
            # Infinities, as in masked scores, have no distance and no gradient.
            distance = np.where(np.isfinite(outputs[name].astype(np.float64)), distance, 0.0)
            size = max(distance.size, 1) * len(self._goals)
            value += float(np.sum(np.square(distance))) / size
            cotangents[name] = 2 * distance / size
        return value, cotangents
