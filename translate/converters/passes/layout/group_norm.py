"""Put group normalisation together again where an exporter took it apart.

Before opset 21 exporters write it as Reshape to `[N, groups, -1]`, InstanceNormalization, Reshape back. The Reshapes
split the channels, so that none of it could run channels last.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from translate.converters.passes.layout.edit import DEFAULT, constant, insert_constant, producer_in

# The first version whose scale and bias have one entry for each channel; before they had one for each group.
_PER_CHANNEL = 21


def fuse_group_normalization(graph: ir.Graph) -> None:
    """Replace, in place, every such triple of nodes in `graph` by one GroupNormalization."""
    for node in list(graph):
        if node.op_type == "InstanceNormalization" and node.domain == DEFAULT:
            _fuse(graph, node)


def _fuse(graph: ir.Graph, node: ir.Node) -> None:
    grouped = node.inputs[0]
    scale, bias = constant(node.inputs[1]), constant(node.inputs[2])
    split = None if grouped is None else producer_in(graph, grouped)
    readers = node.outputs[0].consumers()
    if scale is None or bias is None or not _is_reshape(split) or len(readers) != 1 or not _is_reshape(readers[0]):
        return
    assert split is not None
    value, merged = split.inputs[0], readers[0].outputs[0]
    if value is None or node.outputs[0].is_graph_output() or not _splits_channels(split, len(scale)):
        return
    if not _same_shape(value, merged):
        return
    shape = value.shape
    assert shape is not None
    channels = shape[1]
    assert isinstance(channels, int)
    spread = [insert_constant(np.repeat(array, channels // len(scale)), node) for array in (scale, bias)]
    attributes = [ir.AttrInt64("num_groups", len(scale))]
    if "epsilon" in node.attributes:
        attributes.append(node.attributes["epsilon"])
    output = ir.Value(
        name=merged.name, type=merged.type, shape=merged.shape, metadata_props=dict(merged.metadata_props)
    )
    fused = ir.Node(
        DEFAULT,
        "GroupNormalization",
        [value, *spread],
        attributes,
        outputs=[output],
        version=_PER_CHANNEL,
        name=node.name,
        metadata_props=dict(node.metadata_props),
    )
    graph.insert_before(node, fused)
    merged.replace_all_uses_with(output, replace_graph_outputs=True)
    graph.remove([readers[0], node], safe=True)


def _is_reshape(node: ir.Node | None) -> bool:
    return node is not None and node.op_type == "Reshape" and node.domain == DEFAULT


def _splits_channels(split: ir.Node, groups: int) -> bool:
    """Say whether a Reshape turns `[N, C, *spatial]` into `[N, groups, -1]`, with `groups` a divisor of C."""
    value, target = split.inputs[0], constant(split.inputs[1])
    if value is None or value.shape is None or len(value.shape) < 3 or target is None or target.shape != (3,):
        return False
    batch, channels = value.shape[0], value.shape[1]
    copies = "allowzero" not in split.attributes or split.attributes["allowzero"].as_int() == 0
    if not (target[0] == 0 and copies) and not (isinstance(batch, int) and target[0] == batch):
        return False
    return isinstance(channels, int) and target[1] == groups and channels % groups == 0


def _same_shape(value: ir.Value, other: ir.Value) -> bool:
    """Say whether two tensors are known to have the same shape."""
    if value.shape is None or other.shape is None or len(value.shape) != len(other.shape):
        return False
    return all(
        a == b and (isinstance(a, int) or a.value is not None) for a, b in zip(value.shape, other.shape, strict=True)
    )
