"""What it takes to begin: load a model and call it once, in a process that has done nothing else.

The files are as near as the machine has them: it has read them before, so a disk that is slow does not show.
"""

from __future__ import annotations

import dataclasses
import importlib
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from translate.errors import UsageError
from translate.models.base import Model
from translate.models.device import Placement
from translate.models.inputs import encode_array, load_sample
from translate.verify.cases import Case

_PACKAGE_ROOT = Path(__file__).parents[2]
# The process finds this package where the one that starts it found it.
_PROGRAM = "import sys; sys.path.append(sys.argv[2]); from translate.verify.cold_start import work; work(sys.argv[1])"
_TIMEOUT = 600


@dataclass(frozen=True)
class ColdStart:
    """One start of a fresh process; times are in seconds.

    `seconds` goes from starting the process to the first result. Of that, `import_seconds` loads the framework,
    `load_seconds` opens the model, and `first_call_seconds` copies the inputs to the device and calls once; the rest
    starts Python. `peak_bytes` is the most memory that the process had resident, `imported_bytes` the same before
    the model was opened. `device_bytes` is the most memory of the GPU that the framework had in use.
    """

    label: str
    seconds: float
    import_seconds: float
    load_seconds: float
    first_call_seconds: float
    peak_bytes: int
    imported_bytes: int
    device_bytes: int | None


def cold_start(
    label: str,
    source: str,
    model: Model,
    case: Case,
    *,
    inputs: Sequence[str] = (),
    expected: Sequence[str] = (),
    sample: str | None = None,
    weights: str | None = None,
    signature: str = "serving_default",
    graph_inputs: Sequence[str] = (),
    graph_outputs: Sequence[str] = (),
    unsafe_load: bool = False,
    custom_objects: str | None = None,
    placement: Placement | None = None,
) -> ColdStart:
    """Start `source`, which is opened here as `model`, in a process of its own and run `case` once.

    The rest are the options that `open_model` was given. Raises `UsageError` when the process fails.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        # By position: the model may have been renamed here.
        arrays = dict(encode_array(str(index), case.feeds[spec.name]) for index, spec in enumerate(model.inputs))
        np.savez(folder / "feeds.npz", **arrays)
        options = {
            "inputs": list(inputs),
            "expected": list(expected),
            "sample": sample,
            "weights": weights,
            "signature": signature,
            "graph_inputs": list(graph_inputs),
            "graph_outputs": list(graph_outputs),
            "unsafe_load": unsafe_load,
            "custom_objects": custom_objects,
        }
        request = {
            "source": source,
            "framework": str(model.settings().get("framework", "")).partition(" ")[0],
            "options": options,
            "placement": None if placement is None else dataclasses.asdict(placement),
            "started": time.time(),
        }
        (folder / "request.json").write_text(json.dumps(request), encoding="utf-8")
        command = [sys.executable, "-c", _PROGRAM, name, str(_PACKAGE_ROOT)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT, check=False)
        if done.returncode != 0:
            ended = [f"it ended by signal {-done.returncode}"] if done.returncode < 0 else []
            last = [f"exit code {done.returncode}", *done.stderr.strip().splitlines(), *ended][-1]
            raise UsageError(f"{label} does not start in a process of its own: {last}")
        found = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    return ColdStart(label, **found)


def work(name: str) -> None:
    """Do in the fresh process what `request.json` in the folder `name` says, and write `result.json`."""
    folder = Path(name)
    request = json.loads((folder / "request.json").read_text(encoding="utf-8"))
    arrays = load_sample(folder / "feeds.npz")
    assert isinstance(arrays, dict)
    placement = None if request["placement"] is None else Placement(**request["placement"])
    times = [time.perf_counter()]
    if request["framework"] in ("torch", "tensorflow", "onnxruntime"):
        importlib.import_module(request["framework"])
    times.append(time.perf_counter())
    imported_bytes = peak_bytes()
    from translate.models.open import open_model

    model = open_model(request["source"], placement=placement, **request["options"])
    times.append(time.perf_counter())
    feeds = {spec.name: arrays[str(index)] for index, spec in enumerate(model.inputs)}
    model.call(model.upload(feeds))
    times.append(time.perf_counter())
    imports, load, first_call = np.diff(times).tolist()
    result = {
        "seconds": time.time() - request["started"],
        "import_seconds": imports,
        "load_seconds": load,
        "first_call_seconds": first_call,
        "peak_bytes": peak_bytes(),
        "imported_bytes": imported_bytes,
        "device_bytes": model.peak_device_bytes(),
    }
    (folder / "result.json").write_text(json.dumps(result), encoding="utf-8")
    # Taking a framework down takes seconds and is not asked for.
    os._exit(0)


def peak_bytes() -> int:
    """Return the most memory that this process had resident at once, shared libraries included.

    Linux's getrusage also counts what the parent had when it made this process, so its own record is read there.
    """
    status = Path("/proc/self/status")
    if status.exists():
        (line,) = (line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024
    # In bytes on macOS.
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
