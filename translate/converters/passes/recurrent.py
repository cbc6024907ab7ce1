"""Recurrent layers as PyTorch has them: one tensor for each of a layer's parameters, with PyTorch's gates and names.

ONNX stacks the weights of both directions, has the gates in another order, and joins the biases of input and state. A
graph makes these of the source's own weights by slices and joins. Here they are computed and put into PyTorch's form,
so that a layer can hold them. A weight that comes out as the source had it, under PyTorch's name, stays what it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir
import onnx_ir.passes.common as common
from onnx.reference import ReferenceEvaluator

from translate.converters.metadata import KIND
from translate.converters.passes.layers import LAYERS
from translate.converters.weights import weights

Array = np.ndarray[Any, Any]

# Where each of PyTorch's gates stands in ONNX's order: i f g o in i o f c, r z n in z r h.
_GATES = {"LSTM": (0, 2, 3, 1), "GRU": (1, 0, 2), "RNN": (0,)}
_STATES = {"LSTM": 2, "GRU": 1, "RNN": 1}
_ACTIVATIONS = {"LSTM": ("sigmoid", "tanh", "tanh"), "GRU": ("sigmoid", "tanh")}
# The places of weights, recurrent weights and biases among the inputs, and those of what PyTorch has not.
_WEIGHTS = (1, 2, 3)
_SEQUENCE_LENGTHS, _PEEPHOLES = 4, 7
# What takes weights apart and puts them together. Biases are also added to others that are zero where they are not.
_MOVES = frozenset({"Concat", "Gather", "Identity", "Reshape", "Slice", "Split", "Squeeze", "Transpose", "Unsqueeze"})
_MOVES |= {"Add", "Cast", "Expand", "Shape"}
# The name that Keras gives the cell inside of a layer.
_CELL = re.compile(r"(lstm|gru|simple_rnn)_cell(_\d+)?")
# Beyond every size: the end of a slice that goes to the end.
_LAST = 2**31 - 1


def find_recurrent_layers(model: ir.Model) -> None:
    """Replace, in place, each LSTM, GRU and RNN that torch.nn has, and whose weights the model holds.

    The new operators, of the domain `LAYERS`, take x [T, N, I], the initial states [D, N, H] or none, and PyTorch's
    parameters, direction by direction. They return [T, N, D * H] and the last states.
    """
    layers = _Layers(model)
    found = False
    for node in list(model.graph):
        if (node.domain, node.op_type) in {("", kind) for kind in _GATES} and _is_usual(node):
            found |= layers.replace(node)
    if found:
        model.opset_imports[LAYERS] = 1
        common.RemoveUnusedNodesPass()(model)


def _is_usual(node: ir.Node) -> bool:
    """Say whether torch.nn has this network."""
    given = [value is not None for value in node.inputs] + [False] * 8
    directions = 2 if node.attributes.get_string("direction", "forward") == "bidirectional" else 1
    names = [name.lower() for name in node.attributes.get_strings("activations", ())][: 3 * directions]
    usual = _ACTIVATIONS.get(node.op_type, ("relu",) if names[:1] == ["relu"] else ("tanh",))
    return (
        not given[_SEQUENCE_LENGTHS]
        and not given[_PEEPHOLES]
        and names in ([], list(usual) * directions)
        and "clip" not in node.attributes
        and not node.attributes.get_int("input_forget", 0)
        and not node.attributes.get_int("layout", 0)
        and (node.op_type != "GRU" or node.attributes.get_int("linear_before_reset", 0) == 1)
    )


@dataclass(frozen=True)
class _Made:
    """A parameter that was computed from the weights `sources`."""

    value: ir.Value
    sources: frozenset[ir.Value]


class _Layers:
    """Makes the layers of one model."""

    def __init__(self, model: ir.Model) -> None:
        self._graph = model.graph
        self._opsets = dict(model.opset_imports)
        self._trainable = weights(model)
        self._known: dict[ir.Value, Array | None] = {}
        self._made: list[_Made] = []

    def replace(self, node: ir.Node) -> bool:
        """Replace `node` by a layer; say whether that was possible."""
        given = [node.inputs[place] if place < len(node.inputs) else None for place in _WEIGHTS]
        sources = {source for value in given if value is not None for source in self._sources(value)}
        arrays = [None if value is None else self._array(value) for value in given]
        w, r, b = arrays
        if w is None or r is None or (b is None) != (given[2] is None):
            return False
        if not all(_only_feeds_networks(source) for source in sources):
            return False
        x = node.inputs[0]
        if x is None or x.shape is None:
            return False
        parameters = _parameters(node.op_type, w, r, b)
        kept = {name: self._source(array, sources) for name, array in parameters.items()}
        if not all(value is not None and _is_called(value, name) for name, value in kept.items()):
            prefix = self._prefix(node, sources)
            kept = {name: self._make(f"{prefix}.{name}", array, sources) for name, array in parameters.items()}
        values = [value for value in kept.values() if value is not None]
        self._write(node, x, values, w.shape[0], r.shape[2], b is not None)
        return True

    def _sources(self, value: ir.Value) -> set[ir.Value]:
        """Return the weights that `value` is made of."""
        node = value.producer()
        if node is None:
            return {value} if value in self._trainable else set()
        return {source for one in node.inputs if one is not None for source in self._sources(one)}

    def _array(self, value: ir.Value) -> Array | None:
        """Return what `value` is, if it is made of weights and constants alone."""
        if value not in self._known:
            self._known[value] = None
            node = value.producer()
            if value.const_value is not None:
                self._known[value] = value.const_value.numpy()
            elif node is not None and node.op_type in _MOVES and not node.domain:
                given = {one: self._array(one) for one in node.inputs if one is not None}
                if all(array is not None for array in given.values()):
                    evaluator = ReferenceEvaluator(ir.serde.serialize_node(node), opsets=self._opsets)
                    results = evaluator.run(None, {str(one.name): array for one, array in given.items()})
                    self._known.update(zip(node.outputs, map(np.asarray, results), strict=True))
        return self._known[value]

    def _source(self, array: Array, sources: Iterable[ir.Value]) -> ir.Value | None:
        """Return the weight of the source, or the parameter made before, that `array` is."""
        made = [one.value for one in self._made if one.sources <= set(sources)]
        for value in (*sources, *made):
            if value.const_value is not None and np.array_equal(value.const_value.numpy(), array):
                return value
        return None

    def _make(self, name: str, array: Array, sources: Iterable[ir.Value]) -> ir.Value:
        tensor = ir.tensor(np.ascontiguousarray(array), name=name)
        value = ir.Value(name=name, shape=ir.Shape(array.shape), type=ir.TensorType(tensor.dtype), const_value=tensor)
        trainable = all(self._trainable[source] for source in sources)
        value.metadata_props[KIND] = "parameter" if trainable else "buffer"
        self._graph.register_initializer(value)
        self._made.append(_Made(value, frozenset(sources)))
        return value

    def _prefix(self, node: ir.Node, sources: Iterable[ir.Value]) -> str:
        """Return a place for the layer: where its weights were, or one named after the node."""
        parents = [re.split(r"[./]", re.sub(r":\d+$", "", str(source.name)))[:-1] for source in sources]
        shared: list[str] = []
        for part, *others in zip(*parents, strict=False):
            if any(other != part for other in others):
                break
            shared.append(part)
        if len(shared) > 1 and _CELL.fullmatch(shared[-1]):
            shared.pop()
        if not shared:
            parts = [part for part in re.split(r"[./]", str(node.name or "")) if part]
            shared = parts[:-1] if parts and parts[-1] == node.op_type else parts
            shared = [re.sub(r"\W", "_", part) for part in shared] or [node.op_type.lower()]
        prefix = ".".join(shared)
        names = [str(value.name) for value in self._graph.initializers.values() if value not in sources]
        if any(re.split(r"[./]", name)[: len(shared)] == shared for name in names):
            prefix = f"{prefix}.{node.op_type.lower()}"
        unique, count = prefix, 0
        while any(name.startswith(f"{unique}.") for name in names):
            count += 1
            unique = f"{prefix}_{count}"
        return unique

    def _write(
        self, node: ir.Node, x: ir.Value, parameters: Sequence[ir.Value], directions: int, size: int, has_biases: bool
    ) -> None:
        reverse = node.attributes.get_string("direction", "forward") == "reverse"
        states = [node.inputs[place] if place < len(node.inputs) else None for place in (5, 6)[: _STATES[node.op_type]]]
        attributes = [
            ir.AttrInt64("hidden_size", size),
            ir.AttrInt64("bidirectional", int(directions == 2)),
            ir.AttrInt64("bias", int(has_biases)),
        ]
        if node.op_type == "RNN":
            (name, *_) = node.attributes.get_strings("activations", ("Tanh",))
            attributes.append(ir.AttrString("nonlinearity", name.lower()))
        assert x.shape is not None
        times, batch, _ = x.shape
        taken = self._backwards(node, x) if reverse else x
        layer = self._insert(
            node,
            node.op_type,
            [taken, *states, *parameters],
            (times, batch, directions * size),
            attributes,
            domain=LAYERS,
            outputs=1 + _STATES[node.op_type],
        )
        layer.metadata_props.update(node.metadata_props)
        y = self._backwards(node, layer.outputs[0]) if reverse else layer.outputs[0]
        for state in layer.outputs[1:]:
            state.type, state.shape = x.type, ir.Shape((directions, batch, size))
        for old, new in zip(node.outputs[1:], layer.outputs[1:], strict=False):
            _take_place(new, old)
        self._hand_on(node, y, directions, size)
        self._graph.remove(node, safe=True)

    def _hand_on(self, node: ir.Node, y: ir.Value, directions: int, size: int) -> None:
        """Let what reads ONNX's output [T, D, N, H] read `y` [T, N, D * H]."""
        old = node.outputs[0]
        for reader, _ in list(old.uses()):
            joined = _joined(reader, directions)
            if joined is not None and not joined.is_graph_output():
                ir.convenience.replace_all_uses_with(joined, y)
        assert y.shape is not None
        times, batch, _ = y.shape
        apart = self._insert(
            node, "Reshape", [y, self._constant([0, 0, directions, size])], (times, batch, directions, size)
        )
        final = self._insert(
            node, "Transpose", apart.outputs, (times, directions, batch, size), [ir.AttrInt64s("perm", [0, 2, 1, 3])]
        )
        _take_place(final.outputs[0], old)

    def _backwards(self, node: ir.Node, x: ir.Value) -> ir.Value:
        ends = [self._constant(numbers) for numbers in ([-1], [-_LAST], [0], [-1])]
        return self._insert(node, "Slice", [x, *ends], x.shape or ()).outputs[0]

    def _constant(self, numbers: Sequence[int]) -> ir.Value:
        name = f"translate.recurrent.constant_{len(self._graph.initializers)}"
        tensor = ir.tensor(np.asarray(numbers, np.int64), name=name)
        value = ir.Value(
            name=name, shape=ir.Shape([len(numbers)]), type=ir.TensorType(tensor.dtype), const_value=tensor
        )
        self._graph.register_initializer(value)
        return value

    def _insert(
        self,
        before: ir.Node,
        kind: str,
        inputs: Sequence[ir.Value | None],
        shape: Iterable[Any],
        attributes: Sequence[ir.Attr] = (),
        *,
        domain: str = "",
        outputs: int = 1,
    ) -> ir.Node:
        node = ir.Node(domain, kind, inputs, attributes, num_outputs=outputs, name=before.name)
        assert inputs[0] is not None
        node.outputs[0].type, node.outputs[0].shape = inputs[0].type, ir.Shape(list(shape))
        self._graph.insert_before(before, node)
        return node


