"""Operations that make one number of many."""

from __future__ import annotations

import numpy as np
import pytest
from keras import ops

from tests.converters.keras_to_torch.ops.operations import assert_operation, bools, ints, normal, uniform, with_nan

A, B = normal(2, 3, 4), normal(2, 3, 4, seed=1)


@pytest.mark.parametrize(
    "name", ["amax", "amin", "max", "min", "mean", "sum", "prod", "std", "var", "logsumexp", "ptp"]
)
def test_reductions(name):
    call = getattr(ops, name)
    assert_operation(lambda x: call(x, axis=1), A)
    assert_operation(lambda x: call(x, axis=(1, -1), keepdims=True), A)
    assert_operation(call, A)
    assert_operation(lambda x: call(x, axis=1), A.astype("float16"))


@pytest.mark.parametrize("name", ["max", "mean", "sum", "prod", "std", "var"])
@pytest.mark.parametrize("dtype", ["bool", "uint8", "int8", "int32", "int64"])
def test_reductions_of_ints_have_keras_dtypes(name, dtype):
    assert_operation(lambda x: getattr(ops, name)(x, axis=1), ints(2, 3, 4, high=2).astype(dtype))


@pytest.mark.parametrize("name", ["nanmax", "nanmin", "nanmean", "nanprod", "nanstd", "nansum", "nanvar"])
def test_nan_does_not_count(name):
    call = getattr(ops, name)
    assert_operation(lambda x: call(x, axis=1), with_nan(2, 3, 4))
    assert_operation(lambda x: call(x, axis=1), np.array([[np.nan] * 3, [1, 2, np.nan]], "float32"))
    assert_operation(lambda x: call(x, axis=(0, 2), keepdims=True), with_nan(2, 3, 4))
    assert_operation(lambda x: call(x, axis=1), ints(2, 3))


def test_truth():
    assert_operation(lambda x: ops.all(x, axis=1), bools(2, 3, 4))
    assert_operation(lambda x: ops.any(x, axis=(0, 2), keepdims=True), A)
    assert_operation(lambda x: ops.count_nonzero(x, axis=1), ints(2, 3, 4, high=3))


def test_places_of_extremes():
    assert_operation(lambda x: ops.argmax(x, axis=1), A)
    assert_operation(ops.argmin, A)
    assert_operation(lambda x: ops.argmax(x, axis=-1, keepdims=True), A)
    assert_operation(lambda x: ops.argmax(x, keepdims=True), A)
    assert_operation(lambda x: ops.nanargmax(x, axis=1), with_nan(2, 3, 4))
    assert_operation(lambda x: ops.nanargmin(x, axis=1), with_nan(2, 3, 4))
    assert_operation(ops.nanargmax, with_nan(2, 3, 4))
    assert_operation(lambda x: ops.nanargmin(x, axis=1), np.array([[np.nan] * 3, [1, 2, np.nan]], "float32"))


def test_averages():
    assert_operation(lambda x: ops.average(x, axis=1), A)
    assert_operation(lambda x, w: ops.average(x, axis=1, weights=w), A, uniform(2, 3, 4))
    assert_operation(lambda x: ops.average(x, axis=1, weights=np.array([1.0, 2.0, 3.0], "float32")), A)
    assert_operation(ops.average, ints(2, 3))
    assert_operation(lambda x: ops.moments(x, axes=[1]), A)


@pytest.mark.parametrize("name", ["cumsum", "cumprod", "nancumsum", "nancumprod"])
def test_running_sums(name):
    call, x = getattr(ops, name), with_nan(2, 3, 4) if name.startswith("nan") else A
    assert_operation(lambda x: call(x, axis=1), x)
    assert_operation(call, x)
    assert_operation(lambda x: call(x, axis=0), ints(2, 3))
    assert_operation(lambda x: call(x, axis=1), bools(2, 3))


def test_integrals_and_statistics():
    assert_operation(lambda x: ops.trapezoid(x, dx=0.5, axis=1), A)
    assert_operation(ops.corrcoef, normal(3, 5))
    assert_operation(lambda x, y: ops.psnr(x, y, 2.0), A, B)
