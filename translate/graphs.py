"""Any opened model as an ONNX graph: the middle of every route."""

from __future__ import annotations

from typing import TYPE_CHECKING

from translate.errors import UsageError

if TYPE_CHECKING:
    import onnx_ir as ir

    from translate.models.base import Model

# The kinds of models that TensorFlow runs; told by name, so that a PyTorch model does not load TensorFlow.
TENSORFLOW_KINDS = ("Keras model", "TensorFlow SavedModel", "TensorFlow graph", "TensorFlow function", "TFLite")


def to_onnx(model: Model, notes: list[str]) -> ir.Model:
    """Return `model` as an ONNX graph that may be changed freely.

    Raises `UsageError` for what has no way to ONNX, and the errors of the exporters.
    """
    from translate.models.onnx_model import OnnxModel

    if isinstance(model, OnnxModel):
        return model.model.clone()
    if model.kind == "TFLite":
        from translate.converters.tflite_to_onnx import export as export_tflite
        from translate.models.tflite_model import TFLiteModel

        assert isinstance(model, TFLiteModel)
        return export_tflite(model)
    if model.kind in TENSORFLOW_KINDS:
        from translate.converters.tf_to_onnx import models

        return models.from_model(model)
    from translate.models.torch_model import TorchModel

    if isinstance(model, TorchModel):
        from translate.converters.torch_to_onnx import export

        return export(model, notes=notes)
    raise UsageError(f"a {model.kind} has no way to ONNX here")
