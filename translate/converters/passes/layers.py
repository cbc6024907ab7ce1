"""Find the layers of a graph that are spread over several nodes: a product with a weight and the bias after it.

PyTorch's exporter writes a linear layer on more than two axes as Transpose of its weight, MatMul, Add; Keras models
come with MatMul, Add. Both become one node `Linear` of a private domain. The weights themselves stay as they are.
"""

from __future__ import annotations

import onnx_ir as ir
import onnx_ir.passes.common as common

from translate.converters.weights import weights

# Operators that ONNX itself has not:
# Linear(x [..., in], weight [in, out] or, with transB=1, [out, in], bias [out] or none) = x · weight + bias [..., out].
LAYERS = "translate.layers"


def find_layers(model: ir.Model) -> None:
    """Replace, in place, each MatMul by a weight, and the Add of a bias after it, by one Linear."""
    trained = set(weights(model))
    found = False
    for graph in (model.graph, *model.graph.subgraphs()):
        for node in list(graph):
            if (node.domain, node.op_type) == ("", "MatMul"):
                found |= _fuse(graph, node, trained)
    if found:
        model.opset_imports[LAYERS] = 1
        common.RemoveUnusedNodesPass()(model)


def drop_reshapes(model: ir.Model) -> None:
    """Bypass, in place, each Reshape to the shape that its input has, symbolic sizes included."""
    for graph in (model.graph, *model.graph.subgraphs()):
        for node in list(graph):
            if (node.domain, node.op_type) == ("", "Reshape") and _keeps_shape(node):
                before = node.inputs[0]
                assert before is not None
                ir.convenience.replace_all_uses_with(node.outputs[0], before)
    common.RemoveUnusedNodesPass()(model)


def _keeps_shape(node: ir.Node) -> bool:
    before, after = node.inputs[0], node.outputs[0]
    if before is None or before.shape is None or after.shape is None or after.is_graph_output():
        return False
    known = all(isinstance(dim, int) or dim.value is not None for dim in after.shape)
    return known and list(before.shape) == list(after.shape)


def _fuse(graph: ir.Graph, node: ir.Node, trained: set[ir.Value]) -> bool:
    x, factor = node.inputs
    weight, transposed = _weight(factor, trained)
    if x is None or weight is None or x in trained:
        return False
    last, bias = node, None
    add = _only_reader(node.outputs[0])
    if add is not None and (add.domain, add.op_type) == ("", "Add"):
        other = add.inputs[1] if add.inputs[0] is node.outputs[0] else add.inputs[0]
        assert weight.const_value is not None
        size = weight.const_value.shape[0 if transposed else 1]
        if other in trained and other.const_value is not None and list(other.const_value.shape) == [size]:
            last, bias = add, other
    linear = ir.Node(
        LAYERS,
        "Linear",
        [x, weight] if bias is None else [x, weight, bias],
        [ir.AttrInt64("transB", int(transposed))],
        name=node.name,
        metadata_props=dict(node.metadata_props),
    )
    old, new = last.outputs[0], linear.outputs[0]
    graph.insert_before(last, linear)
    new.name, new.type, new.shape = old.name, old.type, old.shape
    new.metadata_props.update(old.metadata_props)
    ir.convenience.replace_all_uses_with(old, new, replace_graph_outputs=True)
    graph.remove(last, safe=True)
    if last is not node:
        graph.remove(node, safe=True)
    return True


def _weight(value: ir.Value | None, trained: set[ir.Value]) -> tuple[ir.Value | None, bool]:
    """Return the weight, of two axes, that `value` is, and whether it is its transpose."""
    node = None if value is None else value.producer()
    transposed = node is not None and (node.domain, node.op_type) == ("", "Transpose")
    source = node.inputs[0] if node is not None and transposed else value
    if source is None or source not in trained or source.const_value is None or len(source.const_value.shape) != 2:
        return None, False
    return source, transposed


def _only_reader(value: ir.Value) -> ir.Node | None:
    uses = list(value.uses())
    return uses[0].node if len(uses) == 1 and not value.is_graph_output() else None
