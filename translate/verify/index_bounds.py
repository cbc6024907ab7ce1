"""The greatest integers that a graph's inputs may hold, read off the tables that they index."""

from __future__ import annotations

from collections.abc import Iterable

import onnx_ir as ir
from onnx_ir.passes.common import InlinePass, ShapeInferencePass

from translate.models.base import Array, Dim

# Operators that hand on the numbers of these inputs unchanged, to their first output where not said otherwise.
_EVERY = range(10**6)
_HAND_ON: dict[str, Iterable[int]] = {
    **dict.fromkeys(
        ("CastLike", "Compress", "Expand", "Flatten", "Gather", "GatherElements", "GatherND", "Identity", "Pad"), (0,)
    ),
    **dict.fromkeys(
        ("ReduceMax", "ReduceMin", "Reshape", "ReverseSequence", "Slice", "Split", "Squeeze", "Tile", "TopK"), (0,)
    ),
    **dict.fromkeys(("Transpose", "Trilu", "Unique", "Unsqueeze"), (0,)),
    **dict.fromkeys(("ScatterElements", "ScatterND"), (0, 2)),
    "Where": (1, 2),
    "Concat": _EVERY,
}
# Operators by which a number is combined with a constant.
_ARITHMETIC = frozenset({"Add", "Clip", "Div", "Max", "Min", "Mod", "Mul", "Sub"})
# The place of the indices among the inputs of an operator that indexes its first input.
_INDICES = {"Gather": 1, "GatherElements": 1, "GatherND": 1, "ScatterElements": 1, "ScatterND": 1}
# The size of an open dimension while the search looks for what it bounds: no table has it.
_OPEN = 2**40


def index_bounds(graph: ir.Model, symbols: Iterable[str] = ()) -> dict[str, Dim]:
    """Return, for each integer input of `graph` that indexes, the greatest number for which all is within its table.

    From each input the way goes forward, through what leaves its numbers as they are or changes them by a constant, to
    what it indexes: a bound is the least over all of these, minus 1. It is a number as far as the extents are fixed in
    the graph. Where a table is as long as one of `symbols`, open dimensions of the inputs, it is an expression such as
    `nodes - 1` (see `size_of`). An input that is only counted with is left out. Negative indices, which ONNX allows
    too, are not spoken of.
    """
    graph = graph.clone()
    # Exporters leave many shapes out.
    ir.passes.Sequential(InlinePass(), ShapeInferencePass())(graph)
    inputs = [value for value in graph.graph.inputs if value.name not in graph.graph.initializers]
    searches = {None: _Search(graph)} | {symbol: _Search(graph, symbol) for symbol in symbols}
    found: dict[str, Dim] = {}
    for value in inputs:
        if value.dtype is None or not value.dtype.is_integer():
            continue
        bounds = [_bound(symbol, search.greatest(value)) for symbol, search in searches.items()]
        match list(dict.fromkeys(bound for bound in bounds if bound is not None)):
            case []:
                continue
            case [bound]:
                found[str(value.name)] = bound
            case several:
                found[str(value.name)] = f"min({', '.join(map(str, several))})"
    return found


def _bound(symbol: str | None, limit: int | None) -> Dim:
    """Return what a search says: a number, or how many less than the open dimension; None where it says nothing."""
    if symbol is None or limit is None:
        # Nothing is within an empty table; 0 then fails in the source too.
        return None if limit is None else max(limit, 0)
    # Anything else is another open dimension's, or multiplied.
    return f"{symbol} - {_OPEN - limit}" if 0 < _OPEN - limit < 2**20 else None