def _take_place(new: ir.Value, old: ir.Value) -> None:
    new.name = old.name
    new.metadata_props.update(old.metadata_props)
    ir.convenience.replace_all_uses_with(old, new, replace_graph_outputs=True)


def _parameters(kind: str, w: Array, r: Array, b: Array | None) -> dict[str, Array]:
    """Return PyTorch's parameters of w [D, gates * H, I], r [D, gates * H, H] and b [D, 2 * gates * H], by name."""
    parameters: dict[str, Array] = {}
    for d, suffix in enumerate(("", "_reverse")[: len(w)]):
        parameters |= {f"weight_ih_l0{suffix}": _ordered(kind, w[d]), f"weight_hh_l0{suffix}": _ordered(kind, r[d])}
        if b is not None:
            first, second = np.split(b[d], 2)
            parameters |= {f"bias_ih_l0{suffix}": _ordered(kind, first), f"bias_hh_l0{suffix}": _ordered(kind, second)}
    return parameters


def _ordered(kind: str, array: Array) -> Array:
    gates = np.split(array, len(_GATES[kind]))
    return np.concatenate([gates[gate] for gate in _GATES[kind]])


def _is_called(value: ir.Value, name: str) -> bool:
    """Say whether a weight has the name of PyTorch's parameter `name`, of whichever layer and direction of a stack."""
    pattern = re.escape(name.removesuffix("_reverse")).replace("_l0", r"_l\d+(_reverse)?")
    return re.fullmatch(rf"(.*[./])?{pattern}", str(value.name)) is not None


