"""Permutations of axes, and the small edits of a graph that the layout pass is made of.

A permutation is written as in ONNX's Transpose: axis `k` of the result is axis `perm[k]` of the operand.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import onnx_ir as ir

from translate.converters.metadata import ORIGIN, PERMUTATION

Perm = tuple[int, ...]
Dim = int | ir.SymbolicDim
DEFAULT = ""

# Where a value keeps which named tensor it is a permutation of, until it is named after it.
_ORIGIN = "translate.layout.origin"
_SPATIAL = {1: "w", 2: "hw", 3: "dhw"}


def identity(rank: int) -> Perm:
    """Return the permutation that moves nothing."""
    return tuple(range(rank))


def is_identity(perm: Perm) -> bool:
    """Say whether `perm` moves nothing."""
    return perm == identity(len(perm))


def inverse(perm: Perm) -> Perm:
    """Return the permutation that undoes `perm`."""
    return tuple(perm.index(axis) for axis in range(len(perm)))


def compose(first: Perm, second: Perm) -> Perm:
    """Return the permutation that does `first`, then `second`."""
    return tuple(first[axis] for axis in second)


def to_channels_last(rank: int) -> Perm:
    """Return the permutation from `[N, C, *spatial]` to `[N, *spatial, C]`."""
    return (0, *range(2, rank), 1)


def rank_of(value: ir.Value | None) -> int | None:
    """Return the rank of `value`, or None when it is unknown."""
    return None if value is None or value.shape is None else len(value.shape)


def dims_of(value: ir.Value) -> list[Dim]:
    """Return the dimensions of `value`, whose rank is known."""
    assert value.shape is not None
    return list(value.shape)


def is_transpose(node: ir.Node | None) -> bool:
    """Say whether `node` is ONNX's Transpose with its permutation spelled out or derivable."""
    return (
        node is not None
        and node.op_type == "Transpose"
        and node.domain == DEFAULT
        and ("perm" in node.attributes or rank_of(node.inputs[0]) is not None)
    )


def perm_of(node: ir.Node) -> Perm:
    """Return the permutation of a Transpose."""
    attribute = node.attributes.get("perm")
    if attribute is not None:
        return tuple(attribute.as_ints())
    rank = rank_of(node.inputs[0])
    assert rank is not None
    return tuple(reversed(range(rank)))


def constant(value: ir.Value | None) -> np.ndarray[Any, Any] | None:
    """Return the value of a constant, or None when it is not constant."""
    tensor = None if value is None else _constant_tensor(value)
    return None if tensor is None else tensor.numpy()


def is_constant(value: ir.Value | None) -> bool:
    """Say whether `value` is an initializer, a Constant, or one of these with its axes moved."""
    while value is not None:
        if _constant_tensor(value) is not None:
            return True
        node = value.producer()
        if node is None or node.domain != DEFAULT or node.op_type not in ("Transpose", "Unsqueeze"):
            return False
        value = node.inputs[0]
    return False


def is_foldable(value: ir.Value) -> bool:
    """Say whether `value` is a constant with one reader, which can be stored in whatever order that one wants.

    Transposing any other constant is work when the model runs.
    """
    while len(value.uses()) == 1 and not value.is_graph_output():
        if _constant_tensor(value) is not None:
            return True
        node = value.producer()
        if node is None or node.domain != DEFAULT or node.op_type not in ("Transpose", "Unsqueeze"):
            return False
        source = node.inputs[0]
        assert source is not None
        value = source
    return False


def _constant_tensor(value: ir.Value) -> ir.TensorProtocol | None:
    # An initializer that is also an input of the graph is only a default that a caller may override.
    return None if value.is_graph_input() else ir.convenience.get_const_tensor(value)


def producer_in(graph: ir.Graph, value: ir.Value) -> ir.Node | None:
    """Return the node of `graph` itself, not of a graph around it, that computes `value`."""
    node = value.producer()
    return node if node is not None and node.graph is graph else None


def permuted_shape(shape: ir.Shape | None, perm: Perm) -> ir.Shape | None:
    """Return `shape` with its dimensions in the order of `perm`."""
    return None if shape is None else ir.Shape([shape[axis] for axis in perm])


