"""Models of the zoo, from their making to a line of the scoreboard; runs in a process of its own."""

from __future__ import annotations

import json
import os
import resource
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.zoo.entry import Entry
from benchmarks.zoo.reloading import Reloader

# What takes seconds to import; the server that the processes are forked from does it once.
PRELOAD = ("tensorflow", "keras", "torch", "torch.export", "onnxruntime", "benchmarks.zoo.worker")


def work(names: Sequence[str], files: Sequence[Path], memory: int) -> None:
    """Translate some models and write to the file of each what happened, whatever happens, as JSON.

    `memory` is in bytes. What is printed goes to a log beside each file.
    """
    # The private memory that is written to; not the files and the address space that the libraries map.
    resource.setrlimit(resource.RLIMIT_DATA, (memory, memory))
    with Reloader() as reloader:
        for name, file in zip(names, files, strict=True):
            with file.with_suffix(".log").open("w") as log:
                os.dup2(log.fileno(), 1)
                os.dup2(log.fileno(), 2)
            start = time.perf_counter()
            row: dict[str, Any] = {"right": False}
            with tempfile.TemporaryDirectory(prefix="zoo-") as folder:
                try:
                    row |= _translate(name, Path(folder), reloader)
                except ModuleNotFoundError as error:
                    row |= {"skipped": True, "reason": str(error)}
                except Exception as error:
                    # Any failure is a line of the scoreboard, those of the libraries below too.
                    row |= {"error": type(error).__name__, "reason": _line(error)}
            row["total"] = round(time.perf_counter() - start, 1)
            write_row(file, row)


def write_row(file: Path, row: Mapping[str, Any]) -> None:
    """Write a result, whole or not at all."""
    new = file.with_suffix(".new")
    new.write_text(json.dumps(row, indent=1) + "\n")
    new.replace(file)


def _translate(name: str, folder: Path, reloader: Reloader) -> Mapping[str, Any]:
    from benchmarks.zoo.catalogue import ZOO
    from translate import routes

    entry = ZOO[name]
    source = entry.make(folder)
    weights = entry.weights() if entry.weights else None
    output = folder / "result.pt2"
    start = time.perf_counter()
    try:
        result = routes.tf2torch(
            source, output, route=entry.route, inputs=entry.inputs, weights=weights, signature=entry.signature
        )
        failure = ""
    except routes.NotEqualError as error:
        result, failure = error.result, _line(error)
    row: dict[str, Any] = {
        "right": result.passed,
        "seconds": round(time.perf_counter() - start, 1),
        "stages": {stage: round(seconds, 1) for stage, seconds in result.seconds.items()},
        "transposes": result.transposes,
        "parameters": result.trainable,
        "by_graph": list(result.by_graph),
        "reason": failure,
    }
    if result.verdict is not None:
        problems = [problem for run in result.verdict.runs for out in run.outputs for problem in out.problems]
        failures = [run.failure for run in result.verdict.runs if run.failure]
        if reasons := [*result.verdict.interface, *failures, *problems]:
            row["reason"] = _line(reasons[0])
        row["warnings"] = list(result.verdict.warnings)
        row["dynamic"] = _is_dynamic(result.verdict)
    if result.output is not None:
        reply = reloader.check(output, _values(output, folder / "values.npz"))
        row["reloadable"], row["live"] = reply["reason"] is None, reply.get("live")
        row["reason"] = row["reason"] or _line(reply["reason"] or "")
    if entry.trains and result.passed and not result.by_graph:
        row |= _training(source, entry)
    return row


def _training(source: Path | str, entry: Entry) -> Mapping[str, Any]:
    from benchmarks.zoo.training import gradient_error, steps_error
    from translate.converters import keras_to_torch
    from translate.models.inputs import default_sizes, example_feeds
    from translate.models.open import open_model

    opened = open_model(source, inputs=entry.inputs, weights=entry.weights() if entry.weights else None)
    model = opened.model
    bounds = {spec.name: entry.integers - 1 for spec in opened.inputs if "int" in spec.dtype}
    # A batch of one has no variance.
    sizes = max(default_sizes(opened.inputs), key=lambda sizes: sizes.get("batch", 0))
    feeds = list(example_feeds(opened.inputs, sizes, 4, bounds).values())
    module = keras_to_torch.convert(model, opened.inputs)
    errors = {"gradients": gradient_error(model, module, feeds), "steps": steps_error(model, module, feeds)}
    return {name: None if error is None else float(f"{error:.2g}") for name, error in errors.items()}


def _is_dynamic(verdict: Any) -> bool | None:
    """Say whether several batches were right, with the first axis open; None where the source's is not."""
    from translate.models.inputs import open_dims

    inputs = open_dims(verdict.source.inputs)
    if not all(spec.shape and isinstance(spec.shape[0], str) for spec in inputs):
        return None
    sizes = {run.sizes.get(str(spec.shape[0])) for run in verdict.runs for spec in inputs}
    return len(sizes) > 1 and verdict.passed


def _values(output: Path, values: Path) -> Path:
    """Write what the result computes here to a file, with its inputs."""
    import numpy as np

    from translate.models.inputs import default_sizes, example_feeds
    from translate.models.open import open_model

    model = open_model(output)
    feeds = example_feeds(model.inputs, default_sizes(model.inputs)[0], 3)
    outputs = model.run(feeds)
    arrays = {f"input{n}": feeds[spec.name] for n, spec in enumerate(model.inputs)}
    np.savez(values, **arrays, **{f"output{n}": outputs[spec.name] for n, spec in enumerate(model.outputs)})
    return values


def _line(reason: object) -> str:
    """Return the lines of a message that say what is wrong, as one of at most 300 characters."""
    kind = "" if isinstance(reason, str) or _is_ours(reason) else f"{type(reason).__name__}: "
    lines = [line.strip() for line in str(reason).splitlines() if line.strip()]
    return (kind + " ".join(lines[:3]))[:300]


def _is_ours(error: object) -> bool:
    return type(error).__module__.startswith("translate.")
