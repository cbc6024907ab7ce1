"""How far outputs may lie apart."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest

from translate.errors import UsageError
from translate.verify.noise import Noise
from translate.verify.tolerance import Tolerance, calibrated, check_names, classic, loosest, parse_tolerance


def test_parse() -> None:
    assert parse_tolerance("--rtol", ["1e-3", "logits=0.5", "a=b=2"]) == {"": 1e-3, "logits": 0.5, "a=b": 2}
    for wrong in ("x", "logits=", "logits=-1", "nan", "inf"):
        with pytest.raises(UsageError, match="--rtol"):
            parse_tolerance("--rtol", [wrong])


def test_names_must_be_outputs() -> None:
    check_names({"": 1.0, "y": 2.0}, ["x", "y"])
    check_names(0.5, [])
    with pytest.raises(UsageError, match="names z; the outputs are x, y"):
        check_names({"z": 1.0}, ["x", "y"])


def test_the_classic_test_is_for_the_outputs_that_it_names() -> None:
    single = np.dtype("float32")
    assert classic("y", single, None, None) is None
    assert classic("y", single, {"z": 1.0}, None) is None
    assert classic("y", np.dtype("int64"), 1.0, 1.0) is None
    assert classic("y", single, {"": 0.1, "y": 0.2}, 0.0) == Tolerance("classic", rtol=0.2, atol=0.0)
    # PyTorch's default for the one that is left out.
    assert classic("y", np.dtype("float16"), None, 0.0) == Tolerance("classic", rtol=1e-3, atol=0.0)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", ml_dtypes.bfloat16])
def test_without_noise_four_units_in_the_last_place_are_allowed(dtype: str) -> None:
    eps = float(ml_dtypes.finfo(dtype).eps)
    limits = calibrated(np.asarray([2, 0, 0, 0]).astype(dtype), None)
    assert (limits.maximum, limits.rms) == (4 * eps * 2, 4 * eps * 1)


def test_noise_counts_by_how_it_was_measured() -> None:
    value = np.float32([1, 1])
    measured = calibrated(value, Noise("float64", 0.01, 0.002))
    assert (measured.maximum, measured.rms) == pytest.approx((0.06, 0.012))
    moved = calibrated(value, Noise("one ulp", 0.01, 0.002))
    assert (moved.maximum, moved.rms) == pytest.approx((0.24, 0.048))
    assert loosest([measured, moved]) == moved


def test_zeros_and_denormals() -> None:
    tiny, eps = float(np.finfo(np.float32).tiny), float(np.finfo(np.float32).eps)
    assert calibrated(np.zeros(3, np.float32), None).maximum == 4 * eps
    assert calibrated(np.float32([1e-40]), None) == Tolerance("calibrated", maximum=tiny, rms=tiny)
    assert calibrated(np.float32([np.inf, np.nan, 1]), None).maximum == 4 * eps


def test_one_step_of_a_grid_is_always_allowed() -> None:
    value = np.asarray([0.5, 0.25, -0.75], np.float32)
    assert calibrated(value, None).maximum < 1e-5
    limits = calibrated(value, None, step=0.25)
    assert 0.25 <= limits.maximum < 0.25001
    assert limits.rms == 0.25
    # Larger noise stays the rule.
    assert calibrated(value, Noise("float64", 0.5, 0.5), step=0.25).maximum == 3.0
