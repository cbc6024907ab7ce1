"""Real inputs from files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from translate.errors import OpenError, UsageError
from translate.models.base import Array, Spec
from translate.models.inputs import ARRAY_FILES, load_sample, name_sample, open_dims, size_of, symbols


def find_data(paths: Sequence[Path]) -> list[Path]:
    """Return the files that `--data` names, those of a folder in the order of their names. Raises `OpenError`."""
    files: list[Path] = []
    for path in map(Path, paths):
        if not path.is_dir():
            files.append(path)
            continue
        inside = sorted(file for file in path.iterdir() if file.suffix in ARRAY_FILES)
        if not inside:
            raise OpenError(f"--data {path} holds no {', '.join(ARRAY_FILES)}")
        files += inside
    return files


def read_data(path: Path, specs: Sequence[Spec], aliases: Mapping[str, str] | None = None) -> dict[str, Array]:
    """Read one file of inputs, by the names in `specs` or their `aliases`, {other name: name}.

    Raises `OpenError` when it cannot be read, and `UsageError` when an array is missing or unknown or differs from its
    input in dtype, rank or a fixed size.
    """
    names = [spec.name for spec in specs]
    arrays = name_sample(load_sample(path), names)
    feeds = {(aliases or {}).get(name, name): array for name, array in arrays.items()}
    missing = [name for name in names if name not in feeds]
    unknown = [name for name in feeds if name not in names]
    if missing or unknown:
        wrong = "; ".join(
            f"{word} {', '.join(which)}" for word, which in (("missing", missing), ("unknown", unknown)) if which
        )
        raise UsageError(f"{path}: the inputs are {', '.join(map(str, specs))}: {wrong}")
    for spec in specs:
        _check(feeds[spec.name], spec, path)
    return {name: feeds[name] for name in names}


def _check(array: Array, spec: Spec, path: Path) -> None:
    dtype = "str" if array.dtype.kind in "OSU" else array.dtype.name
    fixed = spec.shape is None or (
        len(spec.shape) == array.ndim
        and all(not isinstance(dim, int) or dim == size for dim, size in zip(spec.shape, array.shape, strict=True))
    )
    if dtype != spec.dtype or not fixed:
        raise UsageError(f"{path}: {spec.name} is {dtype}{list(array.shape)}; the model takes {spec}")


def sizes_of(feeds: Mapping[str, Array], specs: Sequence[Spec], where: str = "the data") -> dict[str, int]:
    """Read the sizes of the symbolic dimensions off the arrays; a size that only a hard expression tells is left out.

    Raises `UsageError` where two arrays contradict each other.
    """
    sizes: dict[str, int] = {}
    dims = [
        (dim, size, spec)
        for spec in open_dims(specs)
        for dim, size in zip(spec.shape or (), feeds[spec.name].shape, strict=False)
        if isinstance(dim, str)
    ]
    # Plain names first: with them an expression such as 2*seq + past may have only one unknown.
    for dim, size, spec in sorted(dims, key=lambda each: not each[0].isidentifier()):
        unknown = [name for name in symbols([Spec("", "", (dim,))]) if name not in sizes]
        if len(unknown) == 1:
            solved = _solve(dim, size, unknown[0], sizes)
            if solved is not None:
                sizes[unknown[0]] = solved
        elif not unknown and size_of(dim, sizes) != size:
            known = ", ".join(f"{name}={value}" for name, value in sizes.items())
            raise UsageError(f"{where}: {spec.name} is {list(feeds[spec.name].shape)}, but {dim} = "
                             f"{size_of(dim, sizes)} with {known}; the model takes {spec}")  # fmt: skip
    return sizes


def _solve(dim: str, size: int, name: str, sizes: Mapping[str, int]) -> int | None:
    """Find the size of `name` at which the linear expression `dim` is `size`."""
    start = size_of(dim, {**sizes, name: 0})
    slope = size_of(dim, {**sizes, name: 1}) - start
    guess = (size - start) // slope if slope else -1
    return guess if guess >= 0 and size_of(dim, {**sizes, name: guess}) == size else None
