"""Counts of n-grams, of which rows too short have none."""

from __future__ import annotations

import numpy as np
import pytest

from tests.converters.onnx_to_torch.cases import run
from translate.errors import CannotTranslateError

# Single elements 2, 3; pairs (5, 4), (5, 6), (7, 8).
POOL = {
    "min_gram_length": 1,
    "max_gram_length": 2,
    "max_skip_count": 0,
    "ngram_counts": [0, 2],
    "ngram_indexes": [1, 0, 2, 3, 4],
    "pool_int64s": [2, 3, 5, 4, 5, 6, 7, 8],
}
ROWS = np.array([[2, 5, 4, 5, 6, 2], [7, 3, 8, 3, 3, 3]])


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ({"mode": "TF"}, [[0, 2, 1, 1, 0], [4, 0, 0, 0, 0]]),
        ({"mode": "TF", "max_skip_count": 1}, [[0, 2, 1, 1, 0], [4, 0, 0, 0, 1]]),
        ({"mode": "TF", "min_gram_length": 2}, [[0, 0, 1, 1, 0], [0, 0, 0, 0, 0]]),
        ({"mode": "IDF", "weights": [2.0, 3, 4, 5, 6]}, [[0, 2, 4, 5, 0], [3, 0, 0, 0, 0]]),
        ({"mode": "TFIDF", "weights": [2.0, 3, 4, 5, 6]}, [[0, 4, 4, 5, 0], [12, 0, 0, 0, 0]]),
    ],
)
def test_counts(attributes, expected):
    for dynamic in (True, False):
        (actual,) = run("TfIdfVectorizer", [ROWS], POOL | attributes, dynamic=dynamic)
        np.testing.assert_array_equal(actual, np.float32(expected))


def test_a_row_shorter_than_its_n_grams():
    (actual,) = run("TfIdfVectorizer", [np.array([3])], POOL | {"mode": "TF"}, dynamic=False)
    np.testing.assert_array_equal(actual, np.float32([1, 0, 0, 0, 0]))


def test_text_is_refused():
    attributes = POOL | {"mode": "TF", "pool_strings": list("abcdefgh")}
    del attributes["pool_int64s"]
    with pytest.raises(CannotTranslateError, match="PyTorch has no strings"):
        run("TfIdfVectorizer", [ROWS], attributes)
