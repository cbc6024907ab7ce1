"""Passes over the ONNX graph, one file each, and the order in which they run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import onnx_ir as ir

from translate.converters.lowering.table import as_problem, opset_of
from translate.converters.metadata import NAME, source_name
from translate.converters.passes.activations import find_activations
from translate.converters.passes.attention import find_attention
from translate.converters.passes.detach import keep_detached
from translate.converters.passes.embedding import keep_padding
from translate.converters.passes.fold import fold
from translate.converters.passes.kernels import store_kernels
from translate.converters.passes.layers import drop_reshapes, find_layers
from translate.converters.passes.layout import Turned, channels_first, channels_last, fewest_transposes
from translate.converters.passes.layout.group_norm import fuse_group_normalization
from translate.converters.passes.normalise import normalise
from translate.converters.passes.patterns import find_patterns
from translate.converters.passes.recurrent import find_recurrent_layers
from translate.converters.passes.recurrent_stack import stack_recurrent_layers
from translate.converters.passes.sequences import slice_parts, stack_lists
from translate.converters.passes.unit_axes import drop_unit_axes
from translate.errors import CannotTranslateError, Problem


@dataclass(frozen=True)
class PassReport:
    """What the passes did: how many transposes of activations survive, and what a user should know."""

    transposes: int
    notes: tuple[str, ...] = ()
    # The images that the source has channels last, and the result first.
    turned: Turned = field(default_factory=Turned)


def prepare(model: ir.Model) -> PassReport:
    """Bring `model`, in place, into the form that the TensorFlow table reads: current, folded, channels last.

    Raises `UnsupportedError` when the opset cannot be raised, and `CannotTranslateError` when the layout of a node
    cannot be decided.
    """
    keep_detached(model)
    notes = _simplify(model)
    layout = channels_last(model)
    if layout.unknown_rank:
        raise CannotTranslateError("TensorFlow", _without_rank(model, layout.unknown_rank))
    keep_padding(model)
    return PassReport(layout.transposes, tuple(notes))


def prepare_for_torch(model: ir.Model, *, images_first: bool = False) -> PassReport:
    """Bring `model`, in place, into the form that the PyTorch table reads: current, folded, its layers whole.

    With `images_first`, the images that it takes and returns become channels first. Raises `UnsupportedError`
    when the opset cannot be raised.
    """
    notes = _simplify(model)
    find_recurrent_layers(model)
    stack_recurrent_layers(model)
    drop_unit_axes(model)
    store_kernels(model)
    find_patterns(model)
    find_activations(model)
    find_attention(model)
    for graph in (model.graph, *model.graph.subgraphs()):
        fuse_group_normalization(graph)
    drop_reshapes(model)
    find_layers(model)
    turned = channels_first(model) if images_first else Turned()
    transposes = fewest_transposes(model)
    return PassReport(transposes, tuple(notes), turned)


def prepare_for_keras(model: ir.Model) -> PassReport:
    """Bring `model`, in place, into the form that the Keras table reads: its layers whole, and channels last.

    Raises as `prepare` does.
    """
    notes = _simplify(model)
    find_recurrent_layers(model)
    stack_recurrent_layers(model)
    find_activations(model)
    drop_reshapes(model)
    find_layers(model)
    layout = channels_last(model)
    if layout.unknown_rank:
        raise CannotTranslateError("Keras", _without_rank(model, layout.unknown_rank))
    return PassReport(layout.transposes, tuple(notes))


def _simplify(model: ir.Model) -> list[str]:
    outputs = [source_name(value) for value in model.graph.outputs]
    notes = normalise(model)
    slice_parts(model)
    stack_lists(model)
    fold(model)
    # Where a rule put another value into an output's place, that has the name in ONNX only.
    for value, name in zip(model.graph.outputs, outputs, strict=True):
        value.metadata_props[NAME] = name
    return notes


def _without_rank(model: ir.Model, names: Sequence[str]) -> list[Problem]:
    reason = "where its channels are is not known, since the number of axes of its input is not"
    nodes = [node for node in model.graph.all_nodes() if node.name in names]
    return [as_problem(node, opset_of(node, model.opset_imports), reason) for node in nodes]
