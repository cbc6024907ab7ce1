"""Operations that order numbers, or ask where they are among others."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import ops

from tests.converters.keras_to_torch.ops.operations import assert_operation, ints, normal, with_nan
from translate.converters.keras_to_torch import convert
from translate.errors import CannotTranslateError


def test_sorting():
    assert_operation(lambda x: ops.sort(x, axis=1), normal(2, 3, 4))
    assert_operation(lambda x: ops.argsort(x, axis=-1), ints(2, 8, high=3))
    assert_operation(lambda x: ops.argsort(x, axis=None), normal(2, 3))


def test_the_first_of_equals_is_taken():
    assert_operation(lambda x: ops.top_k(x, 3), ints(2, 9, high=3))
    assert_operation(lambda x: ops.top_k(x, 3), normal(2, 6))
    assert_operation(lambda t, p: ops.in_top_k(t, p, k=2), ints(5, high=4), normal(5, 4))


@pytest.mark.parametrize("name", ["quantile", "percentile", "nanquantile", "nanpercentile"])
def test_quantiles(name):
    call, share = getattr(ops, name), 0.3 if "quantile" in name else 30.0
    x = with_nan(4, 5, 3) if name.startswith("nan") else normal(4, 5, 3)
    for method in ["linear"] + ["lower", "higher", "nearest", "midpoint"] * (name != "quantile"):
        assert_operation(lambda x, method=method: call(x, share, axis=1, method=method), x)
    assert_operation(lambda x: call(x, [share, 2 * share], axis=(0, 2), keepdims=True), x)
    assert_operation(lambda x: call(x, share), x)


def test_a_method_that_keras_forgets_is_refused():
    x = keras.Input((5,))
    with pytest.raises(CannotTranslateError, match="forgets"):
        convert(keras.Model(x, ops.quantile(x, 0.3, method="lower")))


def test_medians():
    assert_operation(lambda x: ops.median(x, axis=1), normal(2, 4, 3))
    assert_operation(lambda x: ops.median(x, keepdims=True), normal(2, 4, 3))
    assert_operation(lambda x: ops.median(x, axis=0), ints(4, 3))
    assert_operation(lambda x: ops.nanmedian(x, axis=1), with_nan(2, 4, 3))


def test_places_among_others():
    assert_operation(ops.searchsorted, np.sort(normal(5)), normal(4, seed=1))
    assert_operation(lambda s, v: ops.searchsorted(s, v, side="right"), np.sort(ints(6)), ints(4))
    assert_operation(lambda x: ops.digitize(x, np.array([-0.5, 0.0, 0.5])), normal(2, 3, 4))
    assert_operation(ops.isin, ints(2, 3), ints(2, high=3))
    assert_operation(lambda x, y: ops.isin(x, y, invert=True), ints(2, 3), ints(2, high=3))


def test_counts():
    assert_operation(lambda x: ops.bincount(x, minlength=4), ints(7, high=9))
    assert_operation(lambda x: ops.bincount(x, minlength=12), ints(2, 7, high=9))
    assert_operation(lambda x: ops.histogram(x, bins=5), normal(40))
    assert_operation(lambda x: ops.histogram(x, bins=4, range=(-1.0, 1.0)), normal(40))


def test_distinct_elements():
    assert_operation(ops.unique, ints(9, high=5))
    assert_operation(lambda x: ops.unique(x, return_inverse=True, return_counts=True), ints(3, 4, high=5))
    assert_operation(lambda x: ops.unique(x, axis=0, return_counts=True), ints(6, 2, high=2))
