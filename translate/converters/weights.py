"""Which initializers of a model are its weights, for the passes that must leave them and the targets that keep them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from translate.converters.metadata import KIND, UPDATED

# Inputs that say how an operator works: numbers that nobody trains.
_SETTINGS = {("Resize", 1), ("Resize", 2), ("Upsample", 1), ("NonMaxSuppression", 3), ("NonMaxSuppression", 4)}


# What is larger is made again whenever it is read.
_SMALL_BYTES = 2**20


def weights(model: ir.Model) -> dict[ir.Value, bool]:
    """Return the initializers that are weights, each with whether it is trainable.

    They are floating-point, or changed by a call of the model. Where the exporter told parameters from buffers, its
    word holds and only parameters are trainable. In any other model every floating-point tensor with at least one
    axis is taken for trained, but for scales of sizes and the like.
    """
    initializers = [
        value
        for value in model.graph.initializers.values()
        if value.const_value is not None
        and (value.const_value.dtype.is_floating_point() or UPDATED in value.metadata_props)
    ]
    if any(KIND in value.metadata_props for value in model.graph.initializers.values()):
        return {v: v.metadata_props[KIND] == "parameter" for v in initializers if KIND in v.metadata_props}
    return {
        value: True
        for value in initializers
        if value.const_value is not None and len(value.const_value.shape) > 0 and not _is_setting(value)
    }


def permuted(tensor: ir.TensorProtocol, perm: Sequence[int], name: str | None) -> ir.LazyTensor:
    """Return `tensor` with its axes in the order of `perm`, made when it is read.

    A graph that held all its weights in another order would be a second copy of them.
    """
    sizes = tensor.shape.numpy()

    def permute() -> ir.TensorProtocol:
        return ir.Tensor(np.ascontiguousarray(tensor.numpy().transpose(perm)), dtype=tensor.dtype, name=name)

    shape = ir.Shape([sizes[axis] for axis in perm])
    return ir.LazyTensor(permute, tensor.dtype, shape, cache=tensor.nbytes <= _SMALL_BYTES, name=name)


def _is_setting(value: ir.Value) -> bool:
    uses = value.uses()
    return bool(uses) and all((node.op_type, position) in _SETTINGS for node, position in uses)
