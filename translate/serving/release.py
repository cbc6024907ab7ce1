"""The last step of `torch2tf --serving`: a proven SavedModel becomes a version that TF Serving loads."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from translate.comparison import Pair, input_bounds, make_cases
from translate.publish import publish_version, versions
from translate.serving import LABELS, MOST_ROWS, Interface, Serving, batch_range
from translate.serving.warm_up import one_of_each_size, write_warm_up

if TYPE_CHECKING:
    import onnx_ir as ir

    from translate.models.base import Array, Model
    from translate.verify.cases import Case, InputPlan

_SAMPLE_ROWS = 2


def release(serving: Serving, built: Path, pair: Pair, plan: InputPlan, graph: ir.Model) -> Path:
    """Complete the SavedModel in `built` with warm-up requests and labels, rename it to its version, return that place.

    The requests are inputs of the comparison of `pair`, which `plan` and `graph` make again: one for each set of
    sizes, a real one of 32 rows at most where there is one. Writes the configuration, where `serving` asks for it, and
    says in the notes of `pair` what the user should know. Raises `UsageError` when something cannot be written.
    """
    interface = Interface(pair.source.inputs, pair.source.outputs)
    made = make_cases(pair, plan, input_bounds(graph, pair))
    cases = one_of_each_size(_shortened(case, interface) for case in made)
    write_warm_up(built, serving.name, [("serving_default", case.feeds) for case in cases])
    pair.notes.append(f"warm-up requests: {', '.join(_shown(case) for case in cases)}")
    if serving.labels is not None:
        shutil.copyfile(serving.labels, built / LABELS)
    place, others = _publish(serving, built, pair.notes)
    if serving.config:
        from translate.serving.config import write_config

        version = int(place.name)
        largest = _largest_batch(pair.source, interface, cases)
        before = max((number for number in others if number < version), default=None)
        sample = _sample(cases, interface)
        pair.notes.extend(write_config(serving, interface, sample, largest, version, before))
    return place


def release_methods(
    serving: Serving, built: Path, compared: Mapping[str, tuple[Pair, InputPlan, ir.Model]], notes: list[str]
) -> Path:
    """Do the same for a SavedModel whose signatures are methods, each `compared` so: warm-up requests for all of them.

    What is configuration and clients for one signature is not written.
    """
    requests: list[tuple[str, Mapping[str, Array]]] = []
    for name, (pair, plan, graph) in compared.items():
        cases = one_of_each_size(make_cases(pair, plan, input_bounds(graph, pair)))
        requests += [(name, case.feeds) for case in cases]
        notes.append(f"warm-up requests of {name}: {', '.join(_shown(case) for case in cases)}")
    write_warm_up(built, serving.name, requests)
    return _publish(serving, built, notes)[0]


def _publish(serving: Serving, built: Path, notes: list[str]) -> tuple[Path, list[int]]:
    """Give the SavedModel its version; return its place, and the other versions, in order."""
    place = publish_version(built, serving.base, serving.version)
    version, others = int(place.name), [number for number in versions(serving.base) if number != int(place.name)]
    if others and others[-1] > version:
        notes.append(f"TF Serving serves the greatest version, which is {others[-1]} and not {version}")
    return place, others


def _shortened(case: Case, interface: Interface) -> Case:
    """Return a real input without most of its rows, if there are many: a file may hold a whole test set."""
    if interface.batch is None or not case.is_real or case.sizes.get(interface.batch, 0) <= MOST_ROWS:
        return case
    feeds = {name: array[:MOST_ROWS] for name, array in case.feeds.items()}
    return replace(case, sizes={**case.sizes, interface.batch: MOST_ROWS}, feeds=feeds)


def _largest_batch(source: Model, interface: Interface, cases: list[Case]) -> int:
    """Return the size of the largest batch that TF Serving is to make: all the warm-up requests must pass."""
    if interface.batch is None:
        return 1
    rows = [next(iter(case.feeds.values())).shape[0] for case in cases]
    return max(batch_range(source, interface.batch)[1], *rows)


def _sample(cases: list[Case], interface: Interface) -> dict[str, Array]:
    """Return a real input if there is one, of two rows at most where the batch is open."""
    case = next((case for case in cases if case.is_real), cases[0])
    rows = slice(None) if interface.batch is None else slice(_SAMPLE_ROWS)
    return {name: array if array.ndim == 0 else array[rows] for name, array in case.feeds.items()}


def _shown(case: Case) -> str:
    return " ".join(f"{name}={size}" for name, size in case.sizes.items()) or case.label
