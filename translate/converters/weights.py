"""Which initializers of a model are its weights, for the passes that must leave them and the targets that keep them."""

from __future__ import annotations

import onnx_ir as ir

from translate.converters.metadata import KIND


def weights(model: ir.Model) -> dict[ir.Value, bool]:
    """Return the floating-point initializers that are weights, each with whether it is trainable.

    Where the exporter told parameters from buffers, its word holds and only parameters are trainable. In any other
    model every floating-point tensor with at least one axis is taken for trained.
    """
    initializers = [
        value
        for value in model.graph.initializers.values()
        if value.const_value is not None and value.const_value.dtype.is_floating_point()
    ]
    if any(KIND in value.metadata_props for value in model.graph.initializers.values()):
        return {v: v.metadata_props[KIND] == "parameter" for v in initializers if KIND in v.metadata_props}
    return {value: True for value in initializers if value.const_value is not None and len(value.const_value.shape) > 0}
