"""Recurrent layers whole: a stack of them in one, batch first where the model has it so, no states that are zero.

Works on the operators of `passes.recurrent`. ONNX has one operator for each layer of a stack, and time first.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import onnx_ir as ir
import onnx_ir.passes.common as common

from translate.converters.passes.layers import LAYERS

# How many initial states an operator takes.
_STATES = {"LSTM": 2, "GRU": 1, "RNN": 1}
# What moves or repeats numbers, and so leaves zeros zero.
_MOVES = frozenset({"Expand", "Identity", "Reshape", "Slice", "Squeeze", "Transpose", "Unsqueeze"})
_PARAMETER = re.compile(r"(.*\.)?(weight|bias)_(ih|hh)_l(\d+)(_reverse)?")
_SWAP = [1, 0, 2]


def stack_recurrent_layers(model: ir.Model) -> None:
    """Join, in place, the layers of each stack, drop initial states that are zero, and take swaps of axes in."""
    graph = model.graph
    nodes = [node for node in graph if node.domain == LAYERS and node.op_type in _STATES]
    for node in nodes:
        states = _states(node)
        if states and all(_is_zero(state) for state in states):
            for place in range(len(states)):
                node.replace_input_with(1 + place, None)
    done: set[ir.Node] = set()
    for node in nodes:
        chain = [node]
        while node not in done and (above := _above(chain[-1])) is not None:
            chain.append(above)
        if len(chain) > 1:
            done.update(chain)
            _join(graph, chain)
    for node in list(graph):
        if node.domain == LAYERS and node.op_type in _STATES:
            _take_batch_first(node)
    if done:
        graph.sort()
    common.RemoveUnusedNodesPass()(model)


def _states(node: ir.Node) -> list[ir.Value]:
    return [value for value in node.inputs[1 : 1 + _STATES[node.op_type]] if value is not None]


def _parameters(node: ir.Node) -> Sequence[ir.Value | None]:
    return node.inputs[1 + _STATES[node.op_type] :]


def _is_zero(value: ir.Value | None) -> bool:
    if value is None:
        return False
    if value.const_value is not None:
        return not value.const_value.numpy().any()
    node = value.producer()
    if node is None or node.domain:
        return False
    if node.op_type == "ConstantOfShape":
        fill = node.attributes.get_tensor("value", None)
        return fill is None or not fill.numpy().any()
    return node.op_type in _MOVES and _is_zero(node.inputs[0])


def _place(node: ir.Node) -> tuple[str, int] | None:
    """Return where the parameters of a layer are, and which layer of a stack they say that it is."""
    found = {match and (match[1], int(match[4])) for match in map(_match, _parameters(node))}
    place = found.pop()
    return None if found else place


def _match(value: ir.Value | None) -> re.Match[str] | None:
    return None if value is None else _PARAMETER.fullmatch(str(value.name))


def _above(node: ir.Node) -> ir.Node | None:
    """Return the layer that reads the outputs of `node` as the next one of the same stack."""
    y = node.outputs[0]
    uses = list(y.uses())
    if len(uses) != 1 or uses[0].idx != 0 or y.is_graph_output():
        return None
    above = uses[0].node
    here, there = _place(node), _place(above) if above.domain == LAYERS and above.op_type == node.op_type else None
    if here is None or there is None or there != (here[0], here[1] + 1):
        return None
    same = {name: attribute.value for name, attribute in node.attributes.items()}
    alike = same == {name: attribute.value for name, attribute in above.attributes.items()}
    return above if alike and len(_states(node)) == len(_states(above)) else None


def _join(graph: ir.Graph, chain: Sequence[ir.Node]) -> None:
    """Put one operator in the place of a stack of layers."""
    first, last = chain[0], chain[-1]
    states: list[ir.Value | None] = [None] * _STATES[first.op_type]
    if _states(first):
        states = [_concat(graph, last, list(layers)) for layers in zip(*map(_states, chain), strict=True)]
    attributes = [*first.attributes.values(), ir.AttrInt64("num_layers", len(chain))]
    joined = ir.Node(
        LAYERS,
        first.op_type,
        [first.inputs[0], *states, *(value for node in chain for value in _parameters(node))],
        attributes,
        num_outputs=len(first.outputs),
        name=first.name,
        metadata_props=dict(first.metadata_props),
    )
    graph.insert_before(last, joined)
    _take_place(joined.outputs[0], last.outputs[0])
    directions = 2 if first.attributes.get_int("bidirectional", 0) else 1
    for place in range(1, len(first.outputs)):
        all_last = joined.outputs[place]
        own = [node.outputs[place] for node in chain]
        shape = own[0].shape
        assert shape is not None
        all_last.type, all_last.shape = own[0].type, ir.Shape([directions * len(chain), *list(shape)[1:]])
        for use in list(own[0].uses()):
            if _is_concat_of(use.node, own):
                _take_place(all_last, use.node.outputs[0])
        for layer, value in enumerate(own):
            ends = [directions * layer], [directions * (layer + 1)], [0]
            part = _insert(graph, joined, "Slice", [all_last, *(_constant(graph, numbers) for numbers in ends)])
            part.type, part.shape = value.type, value.shape
            _take_place(part, value)


def _is_concat_of(node: ir.Node, values: Sequence[ir.Value]) -> bool:
    return node.op_type == "Concat" and list(node.inputs) == list(values) and node.attributes.get_int("axis") == 0


def _concat(graph: ir.Graph, before: ir.Node, values: Sequence[ir.Value]) -> ir.Value:
    node = ir.Node("", "Concat", values, [ir.AttrInt64("axis", 0)], name=f"{before.name}/states")
    (joined,) = node.outputs
    joined.type = values[0].type
    graph.insert_before(before, node)
    return joined


def _insert(graph: ir.Graph, after: ir.Node, kind: str, inputs: Sequence[ir.Value]) -> ir.Value:
    node = ir.Node("", kind, inputs, name=f"{after.name}/{kind}")
    graph.insert_after(after, node)
    return node.outputs[0]


def _constant(graph: ir.Graph, numbers: Sequence[int]) -> ir.Value:
    name = f"translate.recurrent_stack.constant_{len(graph.initializers)}"
    tensor = ir.tensor(np.asarray(numbers, np.int64), name=name)
    value = ir.Value(name=name, shape=ir.Shape([len(numbers)]), type=ir.TensorType(tensor.dtype), const_value=tensor)
    graph.register_initializer(value)
    return value


def _take_place(new: ir.Value, old: ir.Value) -> None:
    new.name = old.name
    new.type, new.shape = new.type or old.type, new.shape or old.shape
    new.metadata_props.update(old.metadata_props)
    ir.convenience.replace_all_uses_with(old, new, replace_graph_outputs=True)


def _take_batch_first(node: ir.Node) -> None:
    """Let a layer read and return [N, T, ...] where its input and all its outputs are swapped around it."""
    x, y = node.inputs[0], node.outputs[0]
    before = None if x is None else x.producer()
    readers = [use.node for use in y.uses()]
    if before is None or not _swaps(before) or y.is_graph_output() or not all(map(_swaps, readers)):
        return
    node.replace_input_with(0, before.inputs[0])
    node.attributes["batch_first"] = ir.AttrInt64("batch_first", 1)
    if y.shape is not None:
        y.shape = ir.Shape([y.shape[axis] for axis in _SWAP])
    for reader in readers:
        _take_place(y, reader.outputs[0])


def _swaps(node: ir.Node) -> bool:
    return (node.domain, node.op_type) == ("", "Transpose") and list(node.attributes.get_ints("perm", ())) == _SWAP
