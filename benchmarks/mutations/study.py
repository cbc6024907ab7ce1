"""Plant bugs in translations and count which verdicts find them.

    python -m benchmarks.mutations [MODEL ...] [--workers N] [--results FILE] [--table FILE]

Each model is exported once, and lowered without change: what a verdict then says against it is a false alarm. Then,
for each kind of bug (benchmarks/mutations/plant.py), one place of the graph is chosen by chance, the bug is made there,
and the graph is lowered and compared again. Whether a bug moves the numbers at all is decided without any verdict: the
changed graph and the unchanged one, both run by onnxruntime on the same inputs, must differ by more than ten times the
source's own rounding error, its greatest distance from itself in float64.

Results are appended to FILE, one line for each model; models that have a line are left out, so that the study goes on
where it was stopped. `--table` writes the tables of all results.
"""

from __future__ import annotations

import argparse
import gc
import hashlib
import json
import logging
import multiprocessing
import sys
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
import tensorflow as tf

from benchmarks.mutations.models import models
from benchmarks.mutations.plant import KINDS, Place
from benchmarks.mutations.table import write_tables
from tests.zoo import Entry, available
from translate.converters.onnx_to_tf.export import module
from translate.converters.passes import prepare
from translate.converters.passes.fold import fold
from translate.converters.passes.normalise import normalise
from translate.models import Model, Spec, open_model
from translate.models.base import Array
from translate.models.inputs import default_sizes
from translate.models.onnx_model import OnnxModel
from translate.routes import to_onnx
from translate.verify import compare
from translate.verify.cases import Case, InputPlan, cases
from translate.verify.index_bounds import index_bounds

RESULTS = Path(__file__).with_name("results.jsonl")
# How far beyond the source's rounding error a bug must move an output to count.
BEYOND = 10.0
# How many places are tried until one gives a graph that runs and has outputs of the same shapes.
TRIES = 8

Outputs = list[dict[str, Array]]


