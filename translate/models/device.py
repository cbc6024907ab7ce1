"""Where models run and with what: one name for a device and one number of threads, whatever the framework.

No framework is imported here; `torch_device`, `tensorflow_device` and `onnx_device` carry it out.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from translate.errors import UsageError

_TORCH_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")
TENSORFLOW_VARIABLES = ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")


@dataclass(frozen=True)
class Placement:
    """Where and how a model is to run.

    `gpu` is the index of a GPU, None the CPU. `threads` is the size of each framework's thread pools (None: the
    framework's own choice). `tf32` allows the rounded float32 products of NVIDIA's tensor cores. `xla` compiles what
    TensorFlow runs; other frameworks do without.
    """

    gpu: int | None = None
    threads: int | None = None
    tf32: bool = False
    xla: bool = False

    @property
    def device(self) -> str:
        """The device's name for people: "cpu", "gpu:0"."""
        return "cpu" if self.gpu is None else f"gpu:{self.gpu}"

    def require_cpu(self, what: str) -> None:
        """Raise `UsageError` when it is not the CPU, on which alone `what` runs."""
        if self.gpu is not None:
            raise UsageError(f"--device {self.device}: {what} runs on the CPU only")


def placement(device: str = "cpu", *, threads: int | None = None, tf32: bool = False, xla: bool = False) -> Placement:
    """Read the options of the command line; `cuda:0` and `gpu:0` mean the same. Raises `UsageError`."""
    match = re.fullmatch(r"cpu|(?:cuda|gpu)(?::(\d+))?", device)
    if match is None:
        raise UsageError(f"--device {device!r} is not cpu, gpu:0 or cuda:0")
    _check_threads(threads)
    return Placement(None if device == "cpu" else int(match[1] or 0), threads, tf32, xla)


def pin(threads: int | None = None, *, tf32: bool = False) -> None:
    """Set what the frameworks read from the environment when they start; to be called before they are imported.

    A framework that is imported already is set when a model is opened with a `Placement`, which fails where it
    is too late for that. Raises `UsageError` for a number of threads below one.
    """
    _check_threads(threads)
    # NVIDIA's libraries read this; 0 also overrules what a framework asks of them.
    if not tf32:
        os.environ["NVIDIA_TF32_OVERRIDE"] = "0"
    if threads is None:
        return
    for framework, variables in (("torch", _TORCH_VARIABLES), ("tensorflow", TENSORFLOW_VARIABLES)):
        if framework not in sys.modules:
            os.environ.update(dict.fromkeys(variables, str(threads)))


def no_such_device(asked: Placement, framework: str, devices: Sequence[str]) -> UsageError:
    """Return the error for a device that `framework` does not have; `devices` are those that it has."""
    return UsageError(f"--device {asked.device}: {framework} has no such device here; it has {', '.join(devices)}")


def _check_threads(threads: int | None) -> None:
    if threads is not None and threads < 1:
        raise UsageError(f"--threads {threads}: at least one is needed")
