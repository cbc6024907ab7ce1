"""The intermediate values of an exported PyTorch program, by the names of its nodes."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch.export import ExportedProgram
from torch.export.graph_signature import ConstantArgument, InputKind
from torch.fx import Interpreter, Node

from translate.models.base import Array
from translate.models.torch_double import double_arithmetic

_WEIGHTS = (InputKind.PARAMETER, InputKind.BUFFER, InputKind.CONSTANT_TENSOR)


def node_values(
    program: ExportedProgram, inputs: Sequence[torch.Tensor], names: Iterable[str], *, double: bool = False
) -> dict[str, Array]:
    """Run `program` node by node, as far as needed, and return the results of the nodes called `names`.

    Results that are no tensors are left out.
    `inputs` are the program's own, in order. With `double`, everything is computed in float64, see `torch_double`.
    Raises what PyTorch raises.
    """
    recorder = _Recorder(program, names)
    arithmetic = double_arithmetic() if double else contextlib.nullcontext()
    with torch.no_grad(), arithmetic, contextlib.suppress(_Done):
        recorder.run(*_placeholders(program, inputs))
    return recorder.found


def _placeholders(program: ExportedProgram, inputs: Sequence[torch.Tensor]) -> list[Any]:
    """Return what the graph's placeholders stand for: weights, constants, inputs, in the graph's order."""
    remaining = iter(inputs)
    weights: Mapping[str, Any] = {**program.constants, **program.state_dict}
    values: list[Any] = []
    for spec in program.graph_signature.input_specs:
        if spec.kind in _WEIGHTS:
            values.append(weights[str(spec.target)])
        elif isinstance(spec.arg, ConstantArgument):
            values.append(spec.arg.value)
        elif spec.kind is InputKind.USER_INPUT:
            values.append(next(remaining))
        else:
            raise TypeError(f"a program with an input of kind {spec.kind.name} is not run node by node")
    symbolic = [
        isinstance(node.meta.get("val"), torch.SymInt) for node in program.graph.nodes if node.op == "placeholder"
    ]
    return [int(value) if symbol else value for value, symbol in zip(values, symbolic, strict=True)]


class _Done(Exception):
    """Every result that was wanted is there."""


class _Recorder(Interpreter):
    """Keeps a copy of the results of some nodes."""

    def __init__(self, program: ExportedProgram, names: Iterable[str]) -> None:
        super().__init__(program.graph_module)
        self.wanted = {node.name for node in program.graph.nodes}.intersection(names)
        self.found: dict[str, Array] = {}

    def run_node(self, n: Node) -> Any:
        from translate.models.torch_arrays import to_array

        if not self.wanted:
            raise _Done
        result = super().run_node(n)
        if n.name in self.wanted:
            self.wanted.remove(n.name)
            if isinstance(result, torch.Tensor):
                self.found[n.name] = to_array(result)
        return result
