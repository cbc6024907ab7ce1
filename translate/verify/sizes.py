"""Which sizes of the symbolic dimensions two models are compared at."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from translate.errors import UsageError
from translate.models.base import Model, Spec
from translate.models.inputs import default_sizes, symbols


def parse_sizes(options: Sequence[str]) -> dict[str, list[int]]:
    """Read `--sizes` options such as `batch=1,2,7`. Raises `UsageError`."""
    sizes: dict[str, list[int]] = {}
    for option in options:
        match = re.fullmatch(r"([A-Za-z_]\w*)=(\d+(?:,\d+)*)", option)
        if match is None:
            raise UsageError(f"--sizes {option!r} is not NAME=SIZE,SIZE,..., such as batch=1,2,7")
        sizes.setdefault(match[1], []).extend(int(size) for size in match[2].split(","))
    return sizes


def parse_batches(option: str) -> list[int]:
    """Read the `--batch` option, such as `1,8`. Raises `UsageError`."""
    if not re.fullmatch(r"\d+(,\d+)*", option):
        raise UsageError(f"--batch {option!r} is not SIZE,SIZE,..., such as 1,8")
    return [int(size) for size in option.split(",")]


def size_choices(source: Model, asked: Mapping[str, Sequence[int]] | None = None) -> list[dict[str, int]]:
    """Return the sets of sizes to compare `source` at, see `choose_sizes`."""
    # Only PyTorch models know the least and greatest sizes of their dimensions.
    return choose_sizes(source.inputs, asked, getattr(source, "ranges", None))


def choose_sizes(
    inputs: Sequence[Spec],
    asked: Mapping[str, Sequence[int]] | None = None,
    ranges: Mapping[str, tuple[int, int]] | None = None,
) -> list[dict[str, int]]:
    """Return the sets of sizes to compare at: every asked size at least once, not every combination of them.

    A dimension that was not asked for takes its default sizes, within `ranges`. Raises `UsageError` for a dimension
    that the inputs do not have.
    """
    asked = asked or {}
    names = symbols(inputs)
    for name in asked:
        if name not in names:
            raise UsageError(f"--sizes {name}=...: no such dimension; the source has {', '.join(names) or 'none'}")
    defaults = default_sizes(inputs, ranges)
    count = max((len(values) for values in asked.values()), default=len(defaults))
    return [
        {name: asked[name][i % len(asked[name])] if name in asked else defaults[i % len(defaults)][name]
         for name in names}
        for i in range(count)
    ]  # fmt: skip
