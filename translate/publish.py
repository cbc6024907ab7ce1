"""Put a result into place whole, or not at all."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from translate.errors import UsageError


@contextmanager
def staging(destination: Path, *, force: bool, ending: str = "", marker: str = "saved_model.pb") -> Iterator[Path]:
    """Yield the path of a file or folder to build the result for `destination` in; it is removed at the end.

    It lies on the destination's file system, so that `publish` can rename. Raises `UsageError`, before anything is
    written, when the destination exists and `force` is off, when it is nothing that may be replaced (see `check`), or
    when it cannot be written.
    """
    check(destination, force=force, ending=ending, marker=marker)
    parent = _nearest_folder(destination)
    try:
        scratch = Path(tempfile.mkdtemp(prefix=f".{destination.name}.", dir=parent))
    except OSError as error:
        raise UsageError(f"cannot write {destination}: {error.strerror}") from error
    try:
        yield scratch / f"result{destination.suffix}"
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def check(destination: Path, *, force: bool, ending: str = "", marker: str = "saved_model.pb") -> None:
    """Raise `UsageError` unless a result may be written to `destination`.

    The result is a file with this `ending`, or where that is empty a folder that holds a file called `marker`. With
    `force` such a file, such a folder or an empty one is replaced, and nothing else: `-o ~ --force` must not empty a
    home.
    """
    if not os.path.lexists(destination):
        return
    if not force:
        raise UsageError(f"{destination} already exists; --force replaces it, -o names another place")
    if ending:
        if not destination.is_file() or destination.suffix != ending:
            raise UsageError(f"{destination} exists and is no {ending} file; --force does not replace it")
        return
    is_folder = destination.is_dir() and not destination.is_symlink()
    if not is_folder or not ((destination / marker).is_file() or not any(destination.iterdir())):
        raise UsageError(f"{destination} exists and is no folder of such a result; --force does not replace it")
    working = Path.cwd()
    if destination.resolve() in (working, *working.parents):
        raise UsageError(f"{destination} holds the working directory; --force does not replace it")


def discard(result: Path) -> None:
    """Remove a result that was begun in its staging folder, if there is one."""
    if result.is_dir():
        shutil.rmtree(result)
    else:
        result.unlink(missing_ok=True)


def publish(result: Path, destination: Path) -> None:
    """Rename `result` to `destination`; what stood there goes only once the result is in its place.

    Raises `UsageError` when the file system refuses; the destination is then as it was.
    """
    # Beside the result, in the staging folder: removed with it.
    aside = result.with_name("replaced")
    try:
        destination.parent.mkdir(parents=True, exist_ok=True)
        if destination.exists():
            destination.rename(aside)
        try:
            result.rename(destination)
        except OSError:
            if aside.exists():
                aside.rename(destination)
            raise
    except OSError as error:
        raise UsageError(f"cannot write {destination}: {error.strerror}") from error


def versions(base: Path) -> list[int]:
    """Return the numbers of the versions in `base`, ascending: what TF Serving loads from it, and nothing else."""
    names = [entry.name for entry in base.iterdir()] if base.is_dir() else []
    return sorted(int(name) for name in names if name.isascii() and name.isdigit())


def next_version(base: Path, version: int | None = None) -> int:
    """Return the number of the next version in `base`: `version`, or one more than the greatest.

    Raises `UsageError` where there is such a version already, or `base` cannot hold versions.
    """
    if os.path.lexists(base) and not base.is_dir():
        raise UsageError(f"cannot write versions to {base}: it is not a folder")
    if (base / "saved_model.pb").exists():
        raise UsageError(f"{base} is itself a SavedModel; versions go to a folder above them")
    taken = versions(base)
    if version is None:
        return taken[-1] + 1 if taken else 1
    if version in taken:
        raise UsageError(f"{base} has a version {version} already; a version is never replaced, for it may be running")
    return version


def publish_version(result: Path, base: Path, version: int | None = None) -> Path:
    """Rename the folder `result` to `version` in `base`, to the next one where it is None, and return that place.

    Whoever looks at `base` sees all of the version or nothing, and of two runs at the same time neither replaces what
    the other has written. Raises `UsageError` as `next_version` does, and when the file system refuses.
    """
    while True:
        place = base / str(next_version(base, version))
        try:
            base.mkdir(parents=True, exist_ok=True)
            # A folder cannot be renamed to one that has something in it, so the second of two runs fails here.
            result.rename(place)
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise UsageError(f"cannot write {place}: {error.strerror}") from error
        else:
            return place


def write_file(path: Path, text: str) -> None:
    """Write `text` to `path`, whole or not at all. Raises `UsageError` when it cannot be written."""
    try:
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as stream:
                stream.write(text)
            # mkstemp makes files private to the user; a report is an ordinary file.
            os.chmod(name, 0o666 & ~_umask())
            os.replace(name, path)
        except BaseException:
            os.unlink(name)
            raise
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}") from error


def check_folder(path: Path) -> None:
    """Raise `UsageError` unless `path` is a folder that files can be written to, or may become one."""
    folder = path if os.path.lexists(path) else _nearest_folder(path)
    if not folder.is_dir():
        raise UsageError(f"cannot write to {path}: {folder} is not a folder")
    if not os.access(folder, os.W_OK):
        raise UsageError(f"cannot write to {path}: permission denied")


def _nearest_folder(destination: Path) -> Path:
    """Return the closest ancestor that exists. Raises `UsageError` when it is not a folder."""
    parent = next(ancestor for ancestor in destination.absolute().parents if os.path.lexists(ancestor))
    if not parent.is_dir():
        raise UsageError(f"cannot write {destination}: {parent} is not a folder")
    return parent


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
