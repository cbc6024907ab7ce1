"""A result is put into place whole or not at all, and nothing else is ever lost."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from translate.errors import UsageError
from translate.publish import next_version, publish, publish_version, staging, versions, write_file


def saved_model(folder: Path, content: str) -> Path:
    folder.mkdir(parents=True)
    (folder / "saved_model.pb").write_text(content)
    return folder


def make(destination: Path, *, force: bool = False, content: str = "new") -> None:
    with staging(destination, force=force) as built:
        saved_model(built, content)
        publish(built, destination)


def test_a_result_appears_with_its_parents(tmp_path: Path) -> None:
    destination = tmp_path / "a" / "b" / "model_tf"
    make(destination)
    assert (destination / "saved_model.pb").read_text() == "new"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    assert os.listdir(destination.parent) == ["model_tf"]


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_a_failure_leaves_everything_as_it_was(tmp_path: Path, error: type[BaseException]) -> None:
    old = saved_model(tmp_path / "model_tf", "old")
    for destination in (old, tmp_path / "other" / "model_tf"):
        with pytest.raises(error), staging(destination, force=True) as built:
            saved_model(built, "half")
            raise error
    assert os.listdir(tmp_path) == ["model_tf"]
    assert (old / "saved_model.pb").read_text() == "old"


def test_an_existing_result_is_replaced_only_with_force(tmp_path: Path) -> None:
    old = saved_model(tmp_path / "model_tf", "old")
    with pytest.raises(UsageError, match="already exists; --force replaces it"):
        make(old)
    assert (old / "saved_model.pb").read_text() == "old"
    make(old, force=True)
    assert (old / "saved_model.pb").read_text() == "new"
    assert os.listdir(tmp_path) == ["model_tf"]


def test_a_rename_that_fails_puts_the_old_result_back(tmp_path: Path) -> None:
    old = saved_model(tmp_path / "model_tf", "old")
    with pytest.raises(UsageError, match="cannot write"), staging(old, force=True) as built:
        publish(built, old)  # nothing was built: there is nothing to rename
    assert (old / "saved_model.pb").read_text() == "old"


def test_force_replaces_nothing_but_a_saved_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, file, link = tmp_path / "home", tmp_path / "model.pt2", tmp_path / "link"
    folder.mkdir()
    (folder / "thesis.tex").write_text("years")
    file.write_text("weights")
    link.symlink_to(folder)
    for destination in (folder, file, link):
        with pytest.raises(UsageError, match="--force does not replace it"):
            make(destination, force=True)
    assert (folder / "thesis.tex").read_text() == "years"
    inside = saved_model(tmp_path / "model_tf", "old")
    monkeypatch.chdir(inside)
    with pytest.raises(UsageError, match="holds the working directory"):
        make(inside, force=True)


def test_a_place_that_cannot_be_written_is_refused_at_once(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for destination in (tmp_path / "file" / "model_tf", tmp_path / "file" / "deeper" / "model_tf"):
        with pytest.raises(UsageError, match="is not a folder"), staging(destination, force=False):
            raise AssertionError("work began")


def test_a_written_file_is_whole_and_ordinary(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    write_file(path, "one")
    write_file(path, "two")
    assert path.read_text() == "two"
    assert os.listdir(tmp_path) == ["report.json"]
    (tmp_path / "ordinary").touch()
    assert path.stat().st_mode == (tmp_path / "ordinary").stat().st_mode
    with pytest.raises(UsageError, match="cannot write"):
        write_file(tmp_path / "file" / "report.json", "three")


def test_force_replaces_a_file_only_by_one_of_its_kind(tmp_path: Path) -> None:
    old, other, folder = tmp_path / "model.pt2", tmp_path / "notes.txt", tmp_path / "folder.pt2"
    old.write_text("old")
    other.write_text("years")
    folder.mkdir()
    for destination in (other, folder):
        with (
            pytest.raises(UsageError, match="--force does not replace it"),
            staging(destination, force=True, ending=".pt2"),
        ):
            pass
    with staging(old, force=True, ending=".pt2") as built:
        built.write_text("new")
        publish(built, old)
    assert old.read_text() == "new"
    assert other.read_text() == "years"


def test_versions_are_the_names_that_are_numbers(tmp_path: Path) -> None:
    assert versions(tmp_path / "nothing") == []
    for name in ("3", "10", "0002", ".11.abc", "latest", "1.5", "-4", "²"):
        (tmp_path / name).mkdir()
    assert versions(tmp_path) == [2, 3, 10]
    assert next_version(tmp_path) == 11
    assert next_version(tmp_path, 4) == 4
    assert next_version(tmp_path / "new") == 1


def test_a_version_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "models" / "0007").mkdir(parents=True)
    with pytest.raises(UsageError, match="has a version 7 already"):
        next_version(tmp_path / "models", 7)
    saved_model(tmp_path / "model_tf", "x")
    with pytest.raises(UsageError, match="is itself a SavedModel"):
        next_version(tmp_path / "model_tf")
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="is not a folder"):
        next_version(tmp_path / "file")


def test_while_it_is_built_no_version_is_seen(tmp_path: Path) -> None:
    base = tmp_path / "models"
    base.mkdir()
    with staging(base / "1", force=False) as built:
        saved_model(built, "half")
        # On the same file system, where TF Serving does not look: it takes numbers only.
        assert built.parent.parent == base
        assert versions(base) == []
        assert publish_version(built, base) == base / "1"
    assert os.listdir(base) == ["1"]


def test_runs_at_the_same_time_get_versions_of_their_own(tmp_path: Path) -> None:
    base = tmp_path / "models"

    def run(number: int) -> Path:
        built = saved_model(tmp_path / f"built{number}", str(number))
        return publish_version(built, base)

    with ThreadPoolExecutor(16) as pool:
        places = list(pool.map(run, range(64)))
    assert versions(base) == list(range(1, 65))
    assert [(place / "saved_model.pb").read_text() for place in places] == [str(number) for number in range(64)]


def test_a_version_that_another_run_has_taken_meanwhile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    base = tmp_path / "models"
    saved_model(base / "1", "theirs")
    # Both looked at the same time and found nothing.
    found = iter([1, 2])
    monkeypatch.setattr("translate.publish.next_version", lambda *_: next(found))
    built = saved_model(tmp_path / "built", "ours")
    assert publish_version(built, base) == base / "2"
    assert (base / "1" / "saved_model.pb").read_text() == "theirs"
    monkeypatch.undo()
    with pytest.raises(UsageError, match="has a version 2 already"):
        publish_version(saved_model(tmp_path / "other", "ours"), base, 2)
