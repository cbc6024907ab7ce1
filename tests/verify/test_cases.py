"""What two models are compared on, from files too, and how it is saved for another time."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from translate.errors import OpenError, UsageError
from translate.models import Spec
from translate.models.distributions import Normal, Range
from translate.verify.cases import Case, InputPlan, cases
from translate.verify.edges import EDGES
from translate.verify.replay import save_cases

SPECS = [
    Spec("ids", "int64", ("batch", "seq")),
    Spec("x", "float32", ("batch", 3, "2*half+1")),
]


def test_order_labels_sizes_and_seeds() -> None:
    plan = InputPlan(sizes={"batch": [2, 4]}, seeds=(7, 8), edges=("zeros", "masked", "tiny"))
    notes: list[str] = []
    made = list(cases(SPECS, None, plan, {"ids": 9}, notes=notes))
    assert [(case.label, case.sizes["batch"], case.seed) for case in made] == [
        ("random", 2, 7),
        ("random", 2, 8),
        ("random", 4, 7),
        ("random", 4, 8),
        ("edge zeros", 2, None),
        ("edge tiny", 2, 7),
    ]
    assert notes == ["edge masked was left out: it applies to no input of this model"]
    for case in made:
        assert case.feeds["ids"].shape == (case.sizes["batch"], case.sizes["seq"])
    assert max(case.feeds["ids"].max() for case in made) == 9
    assert not np.array_equal(made[0].feeds["x"], made[1].feeds["x"])


def test_cases_are_made_one_at_a_time() -> None:
    specs = [Spec("x", "float32", ("batch", 2**40))]
    made = cases(specs, None, InputPlan(sizes={"batch": [0, 1]}, seeds=(0,)))
    assert next(made).feeds["x"].shape == (0, 2**40)


def test_ranges_of_sizes_and_of_values() -> None:
    plan = InputPlan(distributions={"other": Range(50, 60), "x": Normal(100, 1)})
    made = list(cases(SPECS, {"seq": (4, 6)}, plan, aliases={"other": "ids"}))
    assert all(4 <= case.sizes["seq"] <= 6 for case in made)
    assert all(case.feeds["ids"].min() >= 50 and case.feeds["x"].min() > 90 for case in made)
    with pytest.raises(UsageError, match="no input is called y; the inputs are ids, x"):
        next(cases(SPECS, None, InputPlan(distributions={"y": Normal()})))


def sample(batch: int = 2, seq: int = 5, half: int = 3) -> dict[str, np.ndarray]:
    x = np.random.default_rng(0).standard_normal((batch, 3, 2 * half + 1)).astype("float32")
    return {"ids": np.arange(batch * seq).reshape(batch, seq), "x": x}


def test_data_of_every_kind_and_a_folder(tmp_path: Path) -> None:
    one, folder = tmp_path / "one.npz", tmp_path / "folder"
    folder.mkdir()
    np.savez(one, **sample())
    torch.save({name: torch.from_numpy(array) for name, array in sample(4).items()}, folder / "b.pt")
    torch.save([torch.from_numpy(array) for array in sample(3).values()], folder / "a.pt")
    (folder / "README").write_text("not data")
    made = list(cases(SPECS, None, InputPlan(seeds=(), data=(one, folder))))
    assert [(case.label, dict(case.sizes), case.seed) for case in made] == [
        ("data one.npz", {"batch": 2, "seq": 5, "half": 3}, None),
        ("data a.pt", {"batch": 3, "seq": 5, "half": 3}, None),
        ("data b.pt", {"batch": 4, "seq": 5, "half": 3}, None),
    ]
    np.testing.assert_array_equal(made[0].feeds["x"], sample()["x"])
    np.save(tmp_path / "x.npy", sample()["x"])
    (alone,) = cases(SPECS[1:], None, InputPlan(seeds=(), data=(tmp_path / "x.npy",)))
    assert list(alone.feeds) == ["x"]


def test_random_integers_go_as_far_as_the_data_where_nothing_else_is_known(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", **sample())
    plan = InputPlan(data=(tmp_path / "a.npz",), sizes={"seq": [40]})
    assert next(cases(SPECS, None, plan)).feeds["ids"].max() == 9
    assert next(cases(SPECS, None, plan, {"ids": 4})).feeds["ids"].max() == 4


def test_names_that_translation_changed(tmp_path: Path) -> None:
    arrays = sample()
    np.savez(tmp_path / "a.npz", **{"input.1": arrays["ids"], "x": arrays["x"]})
    (case,) = cases(SPECS, None, InputPlan(seeds=(), data=(tmp_path / "a.npz",)), aliases={"input.1": "ids"})
    np.testing.assert_array_equal(case.feeds["ids"], arrays["ids"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"x": np.zeros((2, 3, 7))}, r"x is float64\[2, 3, 7\]; the model takes x float32"),
        ({"x": np.zeros((2, 4, 7), "float32")}, r"x is float32\[2, 4, 7\]; the model takes x float32\[batch, 3"),
        ({"x": np.zeros((2, 3), "float32")}, r"x is float32\[2, 3\]"),
        ({"x": np.zeros((6, 3, 7), "float32")}, r"x is \[6, 3, 7\], but batch = 2"),
        ({"z": np.zeros(2)}, "unknown z"),
        ({"ids": None}, "missing ids"),
    ],
)
def test_data_that_does_not_fit(tmp_path: Path, change: dict[str, np.ndarray | None], message: str) -> None:
    arrays = {name: array for name, array in (sample() | change).items() if array is not None}
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(UsageError, match=message):
        list(cases(SPECS, None, InputPlan(seeds=(), data=(tmp_path / "a.npz",))))


def test_no_data(tmp_path: Path) -> None:
    with pytest.raises(OpenError, match=r"holds no \.npz"):
        list(cases(SPECS, None, InputPlan(data=(tmp_path,))))
    with pytest.raises(OpenError, match="no such sample"):
        list(cases(SPECS, None, InputPlan(data=(tmp_path / "a.npz",))))


def test_text_is_not_made_up(tmp_path: Path) -> None:
    specs = [Spec("text", "str", ("batch",))]
    np.savez(tmp_path / "a.npz", text=np.array(["one", "two"]))
    notes: list[str] = []
    (case,) = cases(specs, None, InputPlan(data=(tmp_path / "a.npz",)), notes=notes)
    assert case.feeds["text"].tolist() == ["one", "two"]
    assert "text" in notes[0]
    with pytest.raises(UsageError, match="--data"):
        list(cases(specs))


def test_saved_cases_replay(tmp_path: Path) -> None:
    dtypes = ("float32", "bfloat16", "float16", "float8_e4m3fn", "complex64", "int8", "uint16", "bool")
    # `file` is a parameter of np.savez, "a/b:0" no name of a file, and a scalar has no axis.
    specs = [Spec(f"{dtype}_mask", dtype, ("batch", 3)) for dtype in dtypes]
    specs += [Spec("file", "float32", ("batch",)), Spec("a/b:0", "bfloat16", ())]
    plan = InputPlan(sizes={"batch": [2]}, edges=tuple(EDGES))
    made = list(cases(specs, None, plan))
    written = save_cases(iter(made), tmp_path / "inputs")
    assert sorted((tmp_path / "inputs").iterdir()) == written
    assert written[0].name == "000_random_batch2_seed0.npz"
    assert written[2].name == "002_edge-zeros_batch2.npz"
    replayed = list(cases(specs, None, InputPlan(seeds=(), data=(tmp_path / "inputs",))))
    assert len(replayed) == len(made) == 2 + len(EDGES)
    for before, after in zip(made, replayed, strict=True):
        assert dict(after.sizes) == dict(before.sizes)
        for name, array in before.feeds.items():
            assert after.feeds[name].dtype == array.dtype
            assert after.feeds[name].tobytes() == array.tobytes(), name
    with pytest.raises(UsageError, match="not empty"):
        save_cases(made, tmp_path / "inputs")


def test_cases_are_saved_in_a_folder_of_their_own(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    for place in (file, file / "below"):
        with pytest.raises(UsageError, match="cannot write"):
            save_cases([], place)


@pytest.mark.parametrize("size", [10**14, 2**62])
def test_sizes_that_no_memory_holds(size: int) -> None:
    with pytest.raises(UsageError, match="input x cannot be made"):
        list(cases([Spec("x", "float32", ("batch", 8))], plan=InputPlan(sizes={"batch": [size]})))


def test_saved_text_is_not_pickled(tmp_path: Path) -> None:
    case = Case("data a.npz", {}, None, {"text": np.array(["one", "twenty"], object)})
    (path,) = save_cases([case], tmp_path / "inputs")
    assert np.load(path, allow_pickle=False)["text"].tolist() == ["one", "twenty"]
