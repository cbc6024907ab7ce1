"""Passes over the ONNX graph, one file each, and the order in which they run."""

from __future__ import annotations

from dataclasses import dataclass

import onnx_ir as ir

from translate.converters.passes.fold import fold
from translate.converters.passes.normalise import normalise


@dataclass(frozen=True)
class PassReport:
    """What the passes did: how many transposes of activations survive, and what a user should know."""

    transposes: int
    notes: tuple[str, ...] = ()


def prepare(model: ir.Model) -> PassReport:
    """Bring `model`, in place, into the form that the TensorFlow table reads: channels last, folded, current."""
    from translate.converters.passes.layout import channels_last

    notes = normalise(model)
    fold(model)
    layout = channels_last(model)
    return PassReport(layout.transposes, tuple(notes))
