"""Store constants transposed, so that nothing is left to transpose when the model runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import onnx_ir as ir

from translate.converters.metadata import KEEP, PERMUTATION
from translate.converters.passes.layout.edit import (
    DEFAULT,
    Perm,
    compose,
    identity,
    inverse,
    is_constant,
    is_identity,
    is_transpose,
    perm_of,
    simplify,
)
from translate.converters.weights import permuted


def fold_constant_transposes(graphs: Iterable[ir.Graph]) -> bool:
    """Store every constant that is only read through Transposes as most of them want it; say whether any was.

    One that is also read as it stands (a tied weight) is left alone: one of the two has to be transposed anyway.
    """
    graphs = list(graphs)
    changed = False
    for graph in graphs:
        for value in [*graph.initializers.values(), *(_constants(graph))]:
            changed |= is_constant(value) and _fold(value)
    if changed:
        for graph in graphs:
            simplify(graph)
    return changed


def _constants(graph: ir.Graph) -> Iterable[ir.Value]:
    return [node.outputs[0] for node in graph if node.op_type == "Constant" and node.domain == DEFAULT]


def _fold(value: ir.Value) -> bool:
    readers = [node for node, _ in value.uses()]
    if not readers or KEEP in value.metadata_props or value.is_graph_output() or not all(map(is_transpose, readers)):
        return False
    tensor = ir.convenience.get_const_tensor(value)
    if tensor is None or tensor.dtype == ir.DataType.STRING:
        return False
    perms = Counter(perm_of(node) for node in readers)
    perm = max(perms, key=lambda candidate: perms[candidate])
    if is_identity(perm):
        return False
    _store(value, tensor, perm)
    for node in readers:
        left = compose(inverse(perm), perm_of(node))
        node.attributes["perm"] = ir.AttrInt64s("perm", left)
    return True


def _store(value: ir.Value, tensor: ir.TensorProtocol, perm: Perm) -> None:
    stored = permuted(tensor, perm, value.name)
    value.shape = ir.Shape(stored.shape.numpy())
    producer = value.producer()
    if producer is not None:
        producer.attributes.clear()
        producer.attributes["value"] = ir.AttrTensor("value", stored)
        value.const_value = stored
        return
    value.const_value = stored
    already = value.metadata_props.pop(PERMUTATION, None)
    before = identity(len(perm)) if already is None else tuple(map(int, already.split(",")))
    total = compose(before, perm)
    if not is_identity(total):
        value.metadata_props[PERMUTATION] = ",".join(map(str, total))
