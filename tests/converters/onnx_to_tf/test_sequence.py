"""Sequences, whose length is known when translating, at positions that are known and at computed ones."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
import tensorflow as tf

from tests.converters.onnx_to_tf.cases import run, translated
from translate.errors import CannotTranslateError

A, B, C = np.float32([1]), np.float32([2, 3]), np.float32([4, 5, 6])


@pytest.mark.parametrize("position", [-3, -2, -1, 0, 1, 2])
@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize(
    ("nodes", "edit"),
    [
        ("e = SequenceAt (s, p)\n r = SequenceConstruct (e)", lambda items, p: [items[p]]),
        ("r = SequenceErase (s, p)", lambda items, p: [item for i, item in enumerate(items) if i != p % 3]),
        ("r = SequenceInsert (s, a, p)", lambda items, p: [*items[: p % 3], A, *items[p % 3 :]]),
    ],
)
def test_position(nodes, edit, position: int, known: bool) -> None:
    given, constant = ("", f"p = Constant<value_int={position}> ()") if known else (", int64 p", "")
    model = onnx.parser.parse_model(
        f"""<ir_version: 10, opset_import: ["" : 18]> g (float[i] a, float[j] b, float[k] c{given}) => (float[n] y) {{
             {constant}
             s = SequenceConstruct (a, b, c)
             {nodes}
             y = ConcatFromSequence<axis=0> (r)
           }}"""
    )
    feeds = [A, B, C] if known else [A, B, C, np.int64(position)]
    actual = translated(model)(*(tf.constant(value) for value in feeds))["y"]
    np.testing.assert_array_equal(actual, np.concatenate(edit([A, B, C], position)))


def test_splitting_an_unknown_size_is_refused() -> None:
    with pytest.raises(CannotTranslateError, match="how many parts"):
        run("SplitToSequence", [C], {"axis": 0})
