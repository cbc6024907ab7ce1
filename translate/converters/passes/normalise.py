"""Bring any ONNX graph to one form: functions inlined, a known opset, constants lifted, shapes inferred."""

from __future__ import annotations

import logging

import onnx_ir as ir
import onnx_ir.passes.common as common
from onnxscript.version_converter import ConvertVersionPass

from translate.errors import UnsupportedError

# Models older than this are raised to it, so that one row per operator is the rule.
LOWEST_OPSET = 18


def normalise(model: ir.Model) -> list[str]:
    """Inline functions, raise an old opset, lift constants and infer shapes, in place.

    Returns what a user should know. Raises `UnsupportedError` when onnx's converter cannot raise the opset.
    """
    notes = []
    # Before IR version 4 every initializer was listed as an input, too.
    common.RemoveInitializersFromInputsPass()(model)
    common.InlinePass()(model)
    written_for = model.opset_imports.get("", LOWEST_OPSET)
    if written_for < LOWEST_OPSET:
        _raise_opset(model, written_for)
        notes.append(f"raised from opset {written_for} to {LOWEST_OPSET}")
    _drop_identities(model)
    for step in (
        common.LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0),
        common.LiftSubgraphInitializersToMainGraphPass(),
        common.RemoveUnusedNodesPass(),
        common.ShapeInferencePass(data_prop=True),
    ):
        step(model)
    return notes


def _drop_identities(model: ir.Model) -> None:
    """Bypass every Identity but those that are an output, with which onnx_ir's own pass fails in branches."""
    for node in model.graph.all_nodes():
        value = node.inputs[0] if (node.domain, node.op_type) == ("", "Identity") else None
        if value is not None and not node.outputs[0].is_graph_output():
            node.outputs[0].replace_all_uses_with(value)


def _raise_opset(model: ir.Model, written_for: int) -> None:
    if written_for < 9 and any(node.op_type == "Scan" for node in model.graph.all_nodes()):
        raise UnsupportedError("Scan of opset 8 has a batch axis, which onnx's converter would lose without a word")
    logger = logging.getLogger("onnxscript.version_converter")
    level = logger.level
    # It announces its use of onnx's C++ converter as a warning; whether that worked is checked here instead.
    logger.setLevel(logging.ERROR)
    try:
        # Without the fallback to onnx's own converter, an old Softmax would be relabelled and left as it was.
        ConvertVersionPass(LOWEST_OPSET, fallback=True)(model)
    finally:
        logger.setLevel(level)
    if model.opset_imports.get("") != LOWEST_OPSET:
        raise UnsupportedError(f"onnx's converter cannot raise the model from opset {written_for} to {LOWEST_OPSET}")
