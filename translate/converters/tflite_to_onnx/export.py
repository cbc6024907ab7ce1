"""A TFLite file as an ONNX model."""

from __future__ import annotations

from typing import TYPE_CHECKING

import onnx_ir as ir

from translate.converters.tf_to_onnx.export import write
from translate.converters.tflite_to_onnx.lowerings import TABLE
from translate.converters.tflite_to_onnx.source import DOMAIN, read
from translate.models.tflite_file import interface, unpack
from translate.models.tflite_reals import in_real_numbers

if TYPE_CHECKING:
    from translate.models.tflite_model import TFLiteModel


def export(model: TFLiteModel) -> ir.Model:
    """Export an opened TFLite file to ONNX, in memory, at opset 20.

    Its floating-point constants with an axis are initializers with "parameter" in their `translate.kind` metadata:
    quantised ones and those of float16 as the real numbers that they stand for, in float32. What is computed and
    quantised is rounded to its grid. Raises `CannotTranslateError` naming every operator that has no lowering.
    """
    file = unpack(model.content())
    in_real_numbers(file)
    index, inputs, outputs = interface(file, model.signature)
    graph, values = read(file, index, [outputs[spec.name] for spec in model.outputs])
    ordered = [values[inputs[spec.name]] for spec in model.inputs]
    structure = "single" if len(model.outputs) == 1 else "dict"
    return write(graph, ordered, model.inputs, [spec.name for spec in model.outputs], TABLE, DOMAIN, structure)
