"""Indices are judged by the values that they point to."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest
from onnx import TensorProto, helper

from translate.models.base import Array, Model
from translate.models.onnx_model import OnnxModel
from translate.verify import Verdict, compare
from translate.verify.cases import Case
from translate.verify.index_outputs import IndexOutput, index_outputs, near_ties


def graph() -> ir.Model:
    """Return doubled = 2x, its arg-max as int32 in another shape, its three greatest, and an unrelated integer."""
    nodes = [
        helper.make_node("Add", ["x", "x"], ["doubled"]),
        helper.make_node("ArgMax", ["doubled"], ["found"], axis=1, keepdims=1),
        helper.make_node("Cast", ["found"], ["narrow"], to=TensorProto.INT32),
        helper.make_node("Reshape", ["narrow", "flat"], ["best"]),
        helper.make_node("TopK", ["doubled", "three"], ["values", "places"], axis=-1),
        helper.make_node("Shape", ["x"], ["sizes"]),
    ]
    constants = [helper.make_tensor("flat", 7, [1], [-1]), helper.make_tensor("three", 7, [1], [3])]
    outputs = [("best", 6, ["n"]), ("places", 7, ["n", 3]), ("sizes", 7, [2])]
    made = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", 1, ["n", 5])],
        [helper.make_tensor_value_info(*output) for output in outputs],
        constants,
    )
    return ir.serde.deserialize_model(
        helper.make_model(made, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    )


class Changed(Model):
    """The graph, with changed outputs."""

    kind = "changed"

    def __init__(self, **changes: Array) -> None:
        self.model, self.changes = OnnxModel(graph()), changes
        self.inputs, self.outputs = self.model.inputs, self.model.outputs

    def call(self, values: dict[str, Array]) -> dict[str, Array]:
        return self.model.run(values) | self.changes


X = np.float32([[0.1, 0.7, 0.70000005, 0.2, 0.3], [0.9, 0.3, 0.1, 0.2, 0.4]])


def test_the_graph_is_made_only_when_an_integer_differs() -> None:
    made = []

    def make() -> ir.Model:
        made.append(graph())
        return made[-1]

    cases = [Case("random", {"n": 2}, 0, {"x": X})]
    assert compare(OnnxModel(graph()), Changed(), cases, graph=make).passed
    assert not made
    assert compare(OnnxModel(graph()), Changed(best=np.int32([1, 0])), cases, graph=make).passed
    assert len(made) == 1


def verdict(**changes: Array) -> Verdict:
    return compare(OnnxModel(graph()), Changed(**changes), [Case("random", {"n": 2}, 0, {"x": X})], graph=graph())


def test_what_is_an_index() -> None:
    assert index_outputs(graph()) == {
        "best": IndexOutput("doubled", 1, "ArgMax"),
        "places": IndexOutput("doubled", -1, "TopK"),
    }


def test_a_near_tie_passes_and_is_named() -> None:
    found = verdict(best=np.int32([1, 0]))
    assert found.passed
    assert "1 of 2 indices differ in near ties: the values of doubled" in found.runs[0].outputs[0].notes[0]
    assert verdict(places=np.int64([[1, 2, 4], [0, 4, 1]])).passed


@pytest.mark.parametrize(
    "changes",
    [
        {"best": np.int32([3, 0])},
        {"best": np.int32([2, 4])},
        # Out of range, the same place twice, another order of clearly different values.
        {"best": np.int32([2, 7])},
        {"places": np.int64([[2, 2, 4], [0, 4, 1]])},
        {"places": np.int64([[2, 4, 1], [0, 4, 1]])},
        {"sizes": np.int64([2, 6])},
    ],
)
def test_other_differences_fail(changes: dict[str, Array]) -> None:
    assert not verdict(**changes).passed


def test_without_the_graph_indices_are_integers() -> None:
    cases = [Case("random", {"n": 2}, 0, {"x": X})]
    assert not compare(OnnxModel(graph()), Changed(best=np.int32([1, 0])), cases).passed
    assert compare(OnnxModel(graph()), Changed(), cases).passed


def test_near_ties_count() -> None:
    values = np.float64([[1, 2, 2.01], [np.nan, 5, 4]])
    assert near_ties(np.array([2, 1]), np.array([1, 1]), values, 1, 0.1) == (1, 0)
    assert near_ties(np.array([2, 1]), np.array([1, 0]), values, 1, 0.1) == (1, 1)
    assert near_ties(np.array([[2], [1]]), np.array([[-1], [-2]]), values, 1, 0.0) == (2, 0)
