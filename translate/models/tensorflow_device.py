"""TensorFlow's devices and settings. What concerns GPUs was written without one at hand and has not run on one yet."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping

import tensorflow as tf

from translate.errors import UsageError
from translate.models.device import TENSORFLOW_VARIABLES, Placement, no_such_device


class Device:
    """Where and how TensorFlow runs a model; a placement of None leaves it to TensorFlow.

    Threads and TF32 are set for the whole process. Raises `UsageError` when there is no such device, or it is too late
    to set the threads.
    """

    def __init__(self, placement: Placement | None) -> None:
        gpus = tf.config.list_physical_devices("GPU")
        self.placement = placement
        self.xla = placement is not None and placement.xla
        # On a machine that has only a CPU nothing needs to be said, and saying it at each call takes time.
        self._name: str | None = None
        if placement is not None:
            if placement.gpu is not None and placement.gpu >= len(gpus):
                names = ["cpu", *(f"gpu:{index}" for index in range(len(gpus)))]
                raise no_such_device(placement, f"TensorFlow {tf.__version__}", names)
            tf.config.experimental.enable_tensor_float_32_execution(placement.tf32)
            _set_threads(placement.threads)
            if gpus:
                self._name = "/CPU:0" if placement.gpu is None else f"/GPU:{placement.gpu}"
        # A function on the CPU has computed everything when it returns; on a GPU it has only been started.
        self._runs_ahead = bool(gpus) and self._name != "/CPU:0"

    def scope(self) -> contextlib.AbstractContextManager[None]:
        """Put what is made and called inside on the device."""
        return contextlib.nullcontext() if self._name is None else tf.device(self._name)

    def synchronize(self) -> None:
        """Wait for what was started."""
        if self._runs_ahead:
            tf.test.experimental.sync_devices()

    def settings(self) -> Mapping[str, str | int | bool]:
        """Return what TensorFlow computes with; a pool of "default" size has a thread for each core."""
        intra, inter = _pool_sizes()
        return {
            "framework": f"tensorflow {tf.__version__}",
            "device": "default" if self.placement is None else self.placement.device,
            "intra_op_threads": intra or "default",
            "inter_op_threads": inter or "default",
            "tf32": tf.config.experimental.tensor_float_32_execution_enabled(),
            "xla": self.xla,
        }

    def peak_bytes(self) -> int | None:
        """Return the most memory that TensorFlow had in use on the GPU at once; None on the CPU."""
        if self._name is None or self._name == "/CPU:0":
            return None
        return int(tf.config.experimental.get_memory_info(self._name.removeprefix("/"))["peak"])


def _set_threads(threads: int | None) -> None:
    if threads is None or all(size == threads for size in _pool_sizes()):
        return
    try:
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(threads)
    except RuntimeError as error:
        raise UsageError(f"--threads {threads}: too late, TensorFlow has started its threads: {error}") from error


def _pool_sizes() -> tuple[int, int]:
    """Return the threads within and between operations; 0 is TensorFlow's own choice."""
    asked = (
        tf.config.threading.get_intra_op_parallelism_threads(),
        tf.config.threading.get_inter_op_parallelism_threads(),
    )
    # What is not asked for in Python comes from the environment.
    intra, inter = (
        size or int(os.environ.get(variable, 0)) for size, variable in zip(asked, TENSORFLOW_VARIABLES, strict=True)
    )
    return intra, inter
