"""The `--input` option, samples, sizes and example arrays."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from translate.errors import OpenError, UsageError
from translate.models import Spec, inputs


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("x:batch,3,224,224", Spec("x", "float32", ("batch", 3, 224, 224))),
        ("ids:batch,seq:int64", Spec("ids", "int64", ("batch", "seq"))),
        ("batch,3", Spec("", "float32", ("batch", 3))),
        ("batch,3:bool", Spec("", "bool", ("batch", 3))),
        ("n::int64", Spec("n", "int64", ())),
        ("x:batch, 32*height, width+1", Spec("x", "float32", ("batch", "32*height", "width+1"))),
        ("x:batch:half", Spec("x", "float16", ("batch",))),
    ],
)
def test_parse_input(text: str, expected: Spec) -> None:
    assert inputs.parse_input(text) == expected


@pytest.mark.parametrize("text", ["", "x:batch,,3", "x:3.5", "x:batch:float99", "a:b:c:d", "x y:3", "x:-1,3", "x:a*b"])
def test_parse_input_refuses(text: str) -> None:
    with pytest.raises(UsageError, match="--input"):
        inputs.parse_input(text)


def test_name_inputs() -> None:
    specs = [Spec("", "float32", (1,)), Spec("b", "float32", (2,)), Spec("state_0", "float32", (3,))]
    named = inputs.name_inputs(specs, ["a", "b", "state"])
    assert [spec.name for spec in named] == ["a", "b", "state_0"]
    with pytest.raises(UsageError, match="forward has no such argument; it takes a, b"):
        inputs.name_inputs([Spec("c", "float32", ())], ["a", "b"])
    with pytest.raises(UsageError, match="more inputs than arguments"):
        inputs.name_inputs([Spec("", "float32", ())] * 2, ["a"])
    with pytest.raises(UsageError, match="given twice"):
        inputs.name_inputs([Spec("a", "float32", ())] * 2, ["a"])


def test_merge_specs() -> None:
    known = [Spec("x", "float32", (4, 3)), Spec("y", "int64", (4,))]
    merged = inputs.merge_specs([Spec("x", "float32", ("batch", 3))], known)
    assert merged == (Spec("x", "float32", ("batch", 3)), known[1])
    with pytest.raises(UsageError, match="no such input"):
        inputs.merge_specs([Spec("z", "float32", (1,))], known)
    with pytest.raises(UsageError, match="the model expects y int64"):
        inputs.merge_specs([Spec("y", "float32", ("batch",))], known)


def test_default_sizes_are_distinct() -> None:
    specs = [Spec("x", "float32", ("batch", 3, "height", "width", 7)), Spec("y", "int64", ("batch", "seq"))]
    choices = inputs.default_sizes(specs)
    assert [sizes["batch"] for sizes in choices] == [2, 5, 1]
    for sizes in choices:
        dims = [*sizes.values(), 3, 7]
        assert len(set(dims)) == len(dims)
    for name in ("height", "width", "seq"):
        assert len({sizes[name] for sizes in choices}) >= 2


def test_default_sizes_of_multiples_and_ranges() -> None:
    choices = inputs.default_sizes([Spec("x", "float32", ("n", "seq", "2*half"))], {"seq": (3, 6)})
    assert all(3 <= sizes["seq"] <= 6 for sizes in choices)
    for sizes in choices:
        dims = [inputs.size_of(dim, sizes) for dim in ("n", "seq", "2*half")]
        assert len(set(dims)) == 3
    assert inputs.default_sizes([Spec("x", "float32", (2, 3))]) == [{}]


def test_nameless_dimensions() -> None:
    specs = [Spec("a:0", "float32", (None, None)), Spec("b", "float32", (None, 3))]
    assert inputs.symbols(specs) == ["batch", "a_0_1"]
    feeds = inputs.example_feeds(specs, {"batch": 2, "a_0_1": 5})
    assert {name: array.shape for name, array in feeds.items()} == {"a:0": (2, 5), "b": (2, 3)}


def test_example_feeds() -> None:
    specs = [
        Spec("x", "float32", ("n", 3)),
        Spec("i", "int64", ("n", 50)),
        Spec("b", "bool", (9,)),
        Spec("s", "int32", ()),
    ]
    feeds = inputs.example_feeds(specs, {"n": 4}, seed=3, bounds={"i": 9})
    again = inputs.example_feeds(specs, {"n": 4}, seed=3, bounds={"i": 9})
    other = inputs.example_feeds(specs, {"n": 4}, seed=4, bounds={"i": 9})
    for name, array in feeds.items():
        np.testing.assert_array_equal(array, again[name])
    assert not np.array_equal(feeds["x"], other["x"])
    assert [(array.dtype.name, array.shape) for array in feeds.values()] == [
        ("float32", (4, 3)),
        ("int64", (4, 50)),
        ("bool", (9,)),
        ("int32", ()),
    ]
    assert feeds["i"].min() == 0
    assert feeds["i"].max() == 9


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "complex64", "uint8"])
def test_example_feeds_of_other_dtypes(dtype: str) -> None:
    array = inputs.example_feeds([Spec("x", dtype, (2, 3))], {})["x"]
    assert array.dtype.name == dtype


def test_example_feeds_refuses() -> None:
    with pytest.raises(UsageError, match="no known rank"):
        inputs.example_feeds([Spec("x", "float32", None)], {})
    with pytest.raises(UsageError, match="'seq' has no size"):
        inputs.example_feeds([Spec("x", "float32", ("seq",))], {})
    with pytest.raises(UsageError, match="--sample"):
        inputs.example_feeds([Spec("x", "str", (2,))], {})


def test_size_of() -> None:
    assert inputs.size_of("((height + 9)//2) - 3", {"height": 12}) == 7
    with pytest.raises(UsageError, match="no integer expression"):
        inputs.size_of("f(height)", {"height": 12})


def test_load_sample(tmp_path: Path) -> None:
    x, state = np.arange(6, dtype="float32").reshape(2, 3), np.ones(2, "int64")
    np.savez(tmp_path / "a.npz", x=x, state=state)
    np.save(tmp_path / "a.npy", x)
    torch.save({"x": torch.from_numpy(x), "state": (torch.from_numpy(state),)}, tmp_path / "a.pt")
    torch.save((torch.from_numpy(x), torch.from_numpy(state)), tmp_path / "b.pt")
    named = inputs.load_sample(tmp_path / "a.npz")
    assert isinstance(named, dict)
    np.testing.assert_array_equal(named["x"], x)
    np.testing.assert_array_equal(inputs.name_sample(inputs.load_sample(tmp_path / "a.npy"), ["x"])["x"], x)
    assert list(inputs.load_sample(tmp_path / "a.pt")) == ["x", "state_0"]
    assert list(inputs.name_sample(inputs.load_sample(tmp_path / "b.pt"), ["x", "state"])) == ["x", "state"]
    with pytest.raises(UsageError, match="holds 2 arrays"):
        inputs.name_sample(inputs.load_sample(tmp_path / "b.pt"), ["x"])


def test_load_sample_refuses(tmp_path: Path) -> None:
    with pytest.raises(OpenError, match="no such sample"):
        inputs.load_sample(tmp_path / "a.npz")
    for name in ("a.npz", "a.npy", "a.pt", "a.txt"):
        (tmp_path / name).write_text("no sample")
        with pytest.raises(OpenError):
            inputs.load_sample(tmp_path / name)


def test_long_sizes_are_for_one_open_length() -> None:
    sound = [Spec("sound", "float32", ("batch", "samples"))]
    for sizes in inputs.long_sizes(sound):
        assert sizes["samples"] >= 16384 and sizes["batch"] < 10
    assert len({sizes["samples"] for sizes in inputs.long_sizes(sound)}) > 1
    assert inputs.long_sizes([Spec("image", "float32", ("batch", "height", "width", 3))]) == []
    assert inputs.long_sizes([Spec("x", "float32", ("batch", 3))]) == []
