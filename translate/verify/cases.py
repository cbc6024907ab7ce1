"""What two models are compared on: random inputs, edge inputs, real samples, at chosen sizes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from translate.errors import UsageError
from translate.models.base import Array, Dim, Spec
from translate.models.distributions import Distribution
from translate.models.inputs import example_feeds, open_dims, size_of
from translate.verify.data import find_data, read_data, sizes_of
from translate.verify.edges import CONSTANT, edge_feeds
from translate.verify.sizes import choose_sizes

_DATA = "data"


@dataclass(frozen=True)
class Case:
    """One set of inputs.

    `label` says where they come from ("random", "edge zeros", "data digits.npz"), `sizes` are those of the symbolic
    dimensions, `seed` is None where nothing is random, `feeds` the arrays by input name.
    """

    label: str
    sizes: Mapping[str, int]
    seed: int | None
    feeds: Mapping[str, Array]

    @property
    def is_real(self) -> bool:
        """Whether the inputs come from a file and are not made up."""
        return self.label.startswith(_DATA)


@dataclass(frozen=True)
class InputPlan:
    """What the user asks of the inputs.

    `sizes` are the sizes asked for by symbolic dimension, `seeds` those of the random inputs, `distributions` say how
    an input is drawn, `edges` are names of `translate.verify.edges.EDGES`, `data` files and folders of real inputs.
    """

    sizes: Mapping[str, Sequence[int]] = field(default_factory=dict)
    seeds: Sequence[int] = (0, 1)
    distributions: Mapping[str, Distribution] = field(default_factory=dict)
    edges: tuple[str, ...] = ()
    data: tuple[Path, ...] = ()


def cases(
    source_inputs: Sequence[Spec],
    ranges: Mapping[str, tuple[int, int]] | None = None,
    plan: InputPlan | None = None,
    bounds: Mapping[str, Dim] | None = None,
    *,
    aliases: Mapping[str, str] | None = None,
    notes: list[str] | None = None,
) -> Iterator[Case]:
    """Make the inputs that `plan` asks for, one case at a time.

    First the random ones, at each set of sizes with each seed; then the edges, at the first set; then the data.
    `ranges` are the least and greatest sizes of symbolic dimensions, `bounds` the greatest integers that inputs may
    hold (see `index_bounds`); an integer input that has none is bounded by the greatest number that the data has for
    it. `aliases` are other names that distributions and data files may know inputs by: {other name: name}. What is
    left out is said in `notes`.

    Raises `UsageError` when the plan does not fit the inputs, and `OpenError` for data that cannot be read.
    """
    plan = plan or InputPlan()
    notes = notes if notes is not None else []
    aliases = aliases or {}
    specs = open_dims(source_inputs)
    plan = replace(plan, distributions={aliases.get(name, name): d for name, d in plan.distributions.items()})
    unknown = plan.distributions.keys() - {spec.name for spec in specs}
    if unknown:
        names = ", ".join(spec.name for spec in specs)
        raise UsageError(f"no input is called {', '.join(sorted(unknown))}; the inputs are {names}")
    files = find_data(plan.data)
    bounds = _with_bounds_of_data(bounds or {}, specs, files, aliases)
    text = [spec.name for spec in specs if spec.dtype == "str"]
    if text and files:
        notes.append(f"only the data was compared: input {', '.join(text)} is text, which is not made up")
    else:
        yield from _made_up(specs, ranges, plan, bounds, notes)
    for path in files:
        feeds = read_data(path, specs, aliases)
        yield Case(f"{_DATA} {path.name}", sizes_of(feeds, specs, str(path)), None, feeds)


def _made_up(
    specs: Sequence[Spec],
    ranges: Mapping[str, tuple[int, int]] | None,
    plan: InputPlan,
    bounds: Mapping[str, Dim],
    notes: list[str],
) -> Iterator[Case]:
    choices = choose_sizes(specs, plan.sizes, ranges)
    for sizes in choices:
        for seed in plan.seeds:
            yield Case("random", sizes, seed, example_feeds(specs, sizes, seed, _at(bounds, sizes), plan.distributions))
    for edge in plan.edges:
        sizes, seed = choices[0], plan.seeds[0]
        feeds = edge_feeds(edge, specs, sizes, seed, _at(bounds, sizes), plan.distributions)
        if feeds is None:
            notes.append(f"edge {edge} was left out: it applies to no input of this model")
        else:
            yield Case(f"edge {edge}", sizes, None if edge in CONSTANT else seed, feeds)


def _at(bounds: Mapping[str, Dim], sizes: Mapping[str, int]) -> dict[str, int]:
    """Return the bounds at some sizes; 0 where a table is empty: there the source fails, too."""
    return {name: max(size_of(bound, sizes), 0) for name, bound in bounds.items()}


def greatest_integers(arrays: Mapping[str, Array]) -> dict[str, int]:
    """Return the greatest number in each array of integers, 1 at least: what random ones may hold as well."""
    return {name: int(array.max(initial=1)) for name, array in arrays.items() if array.dtype.kind in "iu"}


def _with_bounds_of_data(
    bounds: Mapping[str, Dim], specs: Sequence[Spec], files: Sequence[Path], aliases: Mapping[str, str]
) -> dict[str, Dim]:
    """Return `bounds`, and the greatest number that the data has for each integer input that is not in it."""
    names = [spec.name for spec in specs if spec.dtype.startswith(("int", "uint")) and spec.name not in bounds]
    greatest: dict[str, int] = {}
    for path in files if names else ():
        for name, bound in greatest_integers(read_data(path, specs, aliases)).items():
            greatest[name] = max(greatest.get(name, 1), bound)
    return {**greatest, **bounds}
