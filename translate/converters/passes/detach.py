"""Keep what PyTorch detached: no gradient goes through it."""

from __future__ import annotations

import onnx_ir as ir

from translate.converters.metadata import DETACHED
from translate.converters.passes.layout import FUSED


def keep_detached(model: ir.Model) -> None:
    """Turn, in place, each Identity that the exporter marked with `translate.detached` into a StopGradient of our own.

    It has to run before anything drops Identities.
    """
    for node in model.graph.all_nodes():
        if DETACHED in node.outputs[0].metadata_props and (node.domain, node.op_type) == ("", "Identity"):
            node.domain, node.op_type, node.version = FUSED, "StopGradient", 1
            model.opset_imports[FUSED] = 1
