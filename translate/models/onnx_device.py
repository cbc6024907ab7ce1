"""ONNX Runtime's devices and settings. What concerns CUDA was written without a GPU and has not run on one yet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import onnxruntime

from translate.models.base import Array
from translate.models.device import Placement, no_such_device

VERSION: str = onnxruntime.__version__
_CUDA = "CUDAExecutionProvider"


def options(placement: Placement | None, *, optimize: bool = True) -> Any:
    """Return the options of a session, which runs the graph as it is written unless it may `optimize`."""
    chosen = onnxruntime.SessionOptions()
    # Errors are raised anyway; they need not be logged too.
    chosen.log_severity_level = 4
    # Threads that spin after a run would take the cores from whoever computes next.
    chosen.add_session_config_entry("session.force_spinning_stop", "1")
    if not optimize:
        chosen.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    if placement is not None and placement.threads is not None:
        chosen.intra_op_num_threads = placement.threads
        chosen.inter_op_num_threads = placement.threads
    return chosen


def providers(placement: Placement | None) -> list[Any]:
    """Return the execution providers to ask for. Raises `UsageError` when there is none for the GPU."""
    cpu = "CPUExecutionProvider"
    if placement is None or placement.gpu is None:
        return [cpu]
    if _CUDA not in onnxruntime.get_available_providers():
        raise no_such_device(placement, f"ONNX Runtime {onnxruntime.__version__} (not onnxruntime-gpu)", ["cpu"])
    # Operators that the GPU does not have go to the CPU.
    return [(_CUDA, {"device_id": placement.gpu, "use_tf32": int(placement.tf32)}), cpu]


def check_provider(session: Any, placement: Placement | None) -> None:
    """Raise `UsageError` when the runtime has silently fallen back to the CPU."""
    if placement is not None and placement.gpu is not None and session.get_providers()[0] != _CUDA:
        raise no_such_device(placement, f"ONNX Runtime {onnxruntime.__version__}, which cannot load CUDA,", ["cpu"])


def upload(feeds: Mapping[str, Array], gpu: int) -> dict[str, Any]:
    """Copy arrays to a GPU."""
    return {name: onnxruntime.OrtValue.ortvalue_from_numpy(array, "cuda", gpu) for name, array in feeds.items()}


def run(session: Any, values: Mapping[str, Any], names: Sequence[str] | None, gpu: int) -> list[Any]:
    """Run on values on a GPU and leave the results called `names` (None: all) there; returns when they are computed."""
    binding = session.io_binding()
    for name, value in values.items():
        binding.bind_ortvalue_input(name, value)
    for name in names or [output.name for output in session.get_outputs()]:
        binding.bind_output(name, "cuda", gpu)
    session.run_with_iobinding(binding)
    binding.synchronize_outputs()
    return list(binding.get_outputs())


def download(results: Sequence[Any]) -> list[Array]:
    """Copy results from a GPU."""
    return [result.numpy() for result in results]


def settings(placement: Placement | None) -> Mapping[str, str | int | bool]:
    """Return what ONNX Runtime computes with."""
    asked = placement or Placement()
    return {
        "framework": f"onnxruntime {onnxruntime.__version__}",
        "device": asked.device,
        "intra_op_threads": asked.threads or "default",
        "inter_op_threads": asked.threads or "default",
        "tf32": asked.tf32,
        "xla": False,
    }
