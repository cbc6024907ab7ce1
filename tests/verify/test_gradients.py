"""Gradients and loss curves: what passes, what does not, and what is said about it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from translate.errors import UnsupportedError, UsageError
from translate.models.base import Array, Gradients, Loss, Model, Spec
from translate.models.perturb import neighbouring_feeds, neighbours
from translate.verify.cases import Case
from translate.verify.gradients import GradientVerdict, compare_gradients

CASE = Case("random", {"batch": 4}, 0, {"x": np.random.default_rng(0).standard_normal((4, 3)).astype(np.float32)})
WEIGHT = np.random.default_rng(1).standard_normal((3, 2)).astype(np.float32)
BIAS = np.array([0.3, -0.7], np.float32)


class Linear(Model):
    """y = x · weight + bias, with what its gradients are said to be changed by `spoil`."""

    kind = "linear layer"

    def __init__(self, *, double: bool = True, names: Mapping[str, str] | None = None, learns: float = 1.0) -> None:
        self.inputs = (Spec("x", "float32", ("batch", 3)),)
        self.outputs = (Spec("y", "float32", ("batch", 2)),)
        self.parameters = {"weight": WEIGHT, "bias": BIAS}
        self.double, self.names, self.learns = double, dict(names or {}), learns

    def call(self, values: Mapping[str, Array]) -> dict[str, Array]:
        return self.forward(values, self.parameters)

    def forward(self, feeds: Mapping[str, Array], own: Mapping[str, Array]) -> dict[str, Array]:
        return {"y": feeds["x"] @ own["weight"] + own["bias"]}

    def spoil(self, found: Gradients) -> Gradients:
        return found

    def start(
        self, feeds: Mapping[str, Array], double: bool, seed: int | None
    ) -> tuple[Mapping[str, Array], dict[str, Array]]:
        own = dict(self.parameters)
        if double:
            feeds = {name: array.astype(np.float64) for name, array in feeds.items()}
            own = {name: array.astype(np.float64) for name, array in own.items()}
        if seed is not None:
            feeds = neighbouring_feeds(feeds, seed)
            own = {name: neighbours(array, np.random.default_rng(seed)) for name, array in own.items()}
        return feeds, own

    def backward(self, feeds: Mapping[str, Array], own: Mapping[str, Array], slope: Array) -> Gradients:
        slope = slope.astype(feeds["x"].dtype)
        found = {"weight": feeds["x"].T @ slope, "bias": slope.sum(0)}
        renamed = {self.names.get(name, name): gradient for name, gradient in found.items()}
        return Gradients({"x": slope @ own["weight"].T}, renamed)

    def gradients(
        self, feeds: Mapping[str, Array], loss: Loss, *, double: bool = False, seed: int | None = None
    ) -> Gradients | None:
        if double and not self.double:
            return None
        feeds, own = self.start(feeds, double, seed)
        _, slopes = loss(self.forward(feeds, own))
        return self.spoil(self.backward(feeds, own, slopes["y"]))

    def descend(
        self,
        feeds: Mapping[str, Array],
        loss: Loss,
        parameters: Sequence[str],
        learning_rate: float,
        steps: int,
        *,
        double: bool = False,
        seed: int | None = None,
    ) -> list[float] | None:
        if double and not self.double:
            return None
        feeds, own = self.start(feeds, double, seed)
        curve = []
        for _ in range(steps + 1):
            value, slopes = loss(self.forward(feeds, own))
            curve.append(value)
            found = self.backward(feeds, own, slopes["y"]).parameters
            for name in own:
                step = found[self.names.get(name, name)]
                if self.names.get(name, name) in parameters and step is not None:
                    own[name] = (own[name] - learning_rate * self.learns * step).astype(own[name].dtype)
        return curve


class Spoilt(Linear):
    """A linear layer whose gradients are replaced by `changes`: None, or what they are multiplied by."""

    def __init__(self, **changes: Any) -> None:
        super().__init__()
        self.changes = changes

    def spoil(self, found: Gradients) -> Gradients:
        parameters: dict[str, Array | None] = dict(found.parameters)
        for name, change in self.changes.items():
            gradient = parameters.pop(name)
            if isinstance(change, float) and gradient is not None:
                parameters[name] = (gradient * change).astype(gradient.dtype)
            elif change is None:
                parameters[name] = None
        return replace(found, parameters=parameters)


def failed(verdict: GradientVerdict) -> dict[str, str]:
    return {gradient.name: "; ".join(gradient.problems) for gradient in verdict.gradients if not gradient.passed}


@pytest.mark.parametrize("double", [True, False])
def test_equal_models_pass_and_learn(double: bool) -> None:
    verdict = compare_gradients(Linear(double=double), Linear(), CASE, steps=5)
    assert verdict.passed
    assert [(g.kind, g.name, g.shape) for g in verdict.gradients] == [
        ("input", "x", (4, 3)),
        ("parameter", "weight", (3, 2)),
        ("parameter", "bias", (2,)),
    ]
    assert all(gradient.scale > 0 for gradient in verdict.gradients)
    curve = verdict.curve
    assert curve is not None
    assert len(curve.source) == len(curve.target) == 6
    assert len(curve.exact) == (6 if double else 0)
    assert curve.source[-1] < 0.9 * curve.source[0]


def test_the_loss_is_no_plain_sum() -> None:
    # The gradient of a sum with respect to the bias would be the batch size in each element.
    bias = Linear().gradients(CASE.feeds, lambda outputs: (0.0, {"y": np.ones_like(outputs["y"])}))
    assert bias is not None
    assert np.ptp(bias.parameters["bias"]) == 0
    seen: list[Array] = []

    class Watched(Linear):
        def spoil(self, found: Gradients) -> Gradients:
            seen.append(np.asarray(found.parameters["bias"]))
            return found

    compare_gradients(Watched(), Watched(), CASE)
    assert np.ptp(seen[0]) > 0
    np.testing.assert_array_equal(seen[0], seen[1])


def test_only_the_wrong_gradient_fails() -> None:
    verdict = compare_gradients(Linear(), Spoilt(bias=1.0001), CASE)
    assert set(failed(verdict)) == {"bias"}
    assert not verdict.passed
    (bias,) = (gradient for gradient in verdict.gradients if gradient.name == "bias")
    assert bias.error > 10
    assert bias.max_abs > bias.allowed > bias.noise


def test_a_gradient_on_one_side_only_fails() -> None:
    verdict = compare_gradients(Linear(), Spoilt(weight=None), CASE)
    assert "zero in the target only" in failed(verdict)["weight"]
    verdict = compare_gradients(Spoilt(weight=None), Linear(), CASE)
    assert "zero in the source only" in failed(verdict)["weight"]


def test_none_and_zeros_are_the_same() -> None:
    verdict = compare_gradients(Spoilt(weight=None), Spoilt(weight=0.0), CASE)
    assert not failed(verdict)
    assert "do not depend" in next(g for g in verdict.gradients if g.name == "weight").notes[0]


def test_a_weight_that_is_no_variable_of_the_target_fails() -> None:
    verdict = compare_gradients(Linear(), Spoilt(weight="left out"), CASE)
    assert "no variable of the target" in failed(verdict)["weight"]


def test_models_without_common_names_are_compared_by_their_inputs() -> None:
    other = Linear(names={"weight": "kernel", "bias": "offset"})
    verdict = compare_gradients(Linear(), other, CASE)
    assert verdict.passed
    assert [gradient.name for gradient in verdict.gradients] == ["x"]
    assert verdict.curve is None
    assert "no parameter in common" in verdict.notes[0]


def test_a_tied_weight_may_go_by_another_of_its_names() -> None:
    class Tied(Linear):
        def spoil(self, found: Gradients) -> Gradients:
            return replace(found, tied={"head.weight": "weight"})

    verdict = compare_gradients(Tied(), Linear(names={"weight": "head.weight"}), CASE)
    assert verdict.passed
    assert [gradient.name for gradient in verdict.gradients] == ["x", "weight", "bias"]


def test_a_target_that_learns_otherwise_fails() -> None:
    verdict = compare_gradients(Linear(), Linear(learns=1.001), CASE)
    assert not failed(verdict)
    assert verdict.curve is not None
    assert not verdict.curve.passed
    assert not verdict.passed


def test_what_the_target_says_is_the_failure() -> None:
    class Refusing(Linear):
        def spoil(self, found: Gradients) -> Gradients:
            raise UnsupportedError("the operator NoGrad (a/b) has no gradient")

    verdict = compare_gradients(Linear(), Refusing(), CASE)
    assert not verdict.passed
    assert "NoGrad (a/b)" in verdict.failure


def test_a_model_without_gradients_is_no_request() -> None:
    class Without(Linear):
        def gradients(self, *arguments: Any, **options: Any) -> None:
            return None

    for source, target in ((Without(), Linear()), (Linear(), Without())):
        with pytest.raises(UsageError, match="the linear layer has no gradients"):
            compare_gradients(source, target, CASE)


def test_integer_outputs_are_left_out_and_said() -> None:
    class Classified(Linear):
        def __init__(self) -> None:
            super().__init__()
            self.outputs = (*self.outputs, Spec("best", "int64", ("batch",)))

        def forward(self, feeds: Mapping[str, Array], own: Mapping[str, Array]) -> dict[str, Array]:
            found = super().forward(feeds, own)
            return {**found, "best": found["y"].argmax(-1)}

    verdict = compare_gradients(Classified(), Classified(), CASE)
    assert verdict.passed
    assert verdict.notes == ('output "best" is int64: it has no gradient',)


def test_a_choice_that_a_rounding_overturns_is_noise() -> None:
    class Kink(Linear):
        """relu(x - 0.3), whose gradient where x is 0.3 is `at`; so is that of a rounding away."""

        def __init__(self, at: float) -> None:
            super().__init__()
            self.outputs = (Spec("y", "float32", ("batch", 3)),)
            self.parameters = {"bias": np.full(3, 0.3, np.float32)}
            self.at = at

        def forward(self, feeds: Mapping[str, Array], own: Mapping[str, Array]) -> dict[str, Array]:
            return {"y": np.maximum(feeds["x"] - own["bias"], 0)}

        def backward(self, feeds: Mapping[str, Array], own: Mapping[str, Array], slope: Array) -> Gradients:
            slope = slope.astype(feeds["x"].dtype)
            over = feeds["x"] - own["bias"]
            slope = np.where(over > 0, slope, np.where(over == 0, self.at * slope, 0)).astype(slope.dtype)
            return Gradients({"x": slope}, {"bias": -slope.sum(0)})

    tie = Case("random", {}, 0, {"x": np.array([[0.3, 0.9, 0.1], [0.2, 0.3, 0.8]], np.float32)})
    assert not failed(compare_gradients(Kink(0), Kink(1), tie, steps=0))
    clear = replace(tie, feeds={"x": tie.feeds["x"] + np.float32(0.01)})
    assert compare_gradients(Kink(0), Kink(1), clear, steps=0).passed
