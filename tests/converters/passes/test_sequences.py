"""Sequences that are tensors in disguise: the numbers stay, the sequences go, and a second run changes nothing."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
import pytest
from onnx_ir.passes.common import RemoveUnusedNodesPass

from translate.converters.passes.normalise import normalise
from translate.converters.passes.sequences import slice_parts, stack_lists
from translate.errors import UnsupportedError

HALVES = """
<ir_version: 10, opset_import: ["" : 20]>
net (float[batch, n] x) => (float[batch, m] y) {
  size = Shape <start = 1, end = 2> (x)
  number = Squeeze(size)
  two = Constant <value = int64 {2}> ()
  half = Div(number, two)
  parts = SplitToSequence <axis = -1> (x, half)
  one = Constant <value = int64 {1}> ()
  y = SequenceAt(parts, PICK)
}
"""

LIST = """
<ir_version: 10, opset_import: ["" : 20]>
net (float[time, n] x) => (float[...] y, float[n] last) {
  steps = COUNT
  empty = SequenceEmpty()
  zero = Constant <value = int64 {0}> ()
  first = Gather(x, zero)
  last, list = Loop(steps, , first, empty) <body = step (int64 i, bool go, float[n] state, seq(float) so_far)
    => (bool going, float[n] next, seq(float) longer) {
      going = Identity(go)
      row = Gather(x, i)
      next = Add(state, row)
      longer = SequenceInsert(so_far, nextPOSITION)
  }>
  y = ConcatFromSequence <axis = AXIS, new_axis = NEW> (list)
}
"""
COMPUTED = "Shape <start = 0, end = 1> (x)"


def model(text: str) -> ir.Model:
    made = ir.from_proto(onnx.parser.parse_model(text))
    normalise(made)
    return made


def run(made: ir.Model, x: np.ndarray) -> list[np.ndarray]:
    session = onnxruntime.InferenceSession(ir.to_proto(made).SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"x": x})


def operators(made: ir.Model) -> list[str]:
    return [node.op_type for node in made.graph.all_nodes()]


def test_picked_parts_are_slices() -> None:
    x = np.arange(14, dtype=np.float32).reshape(2, 7)
    for pick, columns in (("one", slice(3, 6)), ("two", slice(6, 7))):
        made = model(HALVES.replace("PICK", pick))
        slice_parts(made)
        assert "SplitToSequence" not in operators(made)
        np.testing.assert_array_equal(run(made, x)[0], x[:, columns])
        before = operators(made)
        slice_parts(made)
        assert operators(made) == before


def test_a_computed_number_of_parts_is_refused() -> None:
    with pytest.raises(UnsupportedError, match="how many parts it makes is computed"):
        slice_parts(model(HALVES.replace("PICK", "number")))


@pytest.mark.parametrize(("axis", "new"), [(0, 1), (1, 1), (-1, 1), (0, 0), (-1, 0)])
def test_a_list_that_a_loop_fills_is_stacked(axis: int, new: int) -> None:
    text = LIST.replace("AXIS", str(axis)).replace("NEW", str(new)).replace("POSITION", "").replace("COUNT", COMPUTED)
    rank = "n, time" if axis % 2 else "time, n"
    text = text.replace("[...]", f"[{rank}]" if new else "[m]")
    x = np.arange(15, dtype=np.float32).reshape(5, 3)
    expected = run(ir.from_proto(onnx.parser.parse_model(text)), x)
    made = model(text)
    stack_lists(made)
    RemoveUnusedNodesPass()(made)
    assert not {"SequenceEmpty", "SequenceInsert", "ConcatFromSequence"} & set(operators(made))
    for actual, wanted in zip(run(made, x), expected, strict=True):
        np.testing.assert_array_equal(actual, wanted)
    before = operators(made)
    stack_lists(made)
    assert operators(made) == before


@pytest.mark.parametrize(
    ("position", "count"), [(", zero", COMPUTED), ("", "Constant <value = int64 {3}> ()")], ids=["position", "counted"]
)
def test_other_lists_stay(position: str, count: str) -> None:
    text = LIST.replace("AXIS", "0").replace("NEW", "0").replace("POSITION", position).replace("COUNT", count)
    made = model(text.replace("[...]", "[m]"))
    stack_lists(made)
    assert "SequenceInsert" in operators(made)
