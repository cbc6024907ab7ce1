"""Neighbours of numbers."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest

from translate.models.perturb import is_floating, move, neighbouring_feeds, neighbours, parts


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", ml_dtypes.bfloat16, ml_dtypes.float8_e4m3fn])
def test_every_number_moves_to_the_next(dtype: str) -> None:
    limits = ml_dtypes.finfo(dtype)
    numbers = np.asarray(np.random.default_rng(0).uniform(0.3, 0.9, 100)).astype(dtype)
    moved = neighbours(numbers, np.random.default_rng(1))
    assert moved.dtype == numbers.dtype
    steps = (moved.astype(np.float64) - numbers.astype(np.float64)) / (float(limits.eps) / 2)
    assert set(np.abs(steps)) <= {0.5, 1.0}
    assert (steps > 0).any() and (steps < 0).any()


def test_what_stays() -> None:
    special = np.float32([0, 1, -3, 2**23, np.inf, -np.inf, np.nan])
    np.testing.assert_array_equal(neighbours(special, np.random.default_rng(0)), special)
    for dtype in ("int64", "bool", "str"):
        array = np.ones(3).astype(dtype)
        assert neighbours(array, np.random.default_rng(0)) is array


def test_denormals_become_zero_and_large_numbers_move() -> None:
    denormal, large = np.float32([1e-39, -1e-45]), np.float32([1e30, 3.4028235e38])
    assert (neighbours(denormal, np.random.default_rng(0)) == 0).all()
    assert np.isfinite(neighbours(large, np.random.default_rng(0))).all()
    assert neighbours(large, np.random.default_rng(0))[0] != large[0]


def test_complex_numbers_move_in_both_parts() -> None:
    number = np.full(50, 0.3 + 0.7j, np.complex64)
    moved = neighbours(number, np.random.default_rng(0))
    assert moved.dtype == np.complex64
    assert (moved.real != number.real).all() and (moved.imag != number.imag).all()
    assert np.abs(moved - number).max() < 1e-6


def test_the_seed_decides() -> None:
    feeds = {"x": np.full(100, 0.1, np.float32), "ids": np.arange(3)}
    first, again, other = (neighbouring_feeds(feeds, seed) for seed in (0, 0, 1))
    assert (first["x"] == again["x"]).all()
    assert (first["x"] != other["x"]).any()
    assert (first["ids"] == feeds["ids"]).all()


def test_what_is_floating() -> None:
    dtypes = (np.float16, ml_dtypes.bfloat16, np.complex64, np.int8, ml_dtypes.int4, np.bool_, object)
    assert [is_floating(np.dtype(dtype)) for dtype in dtypes] == [True, True, False, False, False, False, False]


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "complex64", ml_dtypes.bfloat16])
def test_the_way_back_is_exact(dtype: str) -> None:
    generator = np.random.default_rng(2)
    array = np.asarray(generator.normal(size=(7, 11)) * 10.0 ** generator.integers(-8, 5, (7, 11))).astype(dtype)
    # Denormals, the least normal number, and what stays.
    tiny = 1.17549435e-38
    array[0] = np.array([1e-40, -1e-44, tiny, -tiny, 0.0, -0.0, np.inf, -np.inf, np.nan, 3.0, 65504.0]).astype(dtype)
    moved, way = move(array, np.random.default_rng(0))
    assert moved.dtype == array.dtype and moved.shape == array.shape
    assert np.mean(moved.view("u1") != array.view("u1")) > 0.1
    assert way.follow(moved).tobytes() == array.tobytes()


def test_many_numbers_are_moved_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    array = np.random.default_rng(0).normal(size=1000).astype(np.float32)
    monkeypatch.setattr("translate.models.perturb._CHUNK", 96)
    moved, way = move(array, np.random.default_rng(1))
    np.testing.assert_array_equal(moved, neighbours(array, np.random.default_rng(1)))
    np.testing.assert_array_equal(way.follow(moved), array)
    assert way.steps.nbytes == array.size


def test_parts_cover_a_tensor_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("translate.models.perturb._PART_BYTES", 100)
    for shape in [(), (0,), (7,), (30, 4), (2, 300), (53,)]:
        array = np.zeros(shape, np.float32)
        for part in parts(shape, 4):
            array[part] += 1
        assert (array == 1).all()
    assert len(list(parts((30, 4), 4))) == 5 and list(parts((), 4)) == [...]
