"""One ONNX node, translated to PyTorch and run, and what it should give: shared by the tests of the lowerings."""

from __future__ import annotations

import functools
from typing import Any

import onnx
import onnx_ir as ir
import torch

from tests.converters import nodes
from tests.converters.nodes import OPSET, Attributes, Inputs, one_node
from translate.converters.onnx_to_torch import export
from translate.converters.onnx_to_torch.dtypes import to_numpy, to_torch
from translate.converters.onnx_to_torch.export import Program
from translate.converters.passes import prepare_for_torch


def translated(model: onnx.ModelProto) -> torch.fx.GraphModule:
    """Return `model` as a module that returns a tuple of all its outputs."""
    graph = ir.from_proto(model)
    prepare_for_torch(graph)
    return Program(graph).build([None] * len(graph.graph.inputs), flat=True)


def exported(model: onnx.ModelProto) -> torch.nn.Module:
    """Return `model` as the module of an ExportedProgram with the model's symbolic dimensions."""
    graph = ir.from_proto(model)
    prepare_for_torch(graph)
    return export.exported(export.module(graph), graph).module()


def run(op: str, inputs: Inputs, attributes: Attributes | None = None, opset: int = OPSET, **options: Any) -> list[Any]:
    """Translate one node, with symbolic dimensions unless `dynamic=False`, and run it; `options` as of `one_node`.

    Raises `CannotTranslateError` when the lowering refuses it.
    """
    known = options.get("known", ())
    fed = [to_torch(array) for i, array in enumerate(inputs) if array is not None and i not in known]
    with torch.no_grad():
        results = translated(one_node(op, inputs, attributes, opset, **options))(*fed)
    return [to_numpy(result) for result in results]


def code(op: str, inputs: Inputs, attributes: Attributes | None = None, opset: int = OPSET, **options: Any) -> str:
    """Return the Python code of one translated node, without the lines around it."""
    lines = translated(one_node(op, inputs, attributes, opset, **options)).code.strip().splitlines()
    return "\n".join(line.strip().partition(";")[0] for line in lines[1:])


check = functools.partial(nodes.check, run)