def insert(
    op_type: str, inputs: Sequence[ir.Value], attributes: Mapping[str, Any], before: ir.Node, *, shape: ir.Shape | None
) -> ir.Value:
    """Insert a node of the default domain before another one and return its output, typed like its first input."""
    source = inputs[0]
    output = ir.Value(type=source.type, shape=shape)
    _name_after(output, before, op_type.lower())
    metadata = dict(before.metadata_props)
    node = ir.node(op_type, list(inputs), attributes, outputs=[output], metadata_props=metadata)
    graph = before.graph
    assert graph is not None
    graph.insert_before(before, node)
    return output


def insert_constant(array: np.ndarray[Any, Any], before: ir.Node) -> ir.Value:
    """Add `array` as a constant of the graph that `before` is in."""
    tensor = ir.tensor(array)
    output = ir.Value(type=ir.TensorType(tensor.dtype), shape=ir.Shape(array.shape), const_value=tensor)
    _name_after(output, before, "constant")
    node = ir.node("Constant", [], {"value": tensor}, outputs=[output])
    graph = before.graph
    assert graph is not None
    graph.insert_before(before, node)
    return output


def transposed(value: ir.Value, perm: Perm, before: ir.Node) -> ir.Value:
    """Return `value` transposed for `before` to read, through as few Transposes as possible."""
    while (node := value.producer()) is not None and is_transpose(node):
        perm = compose(perm_of(node), perm)
        source = node.inputs[0]
        assert source is not None
        value = source
    if is_identity(perm):
        return value
    output = insert("Transpose", [value], {"perm": perm}, before, shape=permuted_shape(value.shape, perm))
    _note_origin(output, value, perm)
    return output


def move_output(node: ir.Node, index: int, perm: Perm) -> None:
    """Say that output `index` of `node` is now stored permuted: who reads it reads a Transpose of it instead."""
    value = node.outputs[index]
    undone = ir.Value(name=value.name, type=value.type, shape=value.shape, metadata_props=dict(value.metadata_props))
    _note_origin(undone, value, identity(len(perm)))
    _note_origin(value, value, perm)
    value.replace_all_uses_with(undone, replace_graph_outputs=True)
    value.name = None
    value.shape = permuted_shape(value.shape, perm)
    attributes = {"perm": inverse(perm)}
    transpose = ir.node("Transpose", [value], attributes, outputs=[undone], metadata_props=dict(node.metadata_props))
    graph = node.graph
    assert graph is not None
    graph.insert_after(node, transpose)
    # The graph must know the name as well, to give out another one next time.
    value.name = f"{undone.name}_{suffix(perm)}"


def simplify(graph: ir.Graph) -> bool:
    """Merge Transposes of Transposes and equal ones, and drop those that do nothing; say whether any was."""
    changed = False
    seen: dict[tuple[ir.Value, Perm], ir.Value] = {}
    for node in list(graph):
        if not is_transpose(node):
            continue
        source, output = node.inputs[0], node.outputs[0]
        assert source is not None
        perm = perm_of(node)
        while (producer := source.producer()) is not None and is_transpose(producer):
            perm = compose(perm_of(producer), perm)
            source = producer.inputs[0]
            assert source is not None
        if source is not node.inputs[0]:
            node.replace_input_with(0, source)
            node.attributes["perm"] = ir.AttrInt64s("perm", perm)
            changed = True
        same = source if is_identity(perm) else seen.setdefault((source, perm), output)
        if same is not output:
            changed |= _replace(graph, output, same)
    return _drop_unused_transposes(graph) or changed


def _replace(graph: ir.Graph, value: ir.Value, same: ir.Value) -> bool:
    """Let everything that reads `value` read `same`; say whether that left nothing that needs `value`."""
    if not value.is_graph_output():
        name, perm = value.meta.get(_ORIGIN, (value.name, ()))
        _, same_perm = same.meta.get(_ORIGIN, (None, ()))
        if is_identity(perm) and not is_identity(same_perm):
            # The source has a name for this very tensor.
            same.meta[_ORIGIN] = (name, identity(len(same_perm)))
        value.replace_all_uses_with(same)
        return True
    node = producer_in(graph, same)
    if node is None or same.is_graph_output():
        # An output cannot be an input, a constant or another output: it needs a node of its own.
        owner = value.producer()
        assert owner is not None
        if is_transpose(owner) and is_identity(perm_of(owner)):
            owner.op_type = "Identity"
            owner.attributes.clear()
            return True
        return False
    name = value.name
    value.name = None
    same.name = name
    same.metadata_props.update(value.metadata_props)
    same.meta.pop(_ORIGIN, None)
    value.replace_all_uses_with(same, replace_graph_outputs=True)
    return True


