"""Passes over the ONNX graph, one file each, and the order in which they run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import onnx_ir as ir

from translate.converters.lowering.table import as_problem, opset_of
from translate.converters.passes.fold import fold
from translate.converters.passes.layout import channels_last
from translate.converters.passes.normalise import normalise
from translate.converters.passes.sequences import slice_parts, stack_lists
from translate.errors import CannotTranslateError, Problem


@dataclass(frozen=True)
class PassReport:
    """What the passes did: how many transposes of activations survive, and what a user should know."""

    transposes: int
    notes: tuple[str, ...] = ()


def prepare(model: ir.Model) -> PassReport:
    """Bring `model`, in place, into the form that the TensorFlow table reads: current, folded, channels last.

    Raises `UnsupportedError` when the opset cannot be raised, and `CannotTranslateError` when the layout of a node
    cannot be decided.
    """
    notes = normalise(model)
    slice_parts(model)
    stack_lists(model)
    fold(model)
    layout = channels_last(model)
    if layout.unknown_rank:
        raise CannotTranslateError("TensorFlow", _without_rank(model, layout.unknown_rank))
    return PassReport(layout.transposes, tuple(notes))


def _without_rank(model: ir.Model, names: Sequence[str]) -> list[Problem]:
    reason = "where its channels are is not known, since the number of axes of its input is not"
    nodes = [node for node in model.graph.all_nodes() if node.name in names]
    return [as_problem(node, opset_of(node, model.opset_imports), reason) for node in nodes]
