"""Measure what the constants of the verdict rest on: how far correct translations are from their sources.

    python -m benchmarks.calibrate_verdict [MODEL ...] [--out FILE]

translates the zoo (tests/zoo.py), runs source and SavedModel on random inputs at the default sizes and two seeds, and
measures for each floating-point output the error, the source's distance from its own run in float64, and its response
to moving inputs and weights to neighbouring numbers. Prints, for each statistic, the distribution of the ratios over
all outputs and the models that are furthest out; docs/verdict.md tells what was concluded. Takes about ten minutes.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import json
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tests.zoo import ZOO, available
from translate import torch2tf
from translate.models import Model, open_model
from translate.models.base import Array
from translate.models.inputs import default_sizes, example_feeds
from translate.models.saved_model import SavedModel
from translate.verify.noise import PERTURBED_RUNS, copies, eps_of, finite_distances, largest, root_mean_square, widened
from translate.verify.tolerance import ULPS

Row = dict[str, Any]


def measure_model(name: str, folder: Path) -> Iterator[Row]:
    """Yield one row of figures, all relative to the output's scale, for each output of each run."""
    entry = ZOO[name]
    module, inputs = entry()
    source = open_model(module, inputs=inputs)
    torch2tf(module, folder / name, inputs=inputs, verify=False, force=True)
    target = SavedModel(folder / name)
    assert source.inputs
    for sizes in default_sizes(source.inputs):
        for seed in (0, 1):
            feeds = example_feeds(source.inputs, sizes, seed, entry.bounds)
            for row in measure_run(source, target, feeds):
                yield {"model": name, "sizes": sizes, "seed": seed, **row}
    source.release()


def measure_run(source: Model, target: Model, feeds: Mapping[str, Array]) -> Iterator[Row]:
    expected, actual = source.run(copies(feeds)), target.run(copies(feeds))
    double = source.run_double(copies(feeds)) or {}
    perturbed = [source.run_perturbed(copies(feeds), seed) for seed in range(PERTURBED_RUNS)]
    for output, value in expected.items():
        if value.dtype.kind != "f":
            continue
        wide = widened(value)
        scale = largest(wide) or 1.0
        row: Row = {"output": output, "size": value.size, "eps": eps_of(value), "scale": scale}
        row["rms_of_scale"] = float(np.sqrt(np.mean(np.square(wide[np.isfinite(wide)] / scale))))
        row |= figures("error", finite_distances(wide, widened(actual[output])) / scale)
        if output in double and double[output].dtype.itemsize > value.dtype.itemsize:
            row |= figures("double", finite_distances(wide, double[output]) / scale)
            row |= figures("target_double", finite_distances(widened(actual[output]), double[output]) / scale)
        for index, run in enumerate(perturbed):
            row |= figures(f"ulp{index}", finite_distances(wide, widened(run[output])) / scale)
        yield row


def figures(name: str, distances: Array) -> Row:
    return {f"{name}_max": float(distances.max(initial=0)), f"{name}_rms": float(np.sqrt(np.mean(distances**2)))}


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", help="names in tests/zoo.py; all when left out")
    parser.add_argument("--out", type=Path, help="append the figures to this file, one JSON object a line")
    options = parser.parse_args(arguments)
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as scratch:
        for name in options.models or [name for name in ZOO if available(name)]:
            start = time.perf_counter()
            with contextlib.redirect_stdout(sys.stderr):
                found = list(measure_model(name, Path(scratch)))
            gc.collect()
            rows += found
            if options.out is not None:
                with options.out.open("a") as file:
                    file.writelines(json.dumps(row) + "\n" for row in found)
            print(f"{name}: {time.perf_counter() - start:.1f} s", file=sys.stderr, flush=True)
    print_ratios(rows)
    return 0


def print_ratios(rows: Sequence[Row]) -> None:
    """Print how many times the noise the errors are, and how the two ways to measure the noise compare."""
    groups: dict[tuple[str, str, str], list[Row]] = {}
    for row in rows:
        groups.setdefault((row["model"], row["output"], str(row["sizes"])), []).append(row)
    ratios: dict[str, list[tuple[float, str]]] = {}
    for (model, output, sizes), group in groups.items():
        where = f"{model} {output} {sizes}"
        has_double = all("double_max" in row for row in group)
        for statistic in ("max", "rms"):
            pooled = max if statistic == "max" else root_mean_square
            moved = pooled(np.array([row[f"ulp{i}_{statistic}"] for row in group for i in range(PERTURBED_RUNS)]))
            double = pooled(np.array([row[f"double_{statistic}"] for row in group])) if has_double else 0.0
            if double and moved:
                ratios.setdefault(f"{statistic} float64 noise / one-ulp noise", []).append((double / moved, where))
            for row in group:
                ulps = row[f"error_{statistic}"] / row["eps"] / (row["rms_of_scale"] if statistic == "rms" else 1)
                method, noise = ("float64", double) if has_double else ("one ulp", moved)
                if ulps <= ULPS:
                    ratios.setdefault(f"{statistic} error in ulps, up to {ULPS:.0f}", []).append((ulps, where))
                elif noise:
                    ratio = row[f"error_{statistic}"] / noise
                    ratios.setdefault(f"{statistic} error / {method} noise", []).append((ratio, where))
    for name, found in sorted(ratios.items()):
        found.sort(reverse=True)
        middle, high, top = np.percentile([ratio for ratio, _ in found], [50, 95, 100])
        print(f"{name}: {len(found)} outputs, median {middle:.2f}, 95 % {high:.2f}, greatest {top:.2f}")
        for ratio, where in found[:3]:
            print(f"    {ratio:.2f} {where}")


if __name__ == "__main__":
    sys.exit(main())
