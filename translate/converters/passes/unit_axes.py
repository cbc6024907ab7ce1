"""Find the one-dimensional windows that TensorFlow writes as two-dimensional ones over an axis of size one.

TensorFlow has no kernels for sequences: a convolution or a pool along time is ExpandDims, the operator on images,
Squeeze.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir
import onnx_ir.passes.common as common

from translate.converters.passes.kernels import stored_weight
from translate.converters.passes.layout.edit import (
    constant,
    insert,
    insert_constant,
    is_identity,
    is_transpose,
    perm_of,
    rank_of,
)

# Operators that lay a window over spatial axes, with the input that is a kernel over the same axes.
_WINDOWS = {"Conv": 1, "ConvTranspose": 1, "MaxPool": None, "AveragePool": None}
# Their attributes with an entry for each spatial axis; pads have two.
_LISTS = ("kernel_shape", "strides", "dilations", "output_padding")


def drop_unit_axes(model: ir.Model) -> None:
    """Let, in place, windows be laid over the axes alone that were there before one of size one was added."""
    for graph in (model.graph, *model.graph.subgraphs()):
        for node in list(graph):
            if node.domain == "" and node.op_type in _WINDOWS:
                _lower_rank(node)
        for node in list(graph):
            if (node.domain, node.op_type) == ("", "Squeeze"):
                _cancel(node)
    common.RemoveUnusedNodesPass()(model)


def _lower_rank(node: ir.Node) -> None:
    kernel = _WINDOWS[node.op_type]
    read = [0] if kernel is None else [0, kernel]
    while (rank := rank_of(node.inputs[0])) is not None and rank > 3:
        tensors = [node.inputs[index] for index in read]
        axis = next((axis for axis in range(2, rank) if _is_unit(node, axis, rank, tensors)), None)
        if axis is None:
            return
        node = _without_axis(node, axis, rank, read)


def _is_unit(node: ir.Node, axis: int, rank: int, tensors: Sequence[ir.Value | None]) -> bool:
    """Say whether `axis` was added to input and kernel alike, and the window is one element there."""
    spatial = axis - 2
    size = _entry(node, "kernel_shape", spatial, 1)
    pads = _entry(node, "pads", spatial, 0), _entry(node, "pads", spatial + rank - 2, 0)
    plain = pads == (0, 0) and _entry(node, "output_padding", spatial, 0) == 0 and "output_shape" not in node.attributes
    alone = all(not output.uses() for output in node.outputs[1:])
    added = all(value is not None and (_is_added(value, axis) or _is_flat(value, axis)) for value in tensors)
    return size == 1 and plain and alone and added


def _is_flat(kernel: ir.Value, axis: int) -> bool:
    """Say whether a kernel is made of a weight of fewer axes, however, and `axis` of size one."""
    weight = stored_weight(kernel)
    rank, size = rank_of(weight), None if kernel.shape is None else kernel.shape[axis]
    return size == 1 and rank is not None and rank < len(kernel.shape or ())


def _entry(node: ir.Node, name: str, index: int, default: int) -> int:
    attribute = node.attributes.get(name)
    return default if attribute is None else int(attribute.as_ints()[index])


def _without_axis(node: ir.Node, axis: int, rank: int, read: Sequence[int]) -> ir.Node:
    """Replace a node by the same one on tensors that do not have `axis`; return it."""
    inputs = [_dropped(value, axis, node) if i in read and value is not None else value
              for i, value in enumerate(node.inputs)]  # fmt: skip
    attributes = dict(node.attributes)
    for name in _LISTS:
        if name in attributes:
            entries = list(attributes[name].as_ints())
            attributes[name] = ir.AttrInt64s(name, entries[: axis - 2] + entries[axis - 1 :])
    if "pads" in attributes:
        pads = list(attributes["pads"].as_ints())
        kept = [pads[i] for i in range(len(pads)) if i % (rank - 2) != axis - 2]
        attributes["pads"] = ir.AttrInt64s("pads", kept)
    old = node.outputs[0]
    lower = ir.Node("", node.op_type, inputs, list(attributes.values()), metadata_props=dict(node.metadata_props))
    result = lower.outputs[0]
    result.type = old.type
    result.shape = None if old.shape is None else _shape_without(old.shape, axis)
    graph = node.graph
    assert graph is not None
    graph.insert_before(node, lower)
    whole = insert("Unsqueeze", [result, _axes(axis, node)], {}, node, shape=old.shape)
    old.replace_all_uses_with(whole, replace_graph_outputs=True)
    return lower


def _cancel(node: ir.Node) -> None:
    """Drop from a Squeeze, and from what was added, the axes that it takes away again."""
    value, axes = node.inputs[0], constant(node.inputs[1]) if len(node.inputs) > 1 else None
    rank = rank_of(value)
    if value is None or axes is None or rank is None:
        return
    left = sorted(int(axis) % rank for axis in axes)
    for axis in sorted(left, reverse=True):
        if _is_added(value, axis):
            value = _dropped(value, axis, node)
            left = [other - (other > axis) for other in left if other != axis]
    output = node.outputs[0]
    if not left and not output.is_graph_output():
        output.replace_all_uses_with(value)
    elif len(left) < len(axes):
        node.replace_input_with(0, value)
        if left:
            node.replace_input_with(1, _axes(left, node))
        else:
            node.op_type = "Identity"
            node.resize_inputs(1)


def _is_added(value: ir.Value, axis: int) -> bool:
    """Say whether an Unsqueeze put `axis` there, before transposes and the addition of a bias."""
    node = value.producer()
    if node is None or node.domain != "":
        return False
    if node.op_type == "Unsqueeze":
        return axis in (_added_axes(node) or ())
    source = node.inputs[0]
    if is_transpose(node):
        assert source is not None
        return _is_added(source, perm_of(node)[axis])
    return _is_biased(node, axis) and source is not None and _is_added(source, axis)


def _is_biased(node: ir.Node, axis: int) -> bool:
    """Say whether a node adds to its first input a vector along another axis, the last."""
    rank = rank_of(node.outputs[0])
    alone = len(node.outputs[0].uses()) == 1
    is_sum = node.op_type == "Add" and rank_of(node.inputs[1]) == 1 and rank_of(node.inputs[0]) == rank
    return is_sum and alone and rank is not None and axis < rank - 1


def _added_axes(node: ir.Node) -> list[int] | None:
    axes, rank = constant(node.inputs[1]), rank_of(node.outputs[0])
    return None if axes is None or rank is None else [int(axis) % rank for axis in axes]


def _dropped(value: ir.Value, axis: int, before: ir.Node) -> ir.Value:
    """Return `value` without an axis of size one."""
    shape = None if value.shape is None else _shape_without(value.shape, axis)
    if not _is_added(value, axis):
        return insert("Squeeze", [value, _axes(axis, before)], {}, before, shape=shape)
    node = value.producer()
    assert node is not None and node.inputs[0] is not None
    source = node.inputs[0]
    if node.op_type == "Unsqueeze":
        added = _added_axes(node) or []
        left = sorted(other - (other > axis) for other in added if other != axis)
        return insert("Unsqueeze", [source, _axes(left, before)], {}, before, shape=shape) if left else source
    if is_transpose(node):
        perm = perm_of(node)
        inner = _dropped(source, perm[axis], before)
        left_perm = tuple(other - (other > perm[axis]) for other in perm if other != perm[axis])
        if is_identity(left_perm):
            return inner
        return insert("Transpose", [inner], {"perm": left_perm}, before, shape=shape)
    bias = node.inputs[1]
    assert bias is not None
    return insert("Add", [_dropped(source, axis, before), bias], {}, before, shape=shape)


def _shape_without(shape: ir.Shape, axis: int) -> ir.Shape:
    return ir.Shape([dim for place, dim in enumerate(shape) if place != axis])


def _axes(axes: int | Sequence[int], before: ir.Node) -> ir.Value:
    return insert_constant(np.atleast_1d(np.array(axes, np.int64)), before)
