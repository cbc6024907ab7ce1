"""Frozen graphs of TensorFlow 1 as functions that can be run and exported."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import tensorflow as tf
from google.protobuf.message import DecodeError

from translate.errors import OpenError, UsageError


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


def prune(definition: Any, inputs: Sequence[str] = (), outputs: Sequence[str] = ()) -> Any:
    """Return the part of a GraphDef from `inputs` to `outputs`, tensors like `x` or `x:0`, as a concrete function.

    Without `inputs`, they are the placeholders; without `outputs`, the operations that no other reads. Raises
    `OpenError` for a graph that TensorFlow does not accept, `UsageError` for a name that is not in it.
    """
    given = inputs or [node.name for node in definition.node if node.op == "Placeholder"]
    wanted = outputs or _ends(definition)
    names = {node.name for node in definition.node}
    for name in [*given, *wanted]:
        if name.partition(":")[0] not in names:
            raise UsageError(f"the graph has no operation {name.partition(':')[0]!r}")
    try:
        wrapped = tf.compat.v1.wrap_function(lambda: tf.compat.v1.import_graph_def(definition, name=""), [])
    except ValueError as error:
        raise OpenError(f"TensorFlow does not accept the graph: {error}") from error
    graph = wrapped.graph
    feeds = [graph.get_tensor_by_name(_tensor(name)) for name in given]
    return wrapped.prune(feeds, [graph.get_tensor_by_name(_tensor(name)) for name in wanted])


def _tensor(name: str) -> str:
    return name if ":" in name else f"{name}:0"


def _ends(definition: Any) -> list[str]:
    read = {source.lstrip("^").partition(":")[0] for node in definition.node for source in node.input}
    silent = {"NoOp", "Assert", "Const", "Placeholder"}
    return [node.name for node in definition.node if node.name not in read and node.op not in silent]
