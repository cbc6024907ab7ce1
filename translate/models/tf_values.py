"""The intermediate values of a traced function, by the names of its tensors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from translate.models.base import Array


def tensor_values(function: Any, values: Sequence[tf.Tensor], tensors: Sequence[str]) -> list[Array]:
    """Run the graph of a concrete function and return the tensors called `tensors` (`relu/Relu:0`).

    `values` are its arguments in the order of its inputs. The graph runs as it is called, with the variables as they
    are now; TensorFlow's own optimizer leaves what is fetched.
    """
    graph_def = function.graph.as_graph_def()
    names = [tensor.name for tensor in function.graph.inputs[: len(values)]]
    captured = dict(zip([t.name for t in function.graph.inputs[len(values) :]], function.captured_inputs, strict=True))

    def fetch(*fed: tf.Tensor) -> list[tf.Tensor]:
        graph = tf.compat.v1.get_default_graph()
        given = {name: graph.capture(tensor) for name, tensor in captured.items()}
        given |= dict(zip(names, fed, strict=True))
        fetched: list[tf.Tensor] = tf.import_graph_def(graph_def, given, list(tensors), name="")
        return fetched

    # Called as a concrete function, for TensorFlow warns of functions that are traced and called only once.
    concrete = tf.function(fetch, autograph=False).get_concrete_function(*values)
    return [np.asarray(result.numpy()) for result in concrete(*values)]


def known_tensors(function: Any) -> set[str]:
    """Return the names of all tensors of the function's own graph that hold numbers or text."""
    return {
        tensor.name
        for operation in function.graph.get_operations()
        for tensor in operation.outputs
        if tensor.dtype not in (tf.resource, tf.variant)
    }


def arguments(function: Any) -> list[str]:
    """Return the names of the function's arguments in the order of its graph's inputs."""
    positional, keywords = function.structured_input_signature
    specs = [*positional, *keywords.values()]
    places = {tensor.op.name: place for place, tensor in enumerate(function.graph.inputs)}
    return sorted((spec.name for spec in specs), key=lambda name: places[name])
