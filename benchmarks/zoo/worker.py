"""One model of the zoo, from its making to a line of the scoreboard; runs in a process of its own."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

# What takes seconds to import; the server that the processes are forked from does it once.
PRELOAD = ("tensorflow", "keras", "torch", "torch.export", "onnxruntime", "benchmarks.zoo.worker")

# Loads the result with nothing but PyTorch, and says whether it computes what it did before.
_RELOAD = """
import sys
import numpy, torch
for name in ("translate", "onnx", "onnx_ir", "tensorflow"):
    sys.modules[name] = None
saved = numpy.load(sys.argv[2])
module = torch.export.load(sys.argv[1]).module()
inputs = [torch.from_numpy(saved[f"input{n}"]) for n in range(sum(name.startswith("input") for name in saved))]
results = torch.utils._pytree.tree_leaves(module(*inputs))
for n, result in enumerate(results):
    numpy.testing.assert_allclose(result.detach().numpy(), saved[f"output{n}"], rtol=1e-4, atol=1e-5)
"""


def work(name: str, file: Path, memory: int) -> None:
    """Translate one model and write to `file` what happened, whatever happens, as JSON; `memory` is in bytes.

    What is printed goes to a log beside the file.
    """
    # The private memory that is written to; not the files and the address space that the libraries map.
    resource.setrlimit(resource.RLIMIT_DATA, (memory, memory))
    with file.with_suffix(".log").open("w") as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
    start = time.perf_counter()
    row: dict[str, Any] = {"right": False}
    with tempfile.TemporaryDirectory(prefix="zoo-") as folder:
        try:
            row |= _translate(name, Path(folder))
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


def _translate(name: str, folder: Path) -> Mapping[str, Any]:
    from benchmarks.zoo.catalogue import ZOO
    from translate import routes

    entry = ZOO[name]
    source = entry.make(folder)
    output = folder / "result.pt2"
    start = time.perf_counter()
    try:
        result = routes.tf2torch(source, output, signature=entry.signature)
        failure = ""
    except routes.NotEqualError as error:
        result, failure = error.result, _line(error)
    row: dict[str, Any] = {
        "right": result.passed,
        "seconds": round(time.perf_counter() - start, 1),
        "stages": {stage: round(seconds, 1) for stage, seconds in result.seconds.items()},
        "transposes": result.transposes,
        "parameters": result.trainable,
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
        row["reloadable"], reason = _reload(output, folder / "values.npz")
        row["reason"] = row["reason"] or reason
    return row


def _is_dynamic(verdict: Any) -> bool | None:
    """Say whether several batches were right, with the first axis open; None where the source's is not."""
    from translate.models.inputs import open_dims

    inputs = open_dims(verdict.source.inputs)
    if not all(spec.shape and isinstance(spec.shape[0], str) for spec in inputs):
        return None
    sizes = {run.sizes.get(str(spec.shape[0])) for run in verdict.runs for spec in inputs}
    return len(sizes) > 1 and verdict.passed


def _reload(output: Path, values: Path) -> tuple[bool, str]:
    import numpy as np

    from translate.models.inputs import default_sizes, example_feeds
    from translate.models.open import open_model

    model = open_model(output)
    feeds = example_feeds(model.inputs, default_sizes(model.inputs)[0], 3)
    outputs = model.run(feeds)
    arrays = {f"input{n}": feeds[spec.name] for n, spec in enumerate(model.inputs)}
    np.savez(values, **arrays, **{f"output{n}": outputs[spec.name] for n, spec in enumerate(model.outputs)})
    command = [sys.executable, "-I", "-c", _RELOAD, str(output), str(values)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    return done.returncode == 0, "" if done.returncode == 0 else _line(done.stderr.strip().splitlines()[-1])


def _line(reason: object) -> str:
    """Return the lines of a message that say what is wrong, as one of at most 300 characters."""
    kind = "" if isinstance(reason, str) or _is_ours(reason) else f"{type(reason).__name__}: "
    lines = [line.strip() for line in str(reason).splitlines() if line.strip()]
    return (kind + " ".join(lines[:3]))[:300]


def _is_ours(error: object) -> bool:
    return type(error).__module__.startswith("translate.")
