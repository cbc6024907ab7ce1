"""Give convolutions the bias that is added after them, so that they are one layer."""

from __future__ import annotations

import onnx_ir as ir
import onnx_ir.passes.common as common

from translate.converters.weights import weights

_CONVOLUTIONS = ("Conv", "ConvTranspose")
# They only add or remove axes of size one here: the numbers, and their order, stay.
_RESHAPES = ("Reshape", "Squeeze", "Unsqueeze")


def join_biases(model: ir.Model) -> None:
    """Replace, in place, each convolution `[N, C, *spatial]` and the Add of a weight `[C]` after it by one node."""
    trained = set(weights(model))
    for graph in (model.graph, *model.graph.subgraphs()):
        for node in list(graph):
            if node.domain == "" and node.op_type in _CONVOLUTIONS and len(node.inputs) == 2:
                _join(graph, node, trained)
    common.RemoveUnusedNodesPass()(model)


def _join(graph: ir.Graph, conv: ir.Node, trained: set[ir.Value]) -> None:
    result = conv.outputs[0]
    uses = list(result.uses())
    if len(uses) != 1 or result.is_graph_output() or result.shape is None:
        return
    add = uses[0].node
    if (add.domain, add.op_type) != ("", "Add"):
        return
    other = add.inputs[1] if add.inputs[0] is result else add.inputs[0]
    bias = _vector(other, len(result.shape), trained)
    if bias is None or bias.shape is None or result.shape[1] != bias.shape[0]:
        return
    joined = ir.Node(
        "",
        conv.op_type,
        [*conv.inputs, bias],
        list(conv.attributes.values()),
        name=conv.name,
        metadata_props=dict(conv.metadata_props),
    )
    old, new = add.outputs[0], joined.outputs[0]
    graph.insert_before(add, joined)
    new.name, new.type, new.shape = old.name, old.type, old.shape
    new.metadata_props.update(old.metadata_props)
    ir.convenience.replace_all_uses_with(old, new, replace_graph_outputs=True)
    graph.remove([add, conv], safe=True)


def _vector(value: ir.Value | None, axes: int, trained: set[ir.Value]) -> ir.Value | None:
    """Return the weight `[C]` that `value`, `[C, 1...]` or `[1, C, 1...]`, is a reshape of."""
    if value is None or value.shape is None or not value.shape.is_static():
        return None
    sizes = [1] * (axes - len(value.shape)) + [int(dim) for dim in value.shape]  # type: ignore[arg-type]  # static
    if len(sizes) != axes or any(size != 1 for axis, size in enumerate(sizes) if axis != 1):
        return None
    while value is not None and value not in trained:
        node = value.producer()
        if node is None or node.domain != "" or node.op_type not in _RESHAPES:
            return None
        value = node.inputs[0]
    if value is None or value.shape is None or [*value.shape] != [sizes[1]]:
        return None
    return value
