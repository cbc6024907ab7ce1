"""PyTorch's devices and settings. What concerns CUDA was written without a GPU at hand and has not run on one yet."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch.export import ExportedProgram
from torch.export.passes import move_to_device_pass

from translate.errors import UsageError
from translate.models.device import Placement, no_such_device


def prepare(placement: Placement) -> torch.device:
    """Set threads and TF32 for the whole process and return the device. Raises `UsageError`."""
    if placement.gpu is not None and placement.gpu >= torch.cuda.device_count():
        names = [f"gpu:{index} ({torch.cuda.get_device_name(index)})" for index in range(torch.cuda.device_count())]
        raise no_such_device(placement, f"PyTorch {torch.__version__}", ["cpu", *names])
    torch.backends.cuda.matmul.allow_tf32 = placement.tf32
    torch.backends.cudnn.allow_tf32 = placement.tf32
    threads = placement.threads
    if threads is not None:
        torch.set_num_threads(threads)
        if torch.get_num_interop_threads() != threads:
            try:
                torch.set_num_interop_threads(threads)
            except RuntimeError as error:
                raise UsageError(f"--threads {threads}: too late, PyTorch has started its threads: {error}") from error
    return torch.device("cpu") if placement.gpu is None else torch.device("cuda", placement.gpu)


def move_program(program: ExportedProgram, device: torch.device) -> ExportedProgram:
    """Move a program's weights and constants, and what its code says of devices, in place."""
    tensors = [*program.state_dict.values(), *program.constants.values()]
    if device.type == "cpu" and all(t.device.type == "cpu" for t in tensors if isinstance(t, torch.Tensor)):
        return program
    return move_to_device_pass(program, device)


def synchronize(device: torch.device) -> None:
    """Wait for what was started on `device`; on the CPU nothing is left unfinished."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def settings(device: torch.device) -> Mapping[str, str | int | bool]:
    """Return what PyTorch computes with."""
    return {
        "framework": f"torch {torch.__version__}",
        "device": "cpu" if device.type == "cpu" else f"gpu:{device.index or 0}",
        "intra_op_threads": torch.get_num_threads(),
        "inter_op_threads": torch.get_num_interop_threads(),
        "tf32": torch.backends.cuda.matmul.allow_tf32 or torch.backends.cudnn.allow_tf32,
        "xla": False,
    }


def peak_bytes(device: torch.device) -> int | None:
    """Return the most memory that tensors on a GPU took at once; None on the CPU."""
    return torch.cuda.max_memory_allocated(device) if device.type == "cuda" else None
