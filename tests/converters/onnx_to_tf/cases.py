"""One ONNX node, translated and run, and what it should give: shared by the tests of the lowerings."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

import onnx
import onnx_ir as ir
import tensorflow as tf

from tests.converters import nodes
from tests.converters.nodes import OPSET, Attributes, Inputs, one_node, onnxruntime, reference
from translate.converters.onnx_to_tf.export import Program
from translate.converters.passes import prepare

__all__ = [
    "OPSET",
    "Attributes",
    "Inputs",
    "check",
    "gradients",
    "one_node",
    "onnxruntime",
    "reference",
    "run",
    "translated",
]


def translated(model: onnx.ModelProto) -> Any:
    """Return `model` as a `tf.function` with the input signature that its SavedModel would have."""
    graph = ir.from_proto(model)
    prepare(graph)
    program = Program(graph)
    function = tf.function(program, input_signature=program.specs(), autograph=False)
    return function.get_concrete_function()


def run(op: str, inputs: Inputs, attributes: Attributes | None = None, opset: int = OPSET, **options: Any) -> list[Any]:
    """Translate one node, with symbolic dimensions unless `dynamic=False`, and run it; `options` as of `one_node`.

    Raises `CannotTranslateError` when the lowering refuses it.
    """
    results = translated(one_node(op, inputs, attributes, opset, **options))(*_fed(inputs, options))
    return [results[f"y{i}"].numpy() for i in range(len(results))]


def gradients(
    op: str, inputs: Inputs, attributes: Attributes | None = None, opset: int = OPSET, **options: Any
) -> list[Any]:
    """Return the gradients of the sum of the first output, one for each input that is fed; None where there is none."""
    function = translated(one_node(op, inputs, attributes, opset, **options))
    fed = _fed(inputs, options)
    with tf.GradientTape() as tape:
        tape.watch(fed)
        total = tf.reduce_sum(function(*fed)["y0"])
    return [
        None if gradient is None else tf.convert_to_tensor(gradient).numpy() for gradient in tape.gradient(total, fed)
    ]


check = functools.partial(nodes.check, run)


def _fed(inputs: Inputs, options: Mapping[str, Any]) -> list[tf.Tensor]:
    known = options.get("known", ())
    return [tf.constant(array) for i, array in enumerate(inputs) if array is not None and i not in known]
