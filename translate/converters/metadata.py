"""The metadata that the exporter leaves in an ONNX graph for the stages after it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import onnx_ir as ir

# On an initializer: "parameter" or "buffer", as it was in the PyTorch module.
KIND = "translate.kind"
# On an initializer from PyTorch that its state_dict does not have: a buffer that is not persistent, a bare tensor.
UNSAVED = "translate.unsaved"
# On an initializer with several names in the PyTorch module: the others, with commas between.
TIED = "translate.tied"
# On an initializer that came from PyTorch: it goes back with the axes that it had there.
KEEP = "translate.keep"
# On an output: its name in the source, which ONNX cannot call it by if an input is called the same.
NAME = "translate.name"
# On an initializer that a call of the model changes: its name. On such a model: all these names, with commas between.
UPDATED = "translate.updated"
# On the model: whether it returns one tensor ("single"), a "tuple" or a "dict".
STRUCTURE = "translate.structure"
# On what an embedding returns: the index whose row of the weight is not trained.
PADDING = "translate.padding"
# On a value that PyTorch detached: no gradient goes through it.
DETACHED = "translate.detached"
# On a value that the layout pass stored in another order of axes: that order, axis `k` being `permutation[k]` of the
# source's, as "0,2,3,1".
PERMUTATION = "translate.permutation"
# On a value that the layout pass made: the name of the source's value that it is, empty where it is none of them.
ORIGIN = "translate.origin"


def other_names(value: ir.Value) -> tuple[str, ...]:
    """Return the further names of a weight that is tied."""
    return tuple(value.metadata_props[TIED].split(",")) if TIED in value.metadata_props else ()


def source_name(value: ir.Value) -> str:
    """Return what an output is called in the source."""
    return value.metadata_props.get(NAME, str(value.name))