class _Search:
    """Looks for what is indexed along axes of fixed extents, or along those that are as long as `symbol`."""

    def __init__(self, model: ir.Model, symbol: str | None = None) -> None:
        self._symbol = symbol
        # Where the outputs of subgraphs go, and what enters them by position rather than by capture.
        self._leaves: dict[ir.Value, list[ir.Value]] = {}
        self._enters: dict[tuple[ir.Node, int], list[ir.Value]] = {}
        for node in model.graph.all_nodes():
            for attribute in node.attributes.values():
                if attribute.type == ir.AttributeType.GRAPH:
                    self._connect(node, attribute.as_graph())
        self._known: dict[ir.Value, int | None] = {}

    def _connect(self, node: ir.Node, body: ir.Graph) -> None:
        if node.op_type == "If":
            self._link(body.outputs, node.outputs)
        elif node.op_type == "Loop":
            # Inputs: iterations, condition, state...; of the body: iteration, condition, state...
            states = len(node.inputs) - 2
            self._link(body.outputs[1:], node.outputs)
            self._link(body.outputs[1 : 1 + states], body.inputs[2:])
            self._enters |= {(node, 2 + i): [body.inputs[2 + i]] for i in range(states)}
        elif node.op_type == "Scan":
            states = len(node.inputs) - node.attributes["num_scan_inputs"].as_int()
            self._link(body.outputs, node.outputs)
            self._link(body.outputs[:states], body.inputs)
            self._enters |= {(node, i): [value] for i, value in enumerate(body.inputs)}

    def _link(self, sources: Iterable[ir.Value], destinations: Iterable[ir.Value]) -> None:
        for source, destination in zip(sources, destinations, strict=False):
            self._leaves.setdefault(source, []).append(destination)

    def greatest(self, value: ir.Value) -> int | None:
        """Return the greatest number that `value` may hold so that nothing is out of its range; None: any number."""
        if value not in self._known:
            # A loop leads back here; what it asks for is found elsewhere on the way round.
            self._known[value] = None
            limits = [self._through(node, position, value) for node, position in value.uses()]
            limits += [self.greatest(after) for after in self._leaves.get(value, ())]
            self._known[value] = _least(limits)
        return self._known[value]

    def _through(self, node: ir.Node, position: int, value: ir.Value) -> int | None:
        """Return the greatest number that `node` lets its input at `position` hold, and all that comes after it."""
        if (node, position) in self._enters:
            return _least(self.greatest(inner) for inner in self._enters[node, position])
        if node.domain not in ("", "ai.onnx"):
            return None
        if position == _INDICES.get(node.op_type):
            return _last(self._extents(node))
        if node.op_type == "OneHot" and position == 0:
            depth = _constant(node.inputs[1])
            return None if depth is None else int(depth.max()) - 1
        if node.op_type == "Cast":
            number = node.outputs[0].dtype not in (ir.DataType.BOOL, ir.DataType.STRING)
            return self.greatest(node.outputs[0]) if number else None
        if position in _HAND_ON.get(node.op_type, ()):
            parts = self._components(node, position) if node.op_type == "Concat" else None
            if parts is not None:
                return _least([_last(parts), self._but_indices(node.outputs[0])])
            return _least(self.greatest(output) for output in node.outputs)
        return self._changed(node, position)

    def _but_indices(self, value: ir.Value) -> int | None:
        """Do as `greatest`, leaving out the uses as indices whose components are told apart."""
        uses = [(node, position) for node, position in value.uses() if not _is_nd(node, position)]
        return _least(self._through(node, position, value) for node, position in uses)

    def _changed(self, node: ir.Node, position: int) -> int | None:
        """Follow one number that is combined with a constant."""
        if node.op_type not in _ARITHMETIC:
            return None
        limit = self.greatest(node.outputs[0]) if len(node.outputs) == 1 else None
        if limit is None:
            return None
        if node.op_type == "Clip" and position == 0:
            top = _constant(node.inputs[2]) if len(node.inputs) > 2 else None
            return None if top is not None and int(top.max()) <= limit else limit
        others = [_constant(other) for index, other in enumerate(node.inputs) if index != position]
        if node.op_type == "Max":
            return limit
        if len(others) != 1 or others[0] is None or not others[0].size:
            return limit if node.op_type == "Min" else None
        low, high = int(others[0].min()), int(others[0].max())
        match node.op_type:
            case "Add":
                # Where none would do from 0 on, it is negative numbers that come this way: Where(i < 0, i + n, i).
                return limit - high if high <= limit else None
            case "Sub" if position == 0:
                return limit + low
            case "Mul" if low > 0:
                return limit // high
            case "Div" if position == 0 and low > 0:
                return limit * low + low - 1
            case "Mod" if position == 0 and low > 0:
                return None if high - 1 <= limit else limit
            case "Min":
                return None if high <= limit else limit
        return None

    def _extents(self, node: ir.Node) -> list[int | None]:
        """Return the extents of the axes that the indices of `node` range over, None where one is not fixed."""
        shape = None if node.inputs[0] is None else node.inputs[0].shape
        if shape is None:
            return []
        dims = [self._extent(dim) for dim in shape]
        if node.op_type in ("GatherND", "ScatterND"):
            indices = node.inputs[1]
            count = indices.shape[-1] if indices is not None and indices.shape is not None else None
            batch = node.attributes["batch_dims"].as_int() if "batch_dims" in node.attributes else 0
            return dims[batch : batch + count] if isinstance(count, int) else []
        axis = node.attributes["axis"].as_int() if "axis" in node.attributes else 0
        return [dims[axis]]

    def _extent(self, dim: int | ir.SymbolicDim) -> int | None:
        if self._symbol is None:
            return dim if isinstance(dim, int) else None
        return _OPEN if isinstance(dim, ir.SymbolicDim) and dim.value == self._symbol else None

    def _components(self, concat: ir.Node, position: int) -> list[int | None] | None:
        """Return the extents that one part of `concat` ranges over where it makes indices of several axes, else None.

        `x[i, j]` is GatherND(x, Concat(i, j)): each part has its own axes.
        """
        output = concat.outputs[0]
        users = [node for node, place in output.uses() if _is_nd(node, place)]
        parts = [value.shape for value in concat.inputs if value is not None]
        shapes = [shape for shape in parts if shape is not None and isinstance(shape[-1], int)]
        if not users or len(shapes) != len(concat.inputs):
            return None
        if concat.attributes["axis"].as_int() not in (-1, len(shapes[0]) - 1):
            return None
        sizes = [int(shape[-1]) for shape in shapes if isinstance(shape[-1], int)]
        start = sum(sizes[:position])
        return [extent for node in users for extent in self._extents(node)[start : start + sizes[position]]]


def _least(limits: Iterable[int | None]) -> int | None:
    return min((limit for limit in limits if limit is not None), default=None)


def _last(extents: Iterable[int | None]) -> int | None:
    least = _least(extents)
    return None if least is None else least - 1


def _is_nd(node: ir.Node, position: int) -> bool:
    return node.op_type in ("GatherND", "ScatterND") and position == 1


def _constant(value: ir.Value | None) -> Array | None:
    """Return the numbers of a constant, in whatever shape; exporters cast and reshape them once more."""
    while value is not None:
        tensor = ir.convenience.get_const_tensor(value)
        if tensor is not None:
            return tensor.numpy()
        node = value.producer()
        forms = ("Cast", "CastLike", "Identity", "Reshape", "Squeeze", "Unsqueeze")
        value = node.inputs[0] if node is not None and node.op_type in forms else None
    return None
