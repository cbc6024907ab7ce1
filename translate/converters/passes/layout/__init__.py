"""Decide the memory layout of a graph: channels last, with as few transposes of activations as possible.

ONNX puts channels first, TensorFlow's kernels want them last. The pass works in three steps, each in its own file:
`channels_last` wraps every layout-sensitive node in transposes, `rules` and `cut` move transposes through the
other nodes until as few as possible are left, and `weights` stores constants already transposed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import onnx_ir as ir
import onnx_ir.passes.common as common

from translate.converters.passes.layout.channels_last import CHANNELS_LAST, convert
from translate.converters.passes.layout.cut import reduce_transposes, total_cost
from translate.converters.passes.layout.edit import (
    DEFAULT,
    as_reshape,
    is_constant,
    is_transpose,
    rename_moved_values,
    simplify,
)
from translate.converters.passes.layout.group_norm import fuse_group_normalization
from translate.converters.passes.layout.interface import Turned, turn_images
from translate.converters.passes.layout.rules import FUSED
from translate.converters.passes.layout.weights import fold_constant_transposes

__all__ = ["CHANNELS_LAST", "FUSED", "LayoutReport", "Turned", "channels_first", "channels_last", "fewest_transposes"]


@dataclass(frozen=True)
class LayoutReport:
    """What `channels_last` did.

    `transposes` counts the transposes of activations that survive, `converted` the nodes that were moved to the
    channels-last domain, `unknown_rank` names those that could not be because nothing says what rank they have.
    """

    transposes: int
    converted: int
    unknown_rank: list[str] = field(default_factory=list)


def channels_last(model: ir.Model) -> LayoutReport:
    """Rewrite `model`, in place, so that layout-sensitive operators read and write `[N, *spatial, C]`.

    Names, order, shapes and layout of the graph's inputs and outputs stay. The moved operators are in the
    domain `CHANNELS_LAST`, at the version of ONNX's own domain. Running the pass again changes nothing.
    """
    graphs = list(_graphs(model))
    converted = 0
    unknown_rank: list[str] = []
    for graph in graphs:
        fuse_group_normalization(graph)
        count, unknown = convert(graph)
        converted += count
        unknown_rank += unknown

    return LayoutReport(fewest_transposes(model), converted, unknown_rank)


def channels_first(model: ir.Model) -> Turned:
    """Make, in place, the images that a channels-last `model` takes and returns channels first; say which."""
    return turn_images(model, lambda part: fewest_transposes(part, reshapes=False))


def fewest_transposes(model: ir.Model, *, reshapes: bool = True) -> int:
    """Move, in place, the transposes of `model` to where as few as possible are left; return how many of activations.

    What a channels-last framework wrote around its channels-first operators ends at the edges of the graph. Those that
    only move axes of size one become Reshapes, if `reshapes`.
    """
    graphs = list(_graphs(model))
    opset = model.opset_imports.get(DEFAULT, 1)
    # What nothing reads would still count as a reader: it must go before, and again and again.
    improvable = list(graphs)
    while common.RemoveUnusedNodesPass()(model).modified or _reduce(graphs, improvable, opset, reshapes):
        pass
    rename_moved_values(graphs)
    _import_domains(model)
    return sum(_count_transposes(graph) for graph in graphs)


def _reduce(graphs: list[ir.Graph], improvable: list[ir.Graph], opset: int, reshapes: bool) -> bool:
    """Remove as many transposes as one round can; say whether anything changed.

    A graph in which a round did not lower the cost leaves `improvable`: so there is an end to the rounds.
    """
    changed = False
    for graph in graphs:
        changed |= simplify(graph)
    changed |= fold_constant_transposes(graphs)
    for graph in list(improvable):
        before = total_cost(graph)
        if reduce_transposes(graph, opset):
            changed = True
            if total_cost(graph) >= before:
                improvable.remove(graph)
    if not changed and reshapes:
        # Only when nothing else helps: a transpose can still cancel with another one, a Reshape cannot.
        for graph in graphs:
            for node in list(graph):
                changed |= is_transpose(node) and as_reshape(node)
    return changed


def _graphs(model: ir.Model) -> Iterator[ir.Graph]:
    yield from model.graphs()
    for function in model.functions.values():
        yield function.graph
        yield from function.subgraphs()


def _count_transposes(graph: ir.Graph) -> int:
    return sum(1 for node in graph if is_transpose(node) and not is_constant(node.inputs[0]))


def _import_domains(model: ir.Model) -> None:
    """Declare the private domains, where they are used."""
    _import(model.opset_imports, list(model.graphs()))
    for function in model.functions.values():
        _import(function.opset_imports, [function.graph, *function.subgraphs()])


def _import(opset_imports: dict[str, int], graphs: list[ir.Graph]) -> None:
    domains = {node.domain for graph in graphs for node in graph}
    if CHANNELS_LAST in domains:
        # The operators' meaning follows ONNX's version of them.
        opset_imports[CHANNELS_LAST] = opset_imports.get(DEFAULT, 1)
    if FUSED in domains:
        opset_imports[FUSED] = 1
