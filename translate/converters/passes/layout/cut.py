"""Choose which part of a graph computes on permuted tensors, so that as few transposes as possible remain.

Starting at one Transpose, the rules tell how each node around it would compute if it were on the other side of that
Transpose. Each of these nodes can then be moved or left; wherever a moved node meets one that is not, a
transpose is needed, and wherever a moved node meets the far side of a Transpose, that one is not. Choosing the
nodes with the least cost is a minimum cut (two labels, costs between neighbours), which is found exactly.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

import onnx_ir as ir

from translate.converters.passes.layout.edit import (
    Perm,
    compose,
    inverse,
    is_constant,
    is_foldable,
    is_identity,
    is_transpose,
    moves_only_ones,
    perm_of,
    permuted_shape,
    producer_in,
    simplify,
)
from translate.converters.passes.layout.flow import minimum_cut
from translate.converters.passes.layout.rules import Move, Tensor, apply_move, find_move

# One transpose more or less outweighs all of their sizes; among equals the smaller tensors are transposed.
_TRANSPOSE = 1 << 48
# What a dimension counts whose size is not known.
_TYPICAL_SIZE = 32

# Labels that do not depend on the choice. A label is otherwise the node that decides it.
_MOVED = "moved"
_LEFT = "left"
Label = ir.Node | str


@dataclass
class _Region:
    """What one Transpose reaches: how each value would be stored and each node compute on the other side of it.

    `from_output` are the Transposes that the region touches through their output, `from_input` those that it
    touches through their input; a Transpose is never in both. It is `changed` once the graph is no longer what it was.
    """

    graph: ir.Graph
    perms: dict[ir.Value, Perm] = field(default_factory=dict)
    moves: dict[ir.Node, Move] = field(default_factory=dict)
    from_output: set[ir.Node] = field(default_factory=set)
    from_input: set[ir.Node] = field(default_factory=set)
    changed: bool = False


@dataclass(frozen=True)
class _Cost:
    """A transpose of size `weight` is needed when `source` has one label and any of `readers` the other.

    With `moved`, it is when the source is moved and a reader is not; without, the other way round.
    """

    weight: int
    source: Label
    readers: tuple[Label, ...]
    moved: bool


class _Exhausted:
    """The regions of which no part is worth moving, until something near them changes.

    Any tensor of a region reaches the same region: without these, a graph in which many Transposes have to stay would
    be explored once for each of them.
    """

    def __init__(self) -> None:
        self._at: dict[ir.Value, list[_Region]] = {}

    def holds(self, value: ir.Value, perm: Perm) -> bool:
        return any(region.perms.get(value) == perm and not region.changed for region in self._at.get(value, ()))

    def add(self, region: _Region) -> None:
        for value in _values_near(region):
            self._at.setdefault(value, []).append(region)

    def forget(self, moved: _Region) -> None:
        """Forget the regions that share a tensor, or a Transpose at their edge, with one whose nodes are `moved`."""
        for value in _values_near(moved):
            for region in self._at.pop(value, ()):
                region.changed = True


def reduce_transposes(graph: ir.Graph, opset: int) -> bool:
    """Move nodes of `graph` across Transposes as long as that leaves fewer; say whether any was moved."""
    changed = False
    exhausted = _Exhausted()
    for node in list(graph):
        # A Transpose of an earlier one's region may be gone by now.
        if node.graph is graph and is_transpose(node):
            changed |= _reduce_at(graph, node, opset, exhausted)
    return changed


def total_cost(graph: ir.Graph) -> int:
    """Return what all Transposes of `graph` count together; those of constants that can be stored so are free."""
    total = 0
    for node in graph:
        if is_transpose(node) and node.inputs[0] is not None and not is_foldable(node.inputs[0]):
            total += _weight(node.inputs[0].shape, perm_of(node))
    return total


def _reduce_at(graph: ir.Graph, transpose: ir.Node, opset: int, exhausted: _Exhausted) -> bool:
    source, perm = transpose.inputs[0], perm_of(transpose)
    assert source is not None
    if is_foldable(source):
        return False
    starts = [(transpose.outputs[0], inverse(perm))]
    if not is_constant(source):
        starts.append((source, perm))
    for value, wanted in starts:
        if exhausted.holds(value, wanted):
            continue
        region = _explore(graph, value, wanted, opset)
        if _move(region, exhausted):
            simplify(graph)
            return True
        exhausted.add(region)
    return False


def _explore(graph: ir.Graph, value: ir.Value, perm: Perm, opset: int) -> _Region:
    region = _Region(graph, {value: perm})
    queue = deque([value])

    def reach(node: ir.Node, tensor: Tensor) -> None:
        move = None if node in region.moves else find_move(node, tensor, opset)
        if move is None:
            return
        region.moves[node] = move
        around = [(node.inputs[i], p) for i, p in move.inputs.items()]
        around += [(node.outputs[i], p) for i, p in move.outputs.items()]
        for neighbour, neighbour_perm in around:
            if neighbour is not None and neighbour not in region.perms and not is_foldable(neighbour):
                region.perms[neighbour] = neighbour_perm
                queue.append(neighbour)

    while queue:
        current = queue.popleft()
        current_perm = region.perms[current]
        node = producer_in(graph, current)
        if node is not None and is_transpose(node):
            if node not in region.from_input:
                region.from_output.add(node)
        elif node is not None:
            index = current.index()
            assert index is not None
            reach(node, Tensor(False, index, current_perm))
        for reader, index in list(current.uses()):
            if reader.graph is not graph:
                continue
            if is_transpose(reader):
                if reader not in region.from_output:
                    region.from_input.add(reader)
            else:
                reach(reader, Tensor(True, index, current_perm))
    return region


def _values_near(region: _Region) -> set[ir.Value]:
    """Return the tensors of a region, and those on the far side of the Transposes around it."""
    around = [value for node in region.from_output | region.from_input for value in (*node.inputs, *node.outputs)]
    return {*region.perms, *filter(None, around)}


def _move(region: _Region, exhausted: _Exhausted) -> bool:
    """Move the best part of a region; say whether any of it is better than none."""
    if not region.moves:
        return False
    costs = _costs(region)
    moved = _best(region, costs)
    before = sum(_price(cost, set()) for cost in costs)
    after = sum(_price(cost, moved) for cost in costs)
    if after >= before:
        return False
    exhausted.forget(region)
    for node in list(region.graph):
        if node in moved:
            apply_move(node, region.moves[node])
    return True


def _costs(region: _Region) -> list[_Cost]:
    costs: list[_Cost] = []
    for value, perm in region.perms.items():
        if _is_outer_transpose(region, value, perm):
            continue  # a graph around this one has the tensor in both orders
        readers = tuple(_reader_labels(region, value, perm))
        source = _source_label(region, value, perm)
        stored = permuted_shape(value.shape, perm)
        to_left, to_moved = _weight(stored, inverse(perm)), _weight(value.shape, perm)
        if source is None:
            before, first = _transposed_from(value)
            costs.append(_Cost(_weight(before, first), _MOVED, readers, moved=True))
            costs.append(_Cost(_weight(before, compose(first, perm)), _LEFT, readers, moved=False))
            continue
        costs.append(_Cost(to_left, source, readers, moved=True))
        costs.append(_Cost(to_moved, source, readers, moved=False))
        # A Transpose that stays a Transpose either way can become, or cease to be, one that only moves size 1.
        for reader, _ in value.uses():
            if reader in region.from_input and perm_of(reader) != perm:
                left = _weight(value.shape, perm_of(reader))
                moved = _weight(stored, compose(inverse(perm), perm_of(reader)))
                costs.append(_Cost(max(0, moved - left), source, (_LEFT,), moved=True))
                costs.append(_Cost(max(0, left - moved), source, (_MOVED,), moved=False))
    # A node may want one of its tensors in another order than its neighbours do: that is a transpose of its own.
    for node, move in region.moves.items():
        around = [(node.inputs[i], p) for i, p in move.inputs.items()]
        around += [(node.outputs[i], p) for i, p in move.outputs.items()]
        for neighbour, perm in around:
            if neighbour is not None and region.perms.get(neighbour, perm) != perm:
                costs.append(_Cost(_weight(neighbour.shape, perm), node, (_LEFT,), moved=True))
    return costs


def _is_outer_transpose(region: _Region, value: ir.Value, perm: Perm) -> bool:
    node = value.producer()
    if node is None or node.graph is region.graph or not is_transpose(node):
        return False
    return inverse(perm_of(node)) == perm


def _source_label(region: _Region, value: ir.Value, perm: Perm) -> Label | None:
    """Return which label makes `value` permuted where it is computed; None when it is free to be either."""
    node = producer_in(region.graph, value)
    if node in region.from_output:
        # Before the Transpose the tensor is there already, if it is the same permutation.
        return _MOVED if inverse(perm_of(node)) == perm else None
    if node in region.moves:
        index = value.index()
        assert index is not None
        return node if region.moves[node].outputs.get(index) == perm else _LEFT
    return _LEFT


def _reader_labels(region: _Region, value: ir.Value, perm: Perm) -> list[Label]:
    """Return which label makes each reader of `value` read it permuted."""
    labels: list[Label] = [_LEFT] if value.is_graph_output() else []
    for reader, index in value.uses():
        if reader in region.from_input:
            # The far side of the Transpose is the permuted tensor; any other Transpose takes what there is.
            if perm_of(reader) == perm:
                labels.append(_MOVED)
        elif reader in region.moves and region.moves[reader].inputs.get(index) == perm:
            labels.append(reader)
        else:
            labels.append(_LEFT)
    return list(dict.fromkeys(labels))


def _transposed_from(value: ir.Value) -> tuple[ir.Shape | None, Perm]:
    """Return the shape of what a Transpose made `value` from, and its permutation."""
    node = value.producer()
    assert node is not None and node.inputs[0] is not None
    return node.inputs[0].shape, perm_of(node)


def _weight(shape: ir.Shape | None, perm: Perm) -> int:
    """Return what transposing a tensor of this shape counts."""
    if is_identity(perm):
        return 0
    if shape is None:
        return _TRANSPOSE
    size = 1
    for dim in shape:
        size *= dim if isinstance(dim, int) else _TYPICAL_SIZE
    size = min(size, _TRANSPOSE >> 16) + 1
    return size if moves_only_ones(shape, perm) else _TRANSPOSE + size


def _price(cost: _Cost, moved: set[ir.Node]) -> int:
    def is_moved(label: Label) -> bool:
        return label is _MOVED or label in moved

    needed = is_moved(cost.source) is cost.moved and any(is_moved(label) is not cost.moved for label in cost.readers)
    return cost.weight if needed else 0


def _best(region: _Region, costs: list[_Cost]) -> set[ir.Node]:
    """Return the nodes to move for the least cost, and of these sets the smallest."""
    vertices: dict[Label, int] = {_MOVED: 0, _LEFT: 1}
    for node in region.moves:
        vertices[node] = len(vertices)
    count = len(vertices)
    edges: list[tuple[int, int, int]] = []
    unlimited = sum(cost.weight for cost in costs) + 1
    for cost in costs:
        readers = [vertices[label] for label in cost.readers if label != cost.source]
        if not readers:
            continue
        source, any_reader = vertices[cost.source], count
        count += 1
        if cost.moved:
            edges.append((source, any_reader, cost.weight))
            edges += [(any_reader, reader, unlimited) for reader in readers]
        else:
            edges.append((any_reader, source, cost.weight))
            edges += [(reader, any_reader, unlimited) for reader in readers]
    reached = minimum_cut(count, edges, source=0, sink=1)
    return {node for node in region.moves if vertices[node] in reached}
