"""Sequences: positions known and computed, and what is refused."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
import torch

from tests.converters.onnx_to_torch.cases import translated
from translate.errors import CannotTranslateError

PICK = """
    <ir_version: 9, opset_import: ["" : 18]>
    pick (float[n, 2] x, float[n, {size}] y, int64 i) => (float[n, c] z) {{
        s = SequenceConstruct(x, y)
        z = SequenceAt(s, i)
    }}"""


def test_a_computed_position_picks_one_of_equal_shapes() -> None:
    pick = translated(onnx.parser.parse_model(PICK.format(size=2)))
    x, y = torch.zeros(3, 2), torch.ones(3, 2)
    for position, expected in ((0, x), (1, y), (-2, x)):
        assert torch.equal(pick(x, y, torch.tensor(position))[0], expected)


def test_a_computed_position_among_several_shapes_is_refused() -> None:
    with pytest.raises(CannotTranslateError, match="SequenceAt"):
        translated(onnx.parser.parse_model(PICK.format(size=5)))


def test_parts_of_a_split_are_joined_again() -> None:
    model = onnx.parser.parse_model("""
        <ir_version: 9, opset_import: ["" : 18]>
        turn (float[n, 7] x) => (float[n, 7] y, int64 count) {
            size = Constant<value_int = 3>()
            parts = SplitToSequence<axis = 1>(x, size)
            first = Constant<value_int = 0>()
            head = SequenceAt(parts, first)
            rest = SequenceErase(parts, first)
            moved = SequenceInsert(rest, head)
            y = ConcatFromSequence<axis = 1>(moved)
            count = SequenceLength(moved)
        }""")
    x = torch.arange(14.0).reshape(2, 7)
    y, count = translated(model)(x)
    np.testing.assert_array_equal(y, x[:, [3, 4, 5, 6, 0, 1, 2]])
    assert count == 3
