"""Names that a signature's inputs can have."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from translate.models.base import Array, Model, Spec
from translate.models.renamed import signature_names, with_signature_names


class Named(Model):
    kind = "named"
    outputs = (Spec("y", "float32", ()),)

    def __init__(self, *names: str) -> None:
        self.inputs = tuple(Spec(name, "float32", ()) for name in names)

    def call(self, values: Mapping[str, Array]) -> dict[str, Array]:
        return {"y": np.asarray([float(values[spec.name]) for spec in self.inputs])}


def test_names_become_identifiers_and_stay_distinct() -> None:
    names = signature_names(Named("x", "input.1", "input_1", "in", "x:0", "_", "7", "größe"))
    assert names == {
        "x": "x",
        "input.1": "input_1_",
        "input_1": "input_1",
        "in": "in_",
        "x:0": "x_0",
        "_": "input_",
        "7": "input_7",
        "größe": "gr__e",
    }


def test_values_reach_the_inputs_that_they_are_for() -> None:
    renamed = with_signature_names(Named("b.1", "a"))
    assert [spec.name for spec in renamed.inputs] == ["b_1", "a"]
    np.testing.assert_array_equal(renamed.run({"a": np.asarray(2.0), "b_1": np.asarray(1.0)})["y"], [1.0, 2.0])


def test_a_model_of_good_names_stays_itself() -> None:
    model = Named("x", "state_0")
    assert with_signature_names(model) is model
