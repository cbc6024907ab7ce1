"""Turn the images at the edges of a channels-last graph into channels first, so that no transpose is left there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import onnx_ir as ir

from translate.converters.metadata import NAME, source_name
from translate.converters.passes.layout.edit import (
    Perm,
    inverse,
    is_constant,
    permuted_shape,
    rank_of,
    suffix,
    to_channels_last,
)

# [N, W, C], [N, H, W, C], [N, D, H, W, C].
_RANKS = (3, 4, 5)


@dataclass(frozen=True)
class Turned:
    """The inputs and outputs that are channels first now, by name, each with a permutation.

    Axis `k` is axis `permutation[k]` of the source's.
    """

    inputs: dict[str, Perm] = field(default_factory=dict)
    outputs: dict[str, Perm] = field(default_factory=dict)


def turn_images(model: ir.Model, reduce: Callable[[ir.Model], int]) -> Turned:
    """Give, in place, those inputs and outputs to `model` channels first that it reads and makes so.

    That is each one which leaves fewer transposes when it is turned; `reduce` removes what can be removed and counts
    what is left. All others stay as they are.
    """
    turned = Turned()
    count = reduce(model)
    for edges, turn, found in (
        (model.graph.inputs, _turn_input, turned.inputs),
        (model.graph.outputs, _turn_output, turned.outputs),
    ):
        for place in range(len(edges)):
            rank = rank_of(edges[place])
            trial = model.clone()
            if rank not in _RANKS or not turn(trial.graph, place) or reduce(trial) >= count:
                continue
            found[source_name(edges[place])] = inverse(to_channels_last(rank))
            turn(model.graph, place)
            count = reduce(model)
    return turned


def _turn_input(graph: ir.Graph, place: int) -> bool:
    """Let what reads an input read a transpose of it, which is now channels first; say whether that is possible."""
    value = graph.inputs[place]
    last = to_channels_last(len(value.shape or ()))
    if value.is_graph_output() or not value.uses():
        return False
    whole = ir.Value(name=f"{value.name}_{suffix(last)}", type=value.type, shape=value.shape)
    value.replace_all_uses_with(whole)
    value.shape = permuted_shape(value.shape, inverse(last))
    graph.insert_before(graph[0], ir.node("Transpose", [value], {"perm": last}, outputs=[whole]))
    return True


def _turn_output(graph: ir.Graph, place: int) -> bool:
    """Return a transpose of an output, channels first; say whether that is possible."""
    value = graph.outputs[place]
    first = inverse(to_channels_last(len(value.shape or ())))
    if value.producer() is None or is_constant(value) or list(graph.outputs).count(value) > 1:
        return False
    name, known = value.name, source_name(value)
    value.name = f"{name}_{suffix(inverse(first))}"
    turned = ir.Value(
        name=name, type=value.type, shape=permuted_shape(value.shape, first), metadata_props={NAME: known}
    )
    graph.append(ir.node("Transpose", [value], {"perm": first}, outputs=[turned]))
    graph.outputs[place] = turned
    return True
