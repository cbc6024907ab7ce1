"""ExportedPrograms are written as PyTorch writes them, without its copies."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn

from translate.converters.onnx_to_torch.archive import save_program


def test_the_file_is_that_of_pytorch(tmp_path: Path) -> None:
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(1000, 1000), nn.BatchNorm1d(1000)).eval()
    weight = module[0].weight
    module.register_buffer("part", weight.detach()[:3])
    module.register_buffer("empty", torch.zeros(0))
    program = torch.export.export(module, (torch.zeros(2, 1000),))

    def saved(save: Callable[..., Any], folder: str) -> tuple[bytes, int]:
        # The archive is named after the file.
        path = tmp_path / folder / "net.pt2"
        path.parent.mkdir()
        tracemalloc.start()
        save(program, path)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return path.read_bytes(), peak

    expected, theirs = saved(torch.export.save, "theirs")
    ours, peak = saved(save_program, "ours")
    assert ours == expected
    assert peak < weight.nbytes <= theirs
