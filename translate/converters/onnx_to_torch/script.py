"""A translated module as TorchScript."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import fx
from torch.utils import _pytree as pytree

from translate.converters.onnx_to_torch.dtypes import to_torch
from translate.errors import ExportError
from translate.models.base import Spec
from translate.models.inputs import default_sizes, example_feeds, parse_input

# What a TorchScript archive writes itself, and what says in which source file, on whose disk, its code was written.
_OWN = (".data/", "version")
_DEBUGGING = ".debug_pkl"


def save_torchscript(module: fx.GraphModule, path: Path) -> None:
    """Write `module` as TorchScript to `path`: scripted, so that sizes stay open, or traced where that fails.

    The result is run at two choices of sizes. Raises `ExportError` when it is not the same module at both.
    """
    specs = [parse_input(text) for text in module.input_specs]  # type: ignore[union-attr]
    cases = [
        tuple(to_torch(feeds[spec.name]) for spec in specs)
        for feeds in (example_feeds(specs, sizes) for sizes in default_sizes(specs)[:2])
    ]
    with warnings.catch_warnings(action="ignore"), torch.no_grad():
        script = _compiled(module, cases)
        _check(module, script, specs, cases)
        raw = path.with_name(f"{path.name}.raw")
        torch.jit.save(script, raw)
    _copy(raw, path)
    raw.unlink()


def _compiled(module: fx.GraphModule, cases: Sequence[tuple[Any, ...]]) -> Any:
    try:
        return torch.jit.script(module)
    except Exception as refusal:
        # torch.jit documents no common base of what it raises.
        try:
            return _traced(module, cases[0])
        except Exception as error:
            raise ExportError(
                f"TorchScript refused the translated module, scripted ({_first_line(refusal)}) "
                f"and traced ({_first_line(error)})"
            ) from error


def _traced(module: fx.GraphModule, tensors: tuple[Any, ...]) -> Any:
    traced = torch.jit.trace(copy.deepcopy(module), tensors, strict=False, check_trace=False)  # type: ignore[no-untyped-call]
    # A trace keeps no attributes; without this one, whoever opens the file has to be told its inputs.
    text = torch._C.ListType(torch._C.StringType.get())
    traced._c._register_attribute("input_specs", text, module.input_specs)
    return traced


def _check(module: fx.GraphModule, script: Any, specs: Sequence[Spec], cases: Sequence[tuple[Any, ...]]) -> None:
    for tensors in cases:
        sizes = ", ".join(f"{spec.name} {list(tensor.shape)}" for spec, tensor in zip(specs, tensors, strict=True))
        try:
            ours, theirs = pytree.tree_leaves(module(*tensors)), pytree.tree_leaves(script(*tensors))
            torch.testing.assert_close(theirs, ours, equal_nan=True)
        except (RuntimeError, AssertionError, torch.jit.Error) as error:
            raise ExportError(f"as TorchScript the module differs at {sizes}: {_first_line(error)}") from error


def _copy(raw: Path, path: Path) -> None:
    """Copy an archive without what tells about the disk that it was made on."""
    reader, writer = torch._C.PyTorchFileReader(str(raw)), torch._C.PyTorchFileWriter(str(path))
    for name in reader.get_all_records():
        if not name.startswith(_OWN) and not name.endswith(_DEBUGGING):
            content = reader.get_record(name)
            writer.write_record(name, content, len(content))
    writer.write_end_of_file()


def _first_line(error: BaseException) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
