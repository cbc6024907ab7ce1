"""ExportedPrograms: their inputs, and the names of their symbolic dimensions."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch.export import ExportedProgram
from torch.export.graph_signature import ConstantArgument, InputKind

from translate.errors import UsageError
from translate.models.base import Dim, Spec
from translate.models.inputs import merge_specs, size_of
from translate.models.torch_arrays import dtype_name
from translate.models.torch_flat import FlatModule, ProgramCall
from translate.models.torch_model import TorchModel

# Symbols of torch.export: s77 is a size of an input, u0 a size that depends on data.
_SYMBOL = re.compile(r"\b[su]\d+\b")
_NAME = re.compile(r"[A-Za-z_]\w*")


def from_program(program: ExportedProgram, inputs: Sequence[Spec] = ()) -> TorchModel:
    """Open an ExportedProgram; its graph says its inputs, and `inputs` may only rename symbolic dimensions.

    Raises `UsageError` when `inputs` ask for a size that the program does not have.
    """
    known = program_specs(program)
    names = [spec.name for spec in known]
    declared = {spec.name: spec for spec in merge_specs(inputs, known)} if inputs else {}
    rename = symbol_names(known, [declared.get(spec.name, spec) for spec in known])
    specs = [replace(spec, shape=tuple(rename_dim(dim, rename) for dim in spec.shape or ())) for spec in known]
    for spec in specs:
        _check_declared(declared.get(spec.name, spec), spec)
    ranges = {
        rename[str(symbol)]: (max(1, _bound(limits.lower, 1)), _bound(limits.upper, 2**31))
        for symbol, limits in program.range_constraints.items()
        if rename.get(str(symbol), "").isidentifier()
    }
    flat = FlatModule(ProgramCall(program), names, [(None, name) for name in names])
    return TorchModel(flat, specs, "PyTorch ExportedProgram", program=program, ranges=ranges)


def program_specs(program: ExportedProgram) -> list[Spec]:
    """Return the inputs of a program, with torch.export's symbols as dimensions (`s77`)."""
    user = [spec.arg for spec in program.graph_signature.input_specs if spec.kind is InputKind.USER_INPUT]
    names = [argument.name for argument in user if not isinstance(argument, ConstantArgument)]
    values = {node.name: node.meta.get("val") for node in program.graph.nodes if node.op == "placeholder"}
    return [_program_spec(name, values[name]) for name in names]


def _program_spec(name: str, value: Any) -> Spec:
    if isinstance(value, torch.Tensor):
        shape: tuple[Dim, ...] = tuple(dim if isinstance(dim, int) else str(dim) for dim in value.shape)
        return Spec(name, dtype_name(value.dtype), shape)
    return Spec(name, "int64", ())


def _check_declared(declared: Spec, actual: Spec) -> None:
    """Raise `UsageError` when an `--input` contradicts an ExportedProgram."""
    for wanted, dim in zip(declared.shape or (), actual.shape or (), strict=True):
        if wanted != dim and isinstance(dim, int) and not _SYMBOL.search(str(wanted)):
            raise UsageError(
                f"--input {declared}: the program was exported with {actual}; export it again to change that"
            )


def symbol_names(known: Sequence[Spec], declared: Sequence[Spec]) -> dict[str, str]:
    """Map torch.export's symbols (`s77`) in `known` to the user's names in `declared`, or to names of our own.

    A symbol that is all of a dimension may be an expression of the user's, such as `4*height`, or a fixed size. A
    symbol without a name is `batch` on the first axis, `<input>_<axis>` elsewhere.
    """
    names: dict[str, str] = {}
    for ours, theirs in zip(known, declared, strict=True):
        for dim, name in zip(ours.shape or (), theirs.shape or (), strict=True):
            if isinstance(name, int) and dim in _SYMBOL.findall(str(dim)):
                names.setdefault(str(dim), str(name))
                continue
            # The same expression in both, such as s77 and batch, or 2*s77 and 2*height.
            ours_names, theirs_names = _SYMBOL.findall(str(dim)), _NAME.findall(str(name))
            if len(ours_names) != 1 or len(theirs_names) != 1 or _SYMBOL.fullmatch(theirs_names[0]):
                continue
            if dim == ours_names[0]:
                names.setdefault(str(dim), str(name))
            elif str(dim).replace(ours_names[0], theirs_names[0]).replace(" ", "") == name:
                names.setdefault(ours_names[0], theirs_names[0])
    for spec in known:
        for axis, dim in enumerate(spec.shape or ()):
            for symbol in _SYMBOL.findall(dim) if isinstance(dim, str) else ():
                free = axis == 0 and "batch" not in names.values()
                names.setdefault(symbol, "batch" if free else f"{re.sub(r'[^A-Za-z0-9_]', '_', spec.name)}_{axis}")
    return names


def rename_dim(dim: Dim, names: Mapping[str, str]) -> Dim:
    """Replace torch.export's symbols in a dimension by names; what holds only numbers then becomes a number."""
    if not isinstance(dim, str):
        return dim

    def name(match: re.Match[str]) -> str:
        found = names.get(match[0], match[0])
        return found if found.isidentifier() else f"({found})"

    renamed = names[dim] if dim in names else _SYMBOL.sub(name, dim)
    return renamed if _NAME.search(renamed) else size_of(renamed, {})


def _bound(value: Any, default: int) -> int:
    """Return a limit of a symbol's range; infinities, which torch has kinds of its own for, become `default`."""
    return int(value) if getattr(value, "is_Integer", False) else default
