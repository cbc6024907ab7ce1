"""Which inputs and outputs of two models are each other's."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest

from translate.errors import UsageError
from translate.models.align import align, parse_renames
from translate.models.base import Array, Model, Spec


class Echo(Model):
    """Returns its inputs, in order, as its outputs."""

    kind = "echo"

    def __init__(self, inputs: str, outputs: str) -> None:
        self.inputs = tuple(Spec(name, "float32", ()) for name in inputs.split())
        self.outputs = tuple(Spec(name, "float32", ()) for name in outputs.split())

    def call(self, values: Mapping[str, Array]) -> dict[str, Array]:
        return {out.name: values[spec.name] for spec, out in zip(self.inputs, self.outputs, strict=True)}

    def run_double(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        return self.run(feeds)


def names(model: Model) -> tuple[list[str], list[str]]:
    return [spec.name for spec in model.inputs], [spec.name for spec in model.outputs]


def test_equal_names_need_nothing() -> None:
    source, target = Echo("a b", "c d"), Echo("b a", "d c")
    assert align(source, target) == (source, target)


def test_the_only_input_and_output_are_each_others_and_that_is_said() -> None:
    notes: list[str] = []
    _, target = align(Echo("x", "y"), Echo("a", "b"), notes=notes)
    assert names(target) == (["x"], ["y"])
    assert target.run({"x": np.asarray(3.0)})["y"] == 3
    assert notes == [
        'the only input is "x" in the source and "a" in the target: compared as one',
        'the only output is "y" in the source and "b" in the target: compared as one',
    ]


def test_of_several_none_is_guessed() -> None:
    notes: list[str] = []
    _, target = align(Echo("x z", "y w"), Echo("a z", "b w"), notes=notes)
    assert names(target) == (["a", "z"], ["b", "w"])
    assert notes == []


def test_renames_reach_inputs_outputs_and_values() -> None:
    source, target = Echo("x z", "y w"), Echo("a:0 b:0", "c:0 x")
    source, target = align(source, target, parse_renames(["x=b:0", "z=a:0", "y=x", "w=c:0"]))
    assert names(target) == (["z", "x"], ["w", "y"])
    feeds = {"x": np.asarray(1.0), "z": np.asarray(2.0)}
    assert target.run(feeds) == target.run_double(feeds) == {"w": 2, "y": 1}
    assert target.run_perturbed(feeds, 0).keys() == {"w", "y"}


def test_names_that_tensorflow_does_not_take_agree() -> None:
    source, target = align(Echo("input.1 in", "a b"), Echo("input_1 in_", "a b"))
    assert names(source)[0] == names(target)[0] == ["input_1", "in_"]


def test_a_rename_that_does_not_fit_is_refused() -> None:
    source, target = Echo("x z", "y w"), Echo("a z", "b w")
    with pytest.raises(UsageError, match="--rename x=c: the source has the inputs x, z and the outputs y, w; "):
        align(source, target, {"x": "c"})
    # An input is no output.
    with pytest.raises(UsageError, match="--rename x=b"):
        align(source, target, {"x": "b"})
    with pytest.raises(UsageError, match="two inputs of the target with one name: z, z"):
        align(source, target, {"z": "a"})
    for bad in (["x"], ["=a"], ["x=a", "x=b"], ["x=a", "z=a"]):
        with pytest.raises(UsageError, match="--rename"):
            parse_renames(bad)
