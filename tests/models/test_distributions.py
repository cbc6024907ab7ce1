"""How example inputs are distributed, and the options that say it."""

from __future__ import annotations

import pytest

from translate.errors import UsageError
from translate.models import Spec
from translate.models.distributions import Normal, Range, Uniform, parse_distributions
from translate.models.inputs import example_feeds


def test_parse() -> None:
    found = parse_distributions(["ids:0,30521", "a:0:-1.5,2e3"], ["x", "y:0.45,0.22", "z:0"], ["u", "v:-1,1"])
    assert found == {
        "ids": Range(0, 30521),
        "a:0": Range(-1.5, 2000.0),
        "x": Normal(0, 1),
        "y": Normal(0.45, 0.22),
        # TensorFlow's tensors have such names.
        "z:0": Normal(0, 1),
        "u": Uniform(0, 1),
        "v": Uniform(-1, 1),
    }
    assert parse_distributions([f"i:0,{2**63 - 1}"])["i"] == Range(0, 2**63 - 1)


@pytest.mark.parametrize("text", ["ids", "ids:5", "ids:a,b", ":0,1", "ids:0,1,2", "", "ids:0,nan", "ids:0,inf"])
def test_parse_refuses_ranges(text: str) -> None:
    with pytest.raises(UsageError, match="is not NAME:LOW,HIGH, such as ids:0,30521"):
        parse_distributions([text])


def test_parse_refuses() -> None:
    with pytest.raises(UsageError, match="5 is greater than 1"):
        parse_distributions(["x:5,1"])
    with pytest.raises(UsageError, match="not negative"):
        parse_distributions([], ["x:0,-1"])
    with pytest.raises(UsageError, match="given twice"):
        parse_distributions(["x:0,1"], ["x"])
    with pytest.raises(UsageError, match="--uniform 'x:0,b' is not NAME or NAME:LOW,HIGH"):
        parse_distributions([], [], ["x:0,b"])


def test_drawn() -> None:
    specs = [Spec(name, dtype, (4000,)) for name, dtype in (("i", "int64"), ("r", "float32"), ("n", "bfloat16"))]
    drawn = example_feeds(specs, {}, 0, None, {"i": Range(-2, 3), "r": Uniform(5, 7), "n": Normal(10, 2)})
    assert sorted(set(drawn["i"].tolist())) == [-2, -1, 0, 1, 2, 3]
    assert drawn["r"].min() >= 5
    assert drawn["r"].max() <= 7
    assert 5.8 < drawn["r"].mean() < 6.2
    values = drawn["n"].astype("float32")
    assert 9.8 < values.mean() < 10.2
    assert 1.8 < values.std() < 2.2
    huge = example_feeds([Spec("u", "uint64", (9,))], {}, 0, None, {"u": Range(2**63, 2**64 - 1)})["u"]
    assert huge.min() >= 2**63


@pytest.mark.parametrize(
    ("dtype", "distribution", "reason"),
    [
        ("int64", Normal(), "no real numbers"),
        ("bool", Range(0, 1), "no numbers"),
        ("int64", Uniform(0, 0.5), "holds integers"),
        ("uint8", Range(0, 300), "between 0 and 255"),
    ],
)
def test_what_does_not_fit(dtype: str, distribution: Normal | Uniform, reason: str) -> None:
    with pytest.raises(UsageError, match=reason):
        example_feeds([Spec("x", dtype, (2,))], {}, 0, None, {"x": distribution})
