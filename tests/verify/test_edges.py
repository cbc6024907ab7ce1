"""Edge inputs."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest

from translate.errors import UsageError
from translate.models import Spec
from translate.models.base import Array
from translate.models.distributions import Range, Uniform
from translate.verify.edges import EDGES, edge_feeds, parse_edges

SPECS = [
    Spec("ids", "int64", ("batch", "seq")),
    Spec("attention_mask", "bool", ("batch", "seq")),
    Spec("x", "float32", ("batch", 50)),
    Spec("h", "float16", ("batch", 50)),
]
SIZES = {"batch": 3, "seq": 20}


def feeds(edge: str, specs: list[Spec] = SPECS, **options: object) -> dict[str, Array]:
    made = edge_feeds(edge, specs, SIZES, 0, {"ids": 9}, **options)  # type: ignore[arg-type]
    assert made is not None
    for spec in specs:
        assert made[spec.name].dtype.name == spec.dtype
        assert made[spec.name].shape[0] == 3
    return made


def test_parse() -> None:
    assert parse_edges(["zeros,ones", "nan", "ones"]) == ("zeros", "ones", "nan")
    assert parse_edges(["none"]) == ()
    assert parse_edges([]) == ()
    with pytest.raises(UsageError, match="'huge' is not one of zeros, ones, large"):
        parse_edges(["huge"])


def test_zeros_and_ones() -> None:
    assert not any(array.any() for array in feeds("zeros").values())
    assert all((array == 1).all() for array in feeds("ones").values())


def test_large() -> None:
    made = feeds("large")
    assert (made["ids"] == 9).all()
    assert 5e3 < np.abs(made["x"]).mean() < 2e4
    # Half has no 1e4 squared: what a norm computes first.
    assert (np.abs(made["h"]) < 65504**0.5).mean() > 0.9
    assert np.abs(made["h"]).mean() > 50
    assert 0 < made["attention_mask"].mean() < 1


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16", "float64"])
def test_tiny_numbers_are_denormal_and_few_are_zero(dtype: str) -> None:
    values = np.abs(feeds("tiny", [Spec("x", dtype, ("batch", 99))])["x"].astype("float64"))
    limits = ml_dtypes.finfo(dtype)
    denormal = (values > 0) & (values < float(limits.smallest_normal))
    assert denormal.mean() > 0.5
    assert (values >= float(limits.smallest_normal)).any()
    assert values.max() < 100 * float(limits.smallest_normal)


def test_masked() -> None:
    made = feeds("masked")
    mask = made["attention_mask"]
    assert not mask[0].any()
    assert 0 < mask[1].mean() < 1
    # Where a 1 means "masked", this row is.
    assert mask[2].all()
    assert made["x"].std() > 0.5
    one = edge_feeds("masked", [Spec("mask", "int64", ("seq",))], SIZES, 0)
    assert one is not None
    assert not one["mask"].any()


def test_nan_and_infinity_are_in_a_few_places_of_one_input() -> None:
    made = feeds("nan")
    assert np.isnan(made["x"]).sum() == 3
    assert not np.isnan(made["h"]).any()
    values = feeds("inf")["x"]
    assert (values == np.inf).sum() == 2
    assert (values == -np.inf).sum() == 1


def test_what_applies_to_nothing() -> None:
    words = [Spec("ids", "int64", ("batch", "seq"))]
    assert {edge for edge in EDGES if edge_feeds(edge, words, SIZES, 0) is None} == {"tiny", "masked", "nan", "inf"}


def test_a_range_is_never_left_but_a_distribution_is() -> None:
    made = feeds("large", distributions={"x": Range(-3, 3), "ids": Range(2, 5), "h": Uniform(0, 1)})
    assert np.abs(made["x"]).max() == 3
    assert (made["ids"] == 5).all()
    assert made["h"].max() > 1
    assert (feeds("zeros", distributions={"ids": Range(2, 5)})["ids"] == 2).all()
