"""Graphs of TensorFlow 1, frozen or with a session's variables, as functions with variables of their own.

A function is made of the part between inputs and outputs. Its weights, the variables of the session or the constants
of a frozen graph that hold floating-point numbers, become `tf.Variable`s under their names.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from google.protobuf.message import DecodeError

from translate.errors import OpenError, UsageError
from translate.models import tensorflow_device
from translate.models.base import Array, Spec
from translate.models.device import Placement
from translate.models.inputs import merge_specs, open_dims
from translate.models.traced import TracedModel, spec_of

# Variables that a graph refers to, and no resource holds.
_REFERENCES = frozenset({"Variable", "VariableV2"})
# How a file says that an operation is one: field 2 of a `NodeDef`, a text of that length. The shared name of a variable
# and its entry in a checkpoint are written likewise, and "Variable" is a common name.
_WRITTEN = re.compile(rb"(?<!\x12\x0a)(?<!VARIABLE_VALUE)\x12(\x08Variable|\x0aVariableV2)")
# What ends in nothing that anybody would call an output.
_SILENT = frozenset({"NoOp", "Assert", "Const", "Placeholder", "PlaceholderWithDefault"})


class GraphModel(TracedModel):
    """A frozen graph, from named inputs to named outputs; its weights are variables."""

    kind = "TensorFlow graph"

    def __init__(
        self,
        definition: Any,
        inputs: Sequence[str] = (),
        outputs: Sequence[str] = (),
        declared: Sequence[Spec] = (),
        placement: Placement | None = None,
    ) -> None:
        """Take the part of a `GraphDef` from `inputs` to `outputs`, tensors like `x` or `x:0`.

        Without `inputs`, they are the placeholders that the outputs need; without `outputs`, the operations that no
        other reads. `declared` names dimensions and says sizes that the graph leaves open. Raises `OpenError` for a
        graph that TensorFlow does not accept, `UsageError` for names that are not in it.
        """
        device = tensorflow_device.Device(placement)
        with device.scope():
            function, known, results = graph_function(Graph(definition), inputs, outputs, declared)
        super().__init__(function, known, results, device)


@dataclass(frozen=True)
class Graph:
    """A graph, and the values of its variables by the names of their operations; None where it is frozen."""

    definition: Any
    variables: Mapping[str, Array] | None = None
    inputs: Mapping[str, str] = field(default_factory=dict)
    outputs: Mapping[str, str] = field(default_factory=dict)


def read_graph_def(path: Path) -> Any:
    """Read a serialized `GraphDef`. Raises `OpenError` for a file that holds none."""
    definition = tf.compat.v1.GraphDef()
    try:
        definition.ParseFromString(path.read_bytes())
    except (DecodeError, OSError) as error:
        raise OpenError(f"{path} is no readable GraphDef: {error}") from error
    if not definition.node:
        raise OpenError(f"{path} is no GraphDef: it has no operations")
    return definition


def read_session_graph(path: Path, signature: str) -> Graph | None:
    """Read a signature of a SavedModel that refers to variables as only sessions know them; None for any other.

    TensorFlow loads such variables into one space for the whole process, without Python objects: two models that call
    a variable alike would disturb each other. Raises `OpenError` where there is no such signature.
    """
    from tensorflow.core.protobuf import saved_model_pb2

    content = (path / "saved_model.pb").read_bytes()
    # TensorFlow will take the file apart once more; most have no such variable, which their bytes tell.
    if not _WRITTEN.search(content):
        return None
    graph = saved_model_pb2.SavedModel.FromString(content).meta_graphs[0]
    names = [node.name for node in graph.graph_def.node if node.op in _REFERENCES]
    if not names:
        return None
    if signature not in graph.signature_def:
        known = ", ".join(sorted(key for key in graph.signature_def if not key.startswith("__"))) or "none at all"
        raise OpenError(f"{path} has no signature {signature!r}; it has {known}")
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        tf.compat.v1.saved_model.load(session, list(graph.meta_info_def.tags), str(path))
        variables = dict(zip(names, session.run([f"{name}:0" for name in names]), strict=True))
    given = graph.signature_def[signature]
    return Graph(
        graph.graph_def,
        variables,
        {key: given.inputs[key].name for key in sorted(given.inputs)},
        {key: given.outputs[key].name for key in sorted(given.outputs)},
    )


def session_function(graph: Graph) -> tuple[Any, Sequence[Spec], Sequence[str]]:
    """Return the function of a signature, the specs of its inputs and the names of its outputs, in its order."""
    function, specs, _ = graph_function(graph, list(graph.inputs.values()), list(graph.outputs.values()))
    known = [Spec(name, spec.dtype, spec.shape) for name, spec in zip(graph.inputs, specs, strict=True)]
    return function, known, list(graph.outputs)


def graph_function(
    graph: Graph, inputs: Sequence[str] = (), outputs: Sequence[str] = (), declared: Sequence[Spec] = ()
) -> tuple[Any, Sequence[Spec], Sequence[str]]:
    """Return the part from `inputs` to `outputs` as a concrete function, the specs of its inputs, its outputs' names.

    The arguments are those of `GraphModel`, which see.
    """
    imported = _imported(graph.definition)
    fetches = [_tensor(imported, name) for name in outputs] or list(_ends(imported))
    if not fetches:
        raise UsageError("nothing in the graph is an output that no other operation reads: name outputs, --outputs")
    feeds = [_tensor(imported, name) for name in inputs]
    needed = _needed(fetches, feeds)
    unfed = [operation for operation in needed if operation.type == "Placeholder"]
    if inputs and unfed:
        raise UsageError(f"the outputs need {', '.join(op.name for op in unfed)}, which is not among the inputs")
    feeds = feeds or [operation.outputs[0] for operation in unfed]
    known = open_dims([spec_of(_plain(tensor.name), tensor) for tensor in feeds])
    specs = merge_specs(declared, known)

    variables = {name: tf.Variable(array, name=name) for name, array in _weights(needed, graph.variables)}
    cut = {tensor.op.name for tensor in feeds} | set(variables)
    kept = _part(graph.definition, {operation.name for operation in needed} - cut)

    def run(*values: tf.Tensor) -> list[tf.Tensor]:
        replaced = {tensor.name: value for tensor, value in zip(feeds, values, strict=True)}
        replaced |= {f"{name}:0": variable.read_value() for name, variable in variables.items()}
        passed = {tensor.name: replaced[tensor.name] for tensor in fetches if tensor.op.name in cut}
        wanted = [tensor.name for tensor in fetches if tensor.name not in passed]
        computed = dict(zip(wanted, tf.import_graph_def(kept, replaced, wanted, name=""), strict=True)) | passed
        return [computed[tensor.name] for tensor in fetches]

    signature = [
        tf.TensorSpec(_sizes(spec), tensor.dtype.base_dtype, f"input_{place}")
        for place, (spec, tensor) in enumerate(zip(specs, feeds, strict=True))
    ]
    function = tf.compat.v1.wrap_function(run, signature)
    return function, specs, [_plain(tensor.name) for tensor in fetches]


def _imported(definition: Any) -> Any:
    with tf.Graph().as_default() as graph:
        try:
            tf.import_graph_def(definition, name="")
        except (ValueError, tf.errors.OpError) as error:
            raise OpenError(f"TensorFlow does not accept the graph: {error}") from error
    return graph


def _tensor(graph: Any, name: str) -> Any:
    operation, _, index = name.partition(":")
    try:
        return graph.get_operation_by_name(operation).outputs[int(index or 0)]
    except KeyError as error:
        raise UsageError(f"the graph has no operation {operation!r}") from error
    except (IndexError, ValueError) as error:
        no_output = f"the operation {operation!r} of the graph has no output {index or 0}; --input says sizes"
        raise UsageError(no_output) from error


def _ends(graph: Any) -> Iterator[Any]:
    """List the results of the operations that no other reads."""
    for operation in graph.get_operations():
        if operation.type in _SILENT or any(tensor.consumers() for tensor in operation.outputs):
            continue
        # Which side a Merge took is nobody's output.
        own = operation.outputs[:1] if operation.type == "Merge" else operation.outputs
        yield from (tensor for tensor in own if tensor.dtype not in (tf.resource, tf.variant))


def _needed(fetches: Sequence[Any], feeds: Sequence[Any]) -> list[Any]:
    """List the operations that `fetches` need, without those that compute `feeds`, in the order of the graph."""
    fed = {tensor.name for tensor in feeds}
    found: dict[str, Any] = {}
    waiting = [tensor.op for tensor in fetches if tensor.name not in fed]
    while waiting:
        operation = waiting.pop()
        if operation.name not in found:
            found[operation.name] = operation
            waiting += [tensor.op for tensor in operation.inputs if tensor.name not in fed]
            waiting += operation.control_inputs
    return [operation for operation in fetches[0].graph.get_operations() if operation.name in found]


def _weights(operations: Sequence[Any], variables: Mapping[str, Array] | None) -> Iterator[tuple[str, Array]]:
    """List the weights among `operations`, by name: in a frozen graph, tensors of real numbers that have axes."""
    for operation in operations:
        if variables is not None and operation.name in variables:
            yield operation.name, variables[operation.name]
        # A constant that waits for something belongs to a branch or a loop.
        elif variables is None and operation.type == "Const" and not operation.control_inputs:
            dtype = operation.outputs[0].dtype
            if dtype.is_floating and operation.outputs[0].shape.rank:
                yield operation.name, np.asarray(tf.make_ndarray(operation.get_attr("value")))


def _part(definition: Any, names: set[str]) -> Any:
    """Return a graph of the nodes called `names` alone, free of devices and of words on where others are."""
    part = tf.compat.v1.GraphDef(versions=definition.versions, library=definition.library)
    for node in definition.node:
        if node.name in names:
            copy = part.node.add()
            copy.CopyFrom(node)
            copy.device = ""
            copy.attr.pop("_class", None)
            controls = [source for source in node.input if source.startswith("^") and source[1:] not in names]
            for source in controls:
                copy.input.remove(source)
    return part


def _sizes(spec: Spec) -> list[int | None] | None:
    return None if spec.shape is None else [dim if isinstance(dim, int) else None for dim in spec.shape]


def _plain(name: str) -> str:
    return name.removesuffix(":0")
