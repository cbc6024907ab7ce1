"""An ExportedProgram as a file, written from the memory of its weights."""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from torch.export import ExportedProgram


def save_program(program: ExportedProgram, path: Path) -> None:
    """Write `program` to `path`, byte by byte as `torch.export.save` does, and raise what that raises.

    That makes two copies of a weight before it writes it: of a large embedding as much again as the model.
    """
    with _uncopied_weights():
        torch.export.save(program, path)


@contextlib.contextmanager
def _uncopied_weights() -> Iterator[None]:
    try:
        package: Any = importlib.import_module("torch.export.pt2_archive._package")
        read, writer = package._get_raw_tensor_bytes, package.PT2ArchiveWriter
    except (ImportError, AttributeError):
        # Another PyTorch than these names are of writes in its own way.
        yield
        return
    write = writer.write_bytes

    def storage_of(tensor: torch.Tensor) -> Any:
        is_plain = type(tensor) in (torch.Tensor, torch.nn.Parameter) and tensor.device.type == "cpu"
        return tensor.untyped_storage() if is_plain and tensor.data_ptr() else read(tensor)

    def write_bytes(self: Any, name: str, data: Any) -> None:
        if isinstance(data, torch.UntypedStorage):
            self.archive_file.write_record(name, data, data.nbytes())
        else:
            write(self, name, data)

    with (
        mock.patch.object(package, "_get_raw_tensor_bytes", storage_of),
        mock.patch.object(writer, "write_bytes", write_bytes),
    ):
        yield
