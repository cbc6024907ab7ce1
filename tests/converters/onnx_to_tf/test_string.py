"""Operators on text, beyond the node tests: blanks, Unicode, stopwords, skips."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.converters.onnx_to_tf.cases import check


def text(*items: Any) -> np.ndarray:
    return np.array(items, object)


@pytest.mark.parametrize(
    ("op", "inputs", "attributes", "opset", "expected"),
    [
        ("StringConcat", [text(["a", "é"]), text("x")], {}, 20, [text(["ax", "éx"])]),
        ("RegexFullMatch", [text("abc", "ab", "xabc")], {"pattern": "[ab]+c"}, 20, [np.array([True, False, False])]),
        (
            "StringSplit",
            [text(" a  b ", "", "c")],
            {"maxsplit": 1},
            20,
            [text(["a", "b "], ["", ""], ["c", ""]), np.int64([2, 0, 1])],
        ),
        (
            "StringSplit",
            [text("a,,b", "", ",")],
            {"delimiter": ","},
            20,
            [text(["a", "", "b"], ["", "", ""], ["", "", ""]), np.int64([3, 1, 2])],
        ),
        (
            "StringNormalizer",
            [text("Ärger", "the", "The")],
            {"case_change_action": "UPPER", "stopwords": ["THE"]},
            18,
            [text("ÄRGER")],
        ),
        (
            "StringNormalizer",
            [text(["The", "the"])],
            {"stopwords": ["the", "The"], "is_case_sensitive": 1},
            18,
            [text([""])],
        ),
    ],
)
def test_text(op: str, inputs: list[Any], attributes: dict[str, Any], opset: int, expected: list[np.ndarray]) -> None:
    check(op, inputs, attributes, opset, outputs=len(expected), expected=expected)


@pytest.mark.parametrize(("mode", "expected"), [("TF", [2, 1, 2]), ("IDF", [3, 5, 7]), ("TFIDF", [6, 5, 14])])
def test_n_grams(mode: str, expected: list[float]) -> None:
    attributes = {
        "mode": mode,
        "min_gram_length": 1,
        "max_gram_length": 2,
        "max_skip_count": 1,
        "ngram_counts": [0, 1],
        "ngram_indexes": [0, 1, 2],
        "pool_strings": ["a", "a", "b", "a", "a"],
        "weights": [3.0, 5.0, 7.0],
    }
    # "a a b": a twice; a b at a distance of one and of two would be counted, a a once.
    attributes["ngram_indexes"] = [0, 2, 1]
    attributes["weights"] = [3.0, 7.0, 5.0]
    check("TfIdfVectorizer", [text("a", "a", "b")], attributes, expected=[np.float32(expected)])
