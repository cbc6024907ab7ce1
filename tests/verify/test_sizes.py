"""Which sizes are compared."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from translate.errors import UsageError
from translate.models.base import Array, Model, Spec
from translate.verify.sizes import parse_sizes, size_choices


class Shape(Model):
    kind = "shape"
    inputs = (Spec("x", "float32", ("batch", 3, "length")),)
    outputs = ()

    def call(self, values: Mapping[str, Array]) -> dict[str, Array]:
        return {}


def test_parse() -> None:
    assert parse_sizes(["batch=1,2,7", "length=9"]) == {"batch": [1, 2, 7], "length": [9]}
    for wrong in ("batch", "batch=", "batch=a", "=1", "batch=1,,2", "batch=-1"):
        with pytest.raises(UsageError, match="is not NAME=SIZE"):
            parse_sizes([wrong])


def test_every_asked_size_is_used_and_others_take_their_defaults() -> None:
    choices = size_choices(Shape(), {"batch": [1, 2, 7, 9], "length": [30, 40]})
    assert [choice["batch"] for choice in choices] == [1, 2, 7, 9]
    assert [choice["length"] for choice in choices] == [30, 40, 30, 40]
    lengths = {choice["length"] for choice in size_choices(Shape(), {"batch": [4, 6]})}
    assert len(lengths) == 2


def test_by_default_there_are_two_sizes_of_each_dimension() -> None:
    choices = size_choices(Shape())
    for name in ("batch", "length"):
        assert len({choice[name] for choice in choices}) >= 2
    for choice in choices:
        assert len({3, *choice.values()}) == 3, "a swapped axis could hide"


def test_unknown_dimension() -> None:
    with pytest.raises(UsageError, match="no such dimension; the source has batch, length"):
        size_choices(Shape(), {"width": [1]})
