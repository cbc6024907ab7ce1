"""Keep what an embedding of PyTorch says about training: the row of its padding is not trained."""

from __future__ import annotations

import onnx_ir as ir

from translate.converters.metadata import PADDING
from translate.converters.passes.layout import FUSED


def keep_padding(model: ir.Model) -> None:
    """Turn, in place, each Gather that the exporter marked with `translate.padding` into an Embedding of our own.

    Embedding(weight, indices) computes what Gather does; where `indices` are `padding_idx` the weight has no gradient.
    """
    for node in model.graph.all_nodes():
        padding = node.outputs[0].metadata_props.get(PADDING)
        if padding is not None and (node.domain, node.op_type) == ("", "Gather"):
            node.domain, node.op_type, node.version = FUSED, "Embedding", 1
            node.attributes["padding_idx"] = ir.AttrInt64("padding_idx", int(padding))
            model.opset_imports[FUSED] = 1
