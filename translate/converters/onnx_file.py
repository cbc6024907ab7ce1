"""An ONNX graph as a file that anyone can run."""

from __future__ import annotations

from pathlib import Path

import onnx_ir as ir

from translate.converters.lowering.table import as_problem
from translate.converters.operators.functions import FUNCTIONS
from translate.errors import CannotTranslateError

# A protobuf message ends here; the graph around the weights needs some of it.
LARGEST_FILE = 2**31 - 2**26
# What PyTorch's exporter notes about the place in the source: it names folders of this machine.
_PLACES = "pkg.torch."
_NOT_ONNX = "ONNX has no such operator; the formats of PyTorch hold it"


def save_onnx(model: ir.Model, path: Path, *, largest: int = LARGEST_FILE) -> None:
    """Write `model`, as an exporter made it, to the file `path`; it holds no path of this machine.

    Where its weights have more than `largest` bytes, `path` becomes a folder of `model.onnx` and `model.onnx.data`.
    Raises `CannotTranslateError` naming every operator that is not ONNX's.
    """
    problems = [as_problem(node, 1, _NOT_ONNX) for node in model.graph.all_nodes() if node.domain == FUNCTIONS]
    if problems:
        raise CannotTranslateError("ONNX", problems)
    copy = model.clone()
    _forget_places(copy.metadata_props)
    for graph in (copy.graph, *(function.graph for function in copy.functions.values())):
        for properties in (graph.metadata_props, *(node.metadata_props for node in graph.all_nodes())):
            _forget_places(properties)
    weights = [value.const_value for value in copy.graph.initializers.values()]
    if sum(tensor.nbytes for tensor in weights if tensor is not None) <= largest:
        # The file has any name here; the format is ONNX's.
        ir.save(copy, path, format="protobuf")
        return
    path.mkdir()
    ir.save(copy, path / "model.onnx", external_data="model.onnx.data")


def _forget_places(properties: dict[str, str]) -> None:
    for key in [key for key in properties if key.startswith(_PLACES)]:
        del properties[key]
