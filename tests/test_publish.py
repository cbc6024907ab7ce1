"""A result is put into place whole or not at all, and nothing else is ever lost."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from translate.errors import UsageError
from translate.publish import publish, staging, write_file


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
