"""Weights whose values the graph of a SavedModel was built on: their checksums, and whether new weights still fit."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Container, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from translate.errors import OpenError
from translate.manifest import Constant, Manifest, read_manifest

if TYPE_CHECKING:
    import onnx_ir as ir

    from translate.models.base import Array


def record_constants(folder: Path, graphs: Iterable[ir.Model]) -> None:
    """Add to the manifest of the SavedModel in `folder` which weights of its source are constants there.

    `graphs` are the source as it was exported. What they read of the source and is no variable of the SavedModel was
    computed with while translating, as a table of positions is.
    """
    manifest = read_manifest(folder)
    if manifest is None or not manifest.parameters:
        return
    variables = {one for name, parameter in manifest.parameters.items() for one in (name, *parameter.tied)}
    constants: dict[str, Constant] = {}
    for graph in graphs:
        constants |= _read_weights(graph, variables)
    replace(manifest, constants=constants).write(folder)


def check_constants(manifest: Manifest, arrays: Mapping[str, Callable[[], Array]], path: Path) -> None:
    """Raise `OpenError` naming the weights of `path` that differ from what the graph was built on.

    A checkpoint need not have them: PyTorch leaves out buffers that are not persistent.
    """
    from translate.models.torch_files import some

    differing = [
        one
        for name, constant in manifest.constants.items()
        for one in (name, *constant.tied)
        if one in arrays and not _is(constant, arrays[one]())
    ]
    if differing:
        raise OpenError(
            f"{path} differs where the SavedModel has constants, not variables: {some(differing)}\n"
            "  The graph was built on their values: translate the model with its new weights again"
        )


def _read_weights(graph: ir.Model, variables: Container[str]) -> dict[str, Constant]:
    """Return the checksums of the initializers that a node reads and that are no `variables`.

    In a graph of PyTorch's they are those of the module.
    """
    from translate.converters.metadata import KIND, other_names

    initializers = [value for value in graph.graph.initializers.values() if value.uses()]
    told = [value for value in initializers if KIND in value.metadata_props]
    return {
        str(value.name): _constant(value.const_value.numpy(), other_names(value))
        for value in told or initializers
        if value.const_value is not None and str(value.name) not in variables
    }


def _constant(array: Array, tied: tuple[str, ...]) -> Constant:
    return Constant(array.dtype.name, array.shape, _sha256(array), tied)


def _is(constant: Constant, array: Array) -> bool:
    from translate.models.inputs import numpy_dtype

    same = array.astype(numpy_dtype(constant.dtype), copy=False)
    return array.shape == tuple(constant.shape) and _sha256(same) == constant.sha256


def _sha256(array: Array) -> str:
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()
