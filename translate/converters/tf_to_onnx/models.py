"""Opened TensorFlow models as ONNX: which function is traced, and what its inputs, outputs and weights are called."""

from __future__ import annotations

from collections.abc import Mapping, MutableSequence, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx_ir as ir
import tensorflow as tf

from translate.converters.metadata import source_name
from translate.converters.tf_to_onnx.export import export
from translate.converters.tf_to_onnx.graph_def import prune, read_graph_def
from translate.errors import UsageError
from translate.manifest import Manifest
from translate.models.base import Model, Spec
from translate.models.inputs import open_dims

if TYPE_CHECKING:
    from translate.models.keras_model import KerasModel
    from translate.models.saved_model import SavedModel


def from_model(model: Model) -> ir.Model:
    """Export an opened TensorFlow model. Raises `UsageError` for any other."""
    from translate.models.keras_model import KerasModel
    from translate.models.saved_model import SavedModel

    if isinstance(model, KerasModel):
        return from_keras(model)
    if isinstance(model, SavedModel):
        return from_saved_model(model)
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
    _, inputs = function.structured_input_signature
    specs = {spec.name: spec for spec in open_dims(model.inputs)}
    # A function's tensors are in the order of its flattened signature, and that of a dict is sorted.
    ordered = [specs[name] for name in sorted(inputs)]
    outputs = sorted(function.structured_outputs)
    structure = "single" if len(outputs) == 1 else "dict"
    names: Mapping[Any, str] = {}
    if model.manifest is not None:
        structure = model.manifest.structure or structure
        known = {f"{parameter.variable}:0": name for name, parameter in model.manifest.parameters.items()}
        names = {v.ref(): known[v.name] for v in function.graph.variables if v.name in known}
    exported = export(function, ordered, outputs, names=names, structure=structure)
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
        if stored is None or stored.const_value is None or parameter.permutation is None:
            continue
        back = np.argsort(parameter.permutation)
        array = np.ascontiguousarray(stored.const_value.numpy().transpose(back))
        transpose = ir.Node(
            "", "Transpose", [None], [ir.AttrInt64s("perm", list(parameter.permutation))], name=f"{name}.transpose"
        )
        (turned,) = transpose.outputs
        turned.name, turned.type, turned.shape = f"{name}.transposed", stored.type, stored.shape
        ir.convenience.replace_all_uses_with(stored, turned)
        stored.shape, stored.const_value = ir.Shape(array.shape), ir.tensor(array, name=name)
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


def from_graph_def(path: Path, inputs: Sequence[str] = (), outputs: Sequence[str] = ()) -> ir.Model:
    """Export a frozen graph; its constants of floating-point numbers are the weights, under their own names.

    `inputs` and `outputs` are names of tensors, `x` or `x:0`; see `graph_def.prune` for what they are without. Raises
    `OpenError`, `UsageError` and `CannotTranslateError`.
    """
    function = prune(read_graph_def(path), inputs, outputs)
    specs = open_dims([_spec(tensor) for tensor in function.inputs])
    names = [_plain(tensor.name) for tensor in function.outputs]
    return export(function, specs, names, structure="single" if len(names) == 1 else "dict")


def from_function(function: Any, inputs: Sequence[Spec] = ()) -> ir.Model:
    """Export a concrete function, or a `tf.function` with an input signature; `inputs` name its dimensions.

    Outputs are called by their keys where it returns a dict, else `output_0`, `output_1`...
    """
    concrete = function if hasattr(function, "captured_inputs") else function.get_concrete_function()
    own = concrete.inputs[: len(concrete.inputs) - len(concrete.captured_inputs)]
    specs = list(inputs) or list(open_dims([_spec(tensor) for tensor in own]))
    returned = concrete.structured_outputs
    keys = sorted(returned) if isinstance(returned, Mapping) else None
    names = keys or [f"output_{index}" for index in range(len(concrete.outputs))]
    return export(concrete, specs, names, structure=_structure(returned))


def _spec(tensor: Any) -> Spec:
    dtype = "str" if tensor.dtype == tf.string else tensor.dtype.name
    shape = None if tensor.shape.rank is None else tuple(tensor.shape.as_list())
    return Spec(_plain(tensor.name), dtype, shape)


def _plain(name: str) -> str:
    return name.removesuffix(":0")