def _drop_unused_transposes(graph: ir.Graph) -> bool:
    changed = False
    for node in reversed(list(graph)):
        if is_transpose(node) and not node.outputs[0].uses() and not node.outputs[0].is_graph_output():
            graph.remove(node, safe=True)
            changed = True
    return changed


def moves_only_ones(shape: ir.Shape | None, perm: Perm) -> bool:
    """Say whether transposing a tensor of `shape` only moves axes of size 1, so that a Reshape can do it."""
    if shape is None:
        return False
    kept = [axis for axis in perm if shape[axis] != 1]
    return kept == sorted(kept) and reshape_target(list(shape), [shape[axis] for axis in perm]) is not None


def reshape_target(source: Sequence[Dim], target: Sequence[Dim]) -> list[int] | None:
    """Return what to hand to Reshape, with allowzero=0, to turn `source` into `target`; None if it cannot be said."""
    entries: list[int | None] = []
    for index, dim in enumerate(target):
        if isinstance(dim, int):
            entries.append(dim if dim != 0 else None)
        elif index < len(source) and dim.value is not None and source[index] == dim:
            entries.append(0)
        else:
            entries.append(None)
    if entries.count(None) > 1 or any(dim == 0 for dim in (*source, *target)):
        return None
    return [-1 if entry is None else entry for entry in entries]


def as_reshape(node: ir.Node) -> bool:
    """Turn a Transpose that only moves axes of size 1 into a Reshape; say whether it was one."""
    value = node.inputs[0]
    if value is None or is_constant(value) or not moves_only_ones(value.shape, perm_of(node)):
        return False
    dims = dims_of(value)
    target = reshape_target(dims, [dims[axis] for axis in perm_of(node)])
    node.op_type = "Reshape"
    node.attributes.clear()
    node.resize_inputs(2)
    node.replace_input_with(1, insert_constant(np.array(target, np.int64), node))
    return True


def suffix(perm: Perm) -> str:
    """Name a permutation: `nhwc`, `nwc`, `ndhwc`, `nchw` where it is one of these, else `perm021`."""
    spatial = _SPATIAL.get(len(perm) - 2)
    if spatial is not None and perm == to_channels_last(len(perm)):
        return f"n{spatial}c"
    if spatial is not None and perm == inverse(to_channels_last(len(perm))):
        return f"nc{spatial}"
    return "perm" + "".join(map(str, perm))


def _note_origin(value: ir.Value, source: ir.Value, perm: Perm) -> None:
    name, already = source.meta.get(_ORIGIN, (source.name, identity(len(perm))))
    # What is made for another value is not that value, in whatever order.
    value.meta[_ORIGIN] = (name, compose(already, perm) if already else ())


def _name_after(value: ir.Value, node: ir.Node, what: str) -> None:
    name, _ = node.outputs[0].meta.get(_ORIGIN, (node.outputs[0].name, ()))
    value.meta[_ORIGIN] = (f"{name}_{what}", ())


def rename_moved_values(graphs: Iterable[ir.Graph]) -> None:
    """Name every value that the pass made: after the tensor that it is a permutation of, or that it is made for.

    Its metadata tells the name of that tensor and the permutation. No name is used twice in all of `graphs`, since a
    subgraph must not hide a name of the graph around it.
    """
    graphs = list(graphs)
    taken: set[str | None] = set()
    moved: list[ir.Value] = []
    for graph in graphs:
        values = [*graph.inputs, *graph.initializers.values(), *(value for node in graph for value in node.outputs)]
        for value in values:
            if _ORIGIN in value.meta and not value.is_graph_output():
                moved.append(value)
            else:
                value.meta.pop(_ORIGIN, None)
                taken.add(value.name)
    # The tensor itself has the first right to its name.
    moved.sort(key=lambda value: not is_identity(value.meta[_ORIGIN][1]))
    for value in moved:
        value.name = None
    for value in moved:
        name, perm = value.meta.pop(_ORIGIN)
        _remember(value, name, perm)
        wanted = name if is_identity(perm) else f"{name}_{suffix(perm)}"
        free, count = wanted, 1
        while free in taken:
            free, count = f"{wanted}_{count}", count + 1
        taken.add(free)
        value.name = free


def _remember(value: ir.Value, name: str | None, perm: Perm) -> None:
    # What a value is made for is not the value itself.
    value.metadata_props[ORIGIN] = name or "" if perm else ""
    value.metadata_props.pop(PERMUTATION, None)
    if not is_identity(perm):
        value.metadata_props[PERMUTATION] = ",".join(map(str, perm))