class Remembered(Model):
    """A model that is run once on the same inputs: it is compared with many."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self.kind, self.inputs, self.outputs = model.kind, tuple(model.inputs), tuple(model.outputs)
        self.ranges = getattr(model, "ranges", None)
        self._known: dict[tuple[str, bytes], Any] = {}

    def call(self, values: dict[str, Array]) -> dict[str, Array]:
        return self._once("run", values, lambda: self.model.run(values))

    def run_double(self, feeds: Mapping[str, Array]) -> dict[str, Array] | None:
        return self._once("double", feeds, lambda: self.model.run_double(feeds))

    def run_perturbed(self, feeds: Mapping[str, Array], seed: int) -> dict[str, Array]:
        return self._once(f"perturbed {seed}", feeds, lambda: self.model.run_perturbed(feeds, seed))

    def _once(self, what: str, feeds: Mapping[str, Array], run: Callable[[], Any]) -> Any:
        digest = hashlib.sha256()
        for name in sorted(feeds):
            digest.update(name.encode() + feeds[name].tobytes())
        key = what, digest.digest()
        if key not in self._known:
            self._known[key] = run()
        return self._known[key]


class Lowered(Model):
    """A graph lowered to a TensorFlow function, without saving it."""

    kind = "TensorFlow function"

    def __init__(self, graph: ir.Model, inputs: Sequence[Spec]) -> None:
        prepare(graph)
        self.order = [str(value.name) for value in graph.graph.inputs]
        self.root = module(graph)
        function = self.root.serving_default.get_concrete_function()
        self.inputs = tuple(inputs)
        self.outputs = tuple(
            Spec(name, spec.dtype.name, None if spec.shape.rank is None else tuple(spec.shape.as_list()))
            for name, spec in function.structured_outputs.items()
        )

    def call(self, values: dict[str, Array]) -> dict[str, Array]:
        results = self.root.serving_default(*(tf.constant(values[name]) for name in self.order))
        return {name: result.numpy() for name, result in results.items()}


def study(name: str, entry: Entry) -> dict[str, Any]:
    """Return the results of one model: the judgements of its correct translation and of each bug."""
    torch_module, inputs = entry()
    source = Remembered(open_model(torch_module, inputs=inputs))
    graph = to_onnx(source.model, [])
    bounds = {**entry.bounds, **index_bounds(graph)}
    plan = InputPlan(sizes={name: [size] for name, size in default_sizes(source.inputs, source.ranges)[0].items()})
    given = list(cases(source.inputs, source.ranges, plan, bounds))
    expected = [source.run(case.feeds) for case in given]
    rounding, how = _rounding(source, given, expected)
    base = graph.clone()
    normalise(base)
    # Constants that exporters cast and reshape become plain, so that a slice's bounds can be read.
    fold(base)
    unchanged = _run(base, given)
    result: dict[str, Any] = {"model": name, "family": entry.family, "rounding": how, "bugs": {}}
    result["correct"] = _judge(source, Lowered(graph.clone(), source.inputs), given, expected, graph)
    for kind in KINDS:
        gc.collect()
        result["bugs"][kind] = _plant_one(name, kind, base, source, given, expected, unchanged, rounding, graph)
    return result


def _plant_one(
    name: str,
    kind: str,
    base: ir.Model,
    source: Remembered,
    given: Sequence[Case],
    expected: Outputs,
    unchanged: Outputs,
    rounding: Mapping[str, float],
    graph: ir.Model,
) -> dict[str, Any] | None:
    """Plant a bug of `kind` in the first place, in an order drawn by chance, that gives a graph that still runs."""
    count = len(_places(base.clone(), kind))
    order = np.random.default_rng(list(f"{name} {kind}".encode())).permutation(count)
    for index in order[:TRIES]:
        changed = base.clone()
        where, change = _places(changed, kind)[index]
        change()
        try:
            outputs = _run(changed, given)
        except Exception:
            # onnxruntime's exceptions have no common class: sizes no longer fit, here or further on.
            continue
        same = all(a[key].shape == b[key].shape for a, b in zip(outputs, unchanged, strict=True) for key in a)
        if same:
            target = Lowered(changed, source.inputs)
            return {
                "where": where,
                "moved": _moved(outputs, unchanged, rounding),
                "caught": _judge(source, target, given, expected, graph),
            }
    return None


def _places(graph: ir.Model, kind: str) -> list[Place]:
    return list(KINDS[kind](graph.graph))


def _run(graph: ir.Model, given: Sequence[Case]) -> Outputs:
    model = OnnxModel(graph.clone())
    return [model.run(case.feeds) for case in given]


def _rounding(source: Model, given: Sequence[Case], expected: Outputs) -> tuple[dict[str, float], str]:
    """Return the source's rounding error of each output, and how it was measured.

    It is the greatest distance from float64, and no less than one unit in the last place of the greatest magnitude.
    """
    runs = [source.run_double(case.feeds) for case in given]
    how = "float64"
    if any(run is None for run in runs):
        runs, how = [source.run_perturbed(case.feeds, 0) for case in given], "one ulp"
    rounding: dict[str, float] = {}
    for values, precise in zip(expected, runs, strict=True):
        for name, value in values.items():
            if value.dtype.kind == "f" and value.size:
                scale = float(np.abs(value).max())
                least = float(np.finfo(value.dtype).eps) * scale
                distance = float(np.abs(value - precise[name]).max()) if precise and name in precise else 0.0
                rounding[name] = max(rounding.get(name, 0.0), distance, least)
    return rounding, how


def _moved(changed: Outputs, unchanged: Outputs, rounding: Mapping[str, float]) -> float:
    """Return how far the outputs moved, in units of what counts as moved; infinite where NaN or integers differ."""
    moved = 0.0
    for a, b in zip(changed, unchanged, strict=True):
        for name, value in b.items():
            if value.dtype.kind != "f":
                moved = max(moved, 0.0 if np.array_equal(a[name], value) else np.inf)
            elif value.size:
                distance = np.abs(a[name].astype("float64") - value)
                if np.isnan(distance).any():
                    moved = np.inf if (np.isnan(a[name]) != np.isnan(value)).any() else moved
                moved = max(moved, float(np.nanmax(distance, initial=0.0)) / (BEYOND * rounding[name] or 1e-30))
    return moved


def _judge(
    source: Model, target: Model, given: Sequence[Case], expected: Outputs, graph: ir.Model
) -> dict[str, bool | float]:
    """Return, for each method, whether it says that the target is wrong, and the error that our verdict found."""
    try:
        actual = [target.run(case.feeds) for case in given]
    except Exception:
        # What cannot be run is found by anyone.
        return {method: True for method in ("verdict", *CLASSIC)} | {"error": np.inf}
    verdict = compare(source, target, iter(given), graph=graph)
    errors = [output.error for run in verdict.runs for output in run.outputs]
    judged: dict[str, bool | float] = {"verdict": not verdict.passed, "error": max(errors, default=np.inf)}
    for method, agree in CLASSIC.items():
        judged[method] = not all(
            _same_kind(a[key], b[key]) and agree(a[key], b[key])
            for a, b in zip(expected, actual, strict=True)
            for key in a
        )
    return judged


def _same_kind(a: Array, b: Array) -> bool:
    return a.shape == b.shape and a.dtype == b.dtype


def _close(tolerance: float) -> Callable[[Array, Array], bool]:
    def agree(a: Array, b: Array) -> bool:
        if a.dtype.kind != "f":
            return bool(np.array_equal(a, b))
        return bool(np.allclose(b, a, rtol=tolerance, atol=tolerance, equal_nan=True))

    return agree


def _cosine(a: Array, b: Array) -> bool:
    if a.dtype.kind != "f":
        return bool(np.array_equal(a, b))
    x, y = a.astype("float64").ravel(), b.astype("float64").ravel()
    norms = np.linalg.norm(x) * np.linalg.norm(y)
    return bool(x @ y >= 0.999 * norms)


CLASSIC: dict[str, Callable[[Array, Array], bool]] = {
    "allclose 1e-3": _close(1e-3),
    "allclose 1e-4": _close(1e-4),
    "allclose 1e-5": _close(1e-5),
    "cosine 0.999": _cosine,
}


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", help="names of models; all when left out")
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--table", type=Path, help="write the tables here, as Markdown, and run nothing")
    parser.add_argument("--workers", type=int, default=2, help="how many models at a time")
    options = parser.parse_args(arguments)
    known = [json.loads(line) for line in options.results.read_text().splitlines()] if options.results.exists() else []
    if options.table is not None:
        options.table.write_text(write_tables(known), encoding="utf-8")
        return 0
    done = {result["model"] for result in known}
    names = options.models or [name for name in models() if name not in done and _installed(name)]
    # Processes of their own, ended now and then: graphs of TensorFlow are never given back whole.
    workers = multiprocessing.get_context("spawn").Pool(options.workers, maxtasksperchild=10)
    with workers, options.results.open("a", encoding="utf-8") as file:
        for result in workers.imap_unordered(_result, names):
            file.write(json.dumps(result) + "\n")
            file.flush()
            print(f"{result['model']}: {result['seconds']} s {result.get('failed', '')}", file=sys.stderr, flush=True)
    return 0


def _result(name: str) -> dict[str, Any]:
    logging.disable(logging.WARNING)
    warnings.simplefilter("ignore")
    entry = models()[name]
    start = time.perf_counter()
    try:
        result = study(name, entry)
    except Exception as error:
        # One model must not end the study; the page names it.
        result = {"model": name, "family": entry.family, "failed": f"{type(error).__name__}: {error}"[:300]}
    gc.collect()
    return result | {"seconds": round(time.perf_counter() - start, 1)}


def _installed(name: str) -> bool:
    from tests.zoo import ZOO

    return name not in ZOO or available(name)
