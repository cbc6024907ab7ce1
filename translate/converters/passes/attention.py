"""Find attention that is written as arithmetic: softmax(q · kᵀ · scale + mask) · v.

It becomes the operator Attention of the private domain `LAYERS`. The result is equal but for rounding, also for a query
whose keys are all masked: where a mask would make that NaN, or its numbers are not known, the arithmetic stays.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir
import onnx_ir.passes.common as common

from translate.converters.passes.layers import LAYERS

# Added to a score, a number below this leaves nothing of it in float32, so that adding is as good as replacing.
_OVERWHELMING = -1e20
# What only moves the elements of a mask, or says them in another dtype.
_MOVES = ("Unsqueeze", "Squeeze", "Expand", "Reshape", "Slice", "Cast", "Identity", "Transpose")


def find_attention(model: ir.Model) -> None:
    """Replace, in place, each softmax between two products by one Attention.

    Attention(q, k, v, mask or none) takes its tensors in any order of axes: `query_order`, `key_order` and
    `value_order` bring them to [N, heads, Q or K, D], `result_order` the result from there. `mask` is added to the
    scores.
    """
    found = False
    for graph in (model.graph, *model.graph.subgraphs()):
        for node in list(graph):
            if (node.domain, node.op_type) == ("", "Softmax"):
                found |= _fuse(graph, node)
    if found:
        model.opset_imports[LAYERS] = 1
        common.RemoveUnusedNodesPass()(model)


@dataclass(frozen=True)
class _Product:
    """Two tensors and the orders of their axes that bring them to [N, heads, rows, columns]; so for the result."""

    left: ir.Value
    right: ir.Value
    left_order: Sequence[int]
    right_order: Sequence[int]
    result_order: Sequence[int]


def _fuse(graph: ir.Graph, softmax: ir.Node) -> bool:
    weights, scores = softmax.outputs[0], softmax.inputs[0]
    last = _only_reader(weights)
    if last is None or scores is None or softmax.attributes.get_int("axis", -1) not in (-1, 3):
        return False
    after = _product(last, transposed=False)
    mask = _mask(scores)
    scaled = scores if mask is None else mask.scores
    product, scale = _scaled(scaled)
    before = None if product is None else _product(product, transposed=True)
    if (
        product is None
        or after is None
        or before is None
        or after.left is not weights
        or list(before.result_order) != [0, 1, 2, 3]
    ):
        return False
    if list(after.left_order) != [0, 1, 2, 3]:
        return False
    for value in (scaled, product.outputs[0]):
        _answer_for(value, before)
    inputs: list[ir.Value | None] = [before.left, before.right, after.right]
    if mask is not None:
        inputs.append(mask.written(graph, last))
    orders = {
        "query_order": before.left_order,
        "key_order": before.right_order,
        "value_order": after.right_order,
        "result_order": after.result_order,
    }
    attributes = [ir.AttrInt64s(name, list(order)) for name, order in orders.items()]
    attention = ir.Node(
        LAYERS,
        "Attention",
        inputs,
        [*attributes, ir.AttrFloat32("scale", scale)],
        name=softmax.name,
        metadata_props=dict(softmax.metadata_props),
    )
    old, new = last.outputs[0], attention.outputs[0]
    graph.insert_before(last, attention)
    new.name, new.type, new.shape = old.name, old.type, old.shape
    new.metadata_props.update(old.metadata_props)
    ir.convenience.replace_all_uses_with(old, new, replace_graph_outputs=True)
    graph.remove(last, safe=True)
    return True


def _answer_for(scores: ir.Value, product: _Product) -> None:
    """Let those that ask for the shape of the scores, as masks do, ask for that of the queries and keys."""
    for user, _ in list(scores.uses()):
        if user.op_type == "Shape" and not user.attributes and user.graph is not None:
            queries, keys = product.left_order, product.right_order
            places = [*((product.left, axis) for axis in queries[:3]), (product.right, keys[2])]
            parts = [ir.node("Shape", [value], {"start": axis, "end": axis + 1}) for value, axis in places]
            whole = ir.node("Concat", [part.outputs[0] for part in parts], {"axis": 0})
            user.graph.insert_before(user, [*parts, whole])
            old, new = user.outputs[0], whole.outputs[0]
            new.type, new.shape = old.type, old.shape
            ir.convenience.replace_all_uses_with(old, new)
            user.graph.remove(user, safe=True)


def _product(node: ir.Node, *, transposed: bool) -> _Product | None:
    """Return what a node multiplies, matrices in the last two axes; the second `transposed`, [columns, rows]."""
    left, right = node.inputs[0], node.inputs[1] if len(node.inputs) == 2 else None
    if left is None or right is None or node.domain:
        return None
    if node.op_type == "Einsum":
        return _einsum(node, left, right, transposed)
    if node.op_type != "MatMul" or _rank(left) != 4 or _rank(right) != 4:
        return None
    order = [0, 1, 2, 3]
    if transposed:
        order = [0, 1, 3, 2]
        turned = right.producer()
        if turned is not None and (turned.domain, turned.op_type) == ("", "Transpose") and turned.inputs[0] is not None:
            known = list(turned.attributes.get_ints("perm", []))
            right, order = turned.inputs[0], [known[axis] for axis in order]
    return _Product(left, right, [0, 1, 2, 3], order, [0, 1, 2, 3])


def _einsum(node: ir.Node, left: ir.Value, right: ir.Value, transposed: bool) -> _Product | None:
    terms, _, result = node.attributes["equation"].as_string().replace(" ", "").partition("->")
    first, _, second = terms.partition(",")
    if any(len(term) != 4 or len(set(term)) != 4 or not term.isalpha() for term in (first, second, result)):
        return None
    shared, summed = set(first) & set(second) & set(result), (set(first) & set(second)) - set(result)
    rows, columns = set(first) - set(second), set(second) - set(first)
    if len(shared) != 2 or len(summed) != 1 or len(rows) != 1 or not columns <= set(result):
        return None
    row, column, inner = min(rows), min(columns), min(summed)
    # The batch comes before the heads; of the scores, the softmax says which axis is which.
    batch, heads = sorted(shared, key=result.index if transposed else first.index)
    matrices = (batch, heads, row, inner), (batch, heads, *((column, inner) if transposed else (inner, column)))
    product = (batch, heads, row, column)
    return _Product(
        left,
        right,
        [first.index(axis) for axis in matrices[0]],
        [second.index(axis) for axis in matrices[1]],
        [product.index(axis) for axis in result],
    )


def _scaled(value: ir.Value) -> tuple[ir.Node | None, float]:
    """Return the node that makes `value` but for a constant factor, and that factor."""
    node = value.producer()
    if node is None or not _is_read_once(value):
        return None, 1.0
    if node.domain or node.op_type not in ("Mul", "Div"):
        return node, 1.0
    pairs = [(node.inputs[0], node.inputs[1])]
    pairs += [(node.inputs[1], node.inputs[0])] if node.op_type == "Mul" else []
    for other, number in pairs:
        factor = _scalar(number)
        if factor and other is not None and _is_read_once(other):
            return other.producer(), 1 / factor if node.op_type == "Div" else factor
    return None, 1.0


@dataclass(frozen=True)
class _Mask:
    """Scores, and what masks them: numbers to add, or where they stay and what replaces them elsewhere."""

    scores: ir.Value
    added: ir.Value
    fill: ir.Value | None = None

    def written(self, graph: ir.Graph, before: ir.Node) -> ir.Value:
        """Return what to add; where that has to be written, into `graph`, before a node of it."""
        if self.fill is None:
            return self.added
        assert self.fill.dtype is not None
        zero = ir.node("Constant", [], {"value": ir.tensor(np.zeros([], self.fill.dtype.numpy()))})
        chosen = ir.node("Where", [_without_broadcast(self.added), zero.outputs[0], self.fill])
        graph.insert_before(before, [zero, chosen])
        return chosen.outputs[0]


def _without_broadcast(kept: ir.Value) -> ir.Value:
    """Return a condition without the `true` of the shape of the scores that Keras joins it with."""
    node = kept.producer()
    if node is None or node.domain or node.op_type != "And":
        return kept
    for one, other in (node.inputs, reversed(node.inputs)):
        wide = None if one is None else one.producer()
        if wide is not None and wide.op_type == "Expand" and other is not None and _rank(other) == 4:
            always = None if wide.inputs[0] is None else wide.inputs[0].const_value
            if always is not None and always.numpy().all():
                return other
    return kept


def _mask(value: ir.Value) -> _Mask | None:
    node = value.producer()
    if node is None or node.domain or _only_reader(value) is None:
        return None
    if node.op_type == "Where":
        kept, scores, fill = node.inputs
        number = _scalar(fill)
        if kept is not None and scores is not None and number is not None and np.isfinite(number):
            return _Mask(scores, kept, fill) if number <= _OVERWHELMING else None
    if node.op_type == "Add":
        for scores, added in (node.inputs, reversed(node.inputs)):
            if scores is not None and added is not None and _is_product(scores) and _is_finite(added):
                return _Mask(scores, added)
    return None


def _is_product(value: ir.Value) -> bool:
    node, _ = _scaled(value)
    return node is not None and node.op_type in ("MatMul", "Einsum")


def _is_finite(value: ir.Value) -> bool:
    """Say whether a mask is known to hold no infinite number: constants, a choice of two, or a multiple of Booleans."""
    if value.const_value is not None:
        return bool(np.isfinite(value.const_value.numpy()).all())
    node = value.producer()
    if node is None or node.domain or not node.inputs or node.inputs[0] is None:
        return False
    if node.op_type == "Cast" and node.inputs[0].dtype in (ir.DataType.BOOL, ir.DataType.INT32, ir.DataType.INT64):
        return True
    if node.op_type in _MOVES:
        return _is_finite(node.inputs[0])
    if node.op_type in ("Where", "Mul", "Sub", "Add"):
        numbers = node.inputs[1:] if node.op_type == "Where" else node.inputs
        return all(number is not None and _is_finite(number) for number in numbers)
    return False


def _scalar(value: ir.Value | None) -> float | None:
    known = None if value is None else value.const_value
    return float(known.numpy().item()) if known is not None and known.size == 1 else None


def _rank(value: ir.Value) -> int | None:
    return None if value.shape is None else len(value.shape)


def _is_read_once(value: ir.Value) -> bool:
    """Say whether one node reads a value, besides those that ask for its shape."""
    readers = [node for node, _ in value.uses() if node.op_type != "Shape" or node.attributes]
    return len(readers) == 1 and not value.is_graph_output()


def _only_reader(value: ir.Value) -> ir.Node | None:
    uses = list(value.uses())
    return uses[0].node if len(uses) == 1 and not value.is_graph_output() else None
