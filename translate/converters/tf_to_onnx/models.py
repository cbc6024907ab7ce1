"""Opened TensorFlow models as ONNX: which function is traced, and what its inputs, outputs and weights are called."""

from __future__ import annotations

from collections.abc import Mapping, MutableSequence, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx_ir as ir
import tensorflow as tf

from translate.converters.metadata import KEEP, TIED, source_name
from translate.converters.tf_to_onnx.export import export
from translate.converters.weights import permuted
from translate.errors import UsageError
from translate.manifest import Manifest
from translate.models.base import Model, Spec
from translate.models.inputs import open_dims

if TYPE_CHECKING:
    from translate.models.keras_model import KerasModel
    from translate.models.saved_model import SavedModel
    from translate.models.traced import TracedModel


def from_model(model: Model) -> ir.Model:
    """Export an opened TensorFlow model. Raises `UsageError` for any other."""
    from translate.models.keras_model import KerasModel
    from translate.models.saved_model import SavedModel
    from translate.models.traced import TracedModel

    if isinstance(model, KerasModel):
        return from_keras(model)
    if isinstance(model, SavedModel):
        return from_saved_model(model)
    if isinstance(model, TracedModel):
        return from_traced(model)
    raise UsageError(f"a {model.kind} is no TensorFlow model that has a graph")


def from_keras(model: KerasModel) -> ir.Model:
    """Export a Keras model; weights are called after their layers, `block1.conv.kernel`."""
    function = model.function
    prefix = f"{model.model.name}/"
    # By the variables themselves: Keras gives several of them one name.
    names = {_variable(weight).ref(): _path(weight, prefix) for weight in model.model.weights}
    outputs = [spec.name for spec in model.outputs]
    return export(function, model.inputs, outputs, names=names, structure=_structure(function.structured_outputs))


def from_saved_model(model: SavedModel) -> ir.Model:
    """Export one signature of a SavedModel; weights that another translation put there get their first names back."""
    function = model.function
    specs = {spec.name: spec for spec in open_dims(model.inputs)}
    ordered = [specs[name] for name in model.arguments]
    structure = "single" if len(model.results) == 1 else "dict"
    names: Mapping[Any, str] = {}
    if model.manifest is not None:
        structure = model.manifest.structure or structure
        known = {f"{parameter.variable}:0": name for name, parameter in model.manifest.parameters.items()}
        names = {v.ref(): known[v.name] for v in function.graph.variables if v.name in known}
    exported = export(function, ordered, model.results, names=names, structure=structure)
    _reorder(exported.graph.inputs, model.inputs)
    _reorder(exported.graph.outputs, model.outputs)
    if model.manifest is not None:
        _restore_axes(exported, model.manifest)
    return exported


def _restore_axes(model: ir.Model, manifest: Manifest) -> None:
    """Give the weights, in place, the order of axes that they had in the source; what reads them, a transpose of it."""
    graph = model.graph
    for name, parameter in manifest.parameters.items():
        stored = graph.initializers.get(name)
        if stored is None or stored.const_value is None:
            continue
        stored.metadata_props[KEEP] = "1"
        if parameter.tied:
            stored.metadata_props[TIED] = ",".join(parameter.tied)
        if parameter.permutation is None:
            continue
        back = np.argsort(parameter.permutation)
        tensor = permuted(stored.const_value, back.tolist(), name)
        transpose = ir.Node(
            "", "Transpose", [None], [ir.AttrInt64s("perm", list(parameter.permutation))], name=f"{name}.transpose"
        )
        (turned,) = transpose.outputs
        turned.name, turned.type, turned.shape = f"{name}.transposed", stored.type, stored.shape
        ir.convenience.replace_all_uses_with(stored, turned)
        stored.shape, stored.const_value = ir.Shape(tensor.shape.numpy()), tensor
        transpose.replace_input_with(0, stored)
        graph.insert_before(graph[0], transpose)


def _reorder(values: MutableSequence[ir.Value], specs: Sequence[Spec]) -> None:
    places = {spec.name: place for place, spec in enumerate(specs)}
    values[:] = sorted(values, key=lambda value: places[source_name(value)])


def _variable(weight: Any) -> Any:
    """Return the `tf.Variable` behind a Keras weight."""
    return weight if isinstance(weight, tf.Variable) else weight.value


def _path(weight: Any, prefix: str) -> str:
    """Return a weight's name as the path of its layer, without the model's own name."""
    path: str = getattr(weight, "path", "") or weight.name.removesuffix(":0")
    return path.removeprefix(prefix).replace("/", ".")


def _structure(result: Any) -> str:
    if isinstance(result, Mapping):
        return "dict"
    return "tuple" if isinstance(result, list | tuple) else "single"


def from_traced(model: TracedModel) -> ir.Model:
    """Export a frozen graph or a live function; its variables are the weights, under their own names."""
    returned = model.function.structured_outputs
    # A graph's outputs have names, and are no structure.
    is_graph = model.kind == "TensorFlow graph"
    structure = ("single" if len(model.results) == 1 else "dict") if is_graph else _structure(returned)
    return export(model.function, open_dims(model.inputs), model.results, structure=structure)