def _only_feeds_networks(value: ir.Value) -> bool:
    """Say whether a value is read as weights of recurrent networks only."""
    if value.is_graph_output():
        return False
    for node, place in value.uses():
        if node.op_type in _GATES and (place in _WEIGHTS or node.domain == LAYERS):
            continue
        if node.op_type not in _MOVES or not all(_only_feeds_networks(output) for output in node.outputs):
            return False
    return True


def _joined(reader: ir.Node, directions: int) -> ir.Value | None:
    """Return what is the output [T, N, D * H], if `reader` begins to make it of ONNX's [T, D, N, H]."""
    if directions == 1 and reader.op_type == "Squeeze":
        axes = reader.inputs[1].const_value if len(reader.inputs) > 1 and reader.inputs[1] is not None else None
        return reader.outputs[0] if axes is not None and axes.numpy().tolist() == [1] else None
    if reader.op_type != "Transpose" or list(reader.attributes.get_ints("perm", ())) != [0, 2, 1, 3]:
        return None
    uses = list(reader.outputs[0].uses())
    use = uses[0] if len(uses) == 1 else None
    if use is None or use.node.op_type != "Reshape" or use.idx != 0:
        return None
    sizes = use.node.inputs[1].const_value if use.node.inputs[1] is not None else None
    keeps = sizes is not None and sizes.numpy()[:2].tolist() == [0, 0] and sizes.size == 3
    return use.node.outputs[0] if keeps and not use.node.attributes.get_int("allowzero", 0) else None
