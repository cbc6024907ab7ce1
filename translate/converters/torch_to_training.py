"""PyTorch in train mode → ONNX: what a call computes, and the buffers that it leaves changed, as outputs."""

from __future__ import annotations

import onnx_ir as ir

from translate.converters.metadata import KIND, STRUCTURE, UNSAVED, UPDATED
from translate.converters.torch_to_onnx import export, state_of
from translate.converters.torch_training import exportable
from translate.errors import ExportError
from translate.models.torch_arrays import to_array
from translate.models.training_mode import TrainingModel


def export_training(model: TrainingModel, inference: ir.Model) -> ir.Model:
    """Export a model in train mode, beside `inference`, the same module's graph in eval mode.

    The new values of buffers are outputs, called by `update_name`. `translate.updated` names the buffers, and marks
    them in both graphs.
    Raises `ExportError` for what can be exported in eval mode only.
    """
    notes: list[str] = []
    try:
        with exportable(model.flat.owner):
            graph = export(model, notes=notes)
    except ExportError as error:
        raise ExportError(f"in train mode, {error}") from error
    if notes:
        # A trace keeps no buffers that are written to.
        raise ExportError(f"in train mode, torch.export refused the model: {'; '.join(notes)}")
    graph.metadata_props[STRUCTURE] = model.structure
    graph.metadata_props[UPDATED] = ",".join(model.updates)
    buffers, saved = dict(model.flat.owner.named_buffers()), state_of(model)
    for name in model.updates:
        if name not in graph.graph.initializers:
            # It is written to but not read.
            array = to_array(buffers[name])
            tensor = ir.tensor(array, name=name)
            own = ir.Value(name=name, const_value=tensor, type=ir.TensorType(tensor.dtype), shape=ir.Shape(array.shape))
            graph.graph.register_initializer(own)
            own.metadata_props[KIND] = "buffer"
            if name not in saved:
                own.metadata_props[UNSAVED] = "yes"
        for initializers in (graph.graph.initializers, inference.graph.initializers):
            if name in initializers:
                initializers[name].metadata_props[UPDATED] = name
    return graph
