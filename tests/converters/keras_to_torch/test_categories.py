"""Numbers of categories, and vectors of them, against Keras."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
import torch
from keras import layers as L

from tests.converters.keras_to_torch.cases import sequential
from translate.converters.keras_to_torch import convert
from translate.converters.tf_to_onnx.models import from_keras
from translate.errors import CannotTranslateError, UnsupportedError
from translate.models.open import open_model

NUMBERS = np.random.default_rng(0).standard_normal((5, 4)).astype("float32")
VOCABULARY = [3, 7, 11, 42, -5]
# With some that are not in the vocabulary, and 0, which some layers mask.
TOKENS = np.random.default_rng(0).choice([*VOCABULARY, 0, 100, 13], (5, 4)).astype("int64")


def assert_equal(layer: Any, x: np.ndarray) -> None:
    model = sequential(x.shape[1:], layer, dtype=str(x.dtype))
    expected = np.asarray(model(x))
    found = convert(model)(torch.from_numpy(x)).numpy()
    assert found.dtype == expected.dtype
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"mask_token": 0},
        {"num_oov_indices": 3},
        {"num_oov_indices": 3, "mask_token": 0},
        {"output_mode": "multi_hot"},
        {"output_mode": "multi_hot", "mask_token": 0},
        {"output_mode": "multi_hot", "max_tokens": 9, "pad_to_max_tokens": True},
        {"output_mode": "count"},
        {"output_mode": "tf_idf", "idf_weights": [0.1, 0.2, 0.3, 0.4, 0.5]},
    ],
    ids=str,
)
def test_numbers_are_looked_up(options):
    assert_equal(L.IntegerLookup(vocabulary=VOCABULARY, **options), TOKENS)


@pytest.mark.parametrize("options", [{}, {"mask_token": 0}], ids=str)
def test_places_are_looked_up(options):
    places = np.random.default_rng(0).integers(0, 9, (5, 4))
    assert_equal(L.IntegerLookup(vocabulary=VOCABULARY, invert=True, **options), places)


def test_one_number_of_each_sample():
    assert_equal(L.IntegerLookup(vocabulary=VOCABULARY, output_mode="one_hot"), TOKENS[:, :1])
    assert_equal(L.IntegerLookup(vocabulary=VOCABULARY), TOKENS.astype("int32"))
    known = np.array([[3, 7], [11, -5]])
    assert_equal(L.IntegerLookup(vocabulary=VOCABULARY, num_oov_indices=0), known)


def test_a_vocabulary_that_was_learnt():
    layer = L.IntegerLookup()
    layer.adapt(TOKENS)
    assert_equal(layer, TOKENS)


@pytest.mark.parametrize("mode", ["int", "one_hot", "multi_hot", "count"])
def test_bins(mode):
    assert_equal(L.Discretization([-0.5, 0.0, 1.0], output_mode=mode), NUMBERS)
    assert_equal(L.Discretization([-0.5, 0.0, 1.0], output_mode=mode), NUMBERS[:, :1])


def test_bins_that_were_learnt():
    layer = L.Discretization(num_bins=4)
    layer.adapt(NUMBERS)
    assert_equal(layer, NUMBERS)


@pytest.mark.parametrize("mode", ["one_hot", "multi_hot", "count"])
def test_categories_of_several_axes(mode):
    ids = np.random.default_rng(0).integers(0, 6, (4, 5, 2)).astype("int32")
    assert_equal(L.CategoryEncoding(6, mode), ids)


def test_weights_of_categories():
    ids, weights = keras.Input((5,), dtype="int32"), keras.Input((5,))
    model = keras.Model([ids, weights], L.CategoryEncoding(6, "count")(ids, count_weights=weights))
    feeds = np.random.default_rng(0).integers(0, 6, (4, 5)).astype("int32"), np.random.random((4, 5)).astype("float32")
    found = convert(model)(*map(torch.from_numpy, feeds)).numpy()
    np.testing.assert_allclose(found, np.asarray(model(list(feeds))), rtol=1e-6)


@pytest.mark.parametrize("layer", [L.Hashing(7), L.StringLookup(vocabulary=["a"])], ids=["Hashing", "StringLookup"])
def test_what_needs_strings_is_refused_by_name(layer):
    dtype = "int64" if isinstance(layer, L.Hashing) else "string"
    with pytest.raises(CannotTranslateError, match="PyTorch has no strings"):
        convert(sequential((3,), layer, dtype=dtype))


def test_the_graph_of_a_vocabulary_is_refused_by_name():
    # The comparison asks for it, to learn the bounds of integers.
    with pytest.raises(UnsupportedError, match="is a table"):
        from_keras(open_model(sequential((4,), L.IntegerLookup(vocabulary=VOCABULARY), dtype="int64")))
