"""Move layout-sensitive operators to a domain of their own, in which tensors are stored channels last."""

from __future__ import annotations

from dataclasses import dataclass

import onnx_ir as ir

from translate.converters.passes.layout.edit import DEFAULT, move_output, rank_of, to_channels_last, transposed

# The domain of ONNX's operators on `[N, *spatial, C]`. Attributes, the order of inputs and everything that is a
# list over axes (pads, strides, scales, sizes, roi, axes) mean what they mean in ONNX; weights of convolutions
# are `[*kernel, C / group, M]`, those of transposed ones `[*kernel, M / group, C]`.
CHANNELS_LAST = "translate.channels_last"


@dataclass(frozen=True)
class _Layout:
    """Which inputs and outputs of an operator have a channel axis, and which input is a convolution's weight."""

    inputs: tuple[int, ...] = (0,)
    outputs: tuple[int, ...] = (0,)
    weight: int | None = None


_LAYOUTS = {
    "Conv": _Layout(weight=1),
    "ConvTranspose": _Layout(weight=1),
    "ConvInteger": _Layout(weight=1),
    "QLinearConv": _Layout(weight=3),
    "DeformConv": _Layout(inputs=(0, 2, 4), weight=1),  # X, offset, mask
    "MaxPool": _Layout(outputs=(0, 1)),
    "AveragePool": _Layout(),
    "LpPool": _Layout(),
    "GlobalAveragePool": _Layout(),
    "GlobalMaxPool": _Layout(),
    "GlobalLpPool": _Layout(),
    "MaxUnpool": _Layout(inputs=(0, 1)),
    "MaxRoiPool": _Layout(),
    "RoiAlign": _Layout(),
    "BatchNormalization": _Layout(),
    "InstanceNormalization": _Layout(),
    "GroupNormalization": _Layout(),
    "LRN": _Layout(),
    "Resize": _Layout(),
    "Upsample": _Layout(),
    "DepthToSpace": _Layout(),
    "SpaceToDepth": _Layout(),
    "GridSample": _Layout(),
}


def convert(graph: ir.Graph) -> tuple[int, list[str]]:
    """Wrap every layout-sensitive node of `graph` in transposes; return how many, and those of unknown rank."""
    converted = 0
    unknown_rank: list[str] = []
    for node in list(graph):
        layout = _LAYOUTS.get(node.op_type) if node.domain == DEFAULT else None
        if layout is None:
            continue
        rank = _rank(node, layout)
        if rank is None:
            unknown_rank.append(node.name or node.op_type)
        elif rank >= 2:
            _convert(node, layout, rank)
            converted += 1
    return converted, unknown_rank


def _rank(node: ir.Node, layout: _Layout) -> int | None:
    tensors = [*(_input(node, index) for index in layout.inputs), *(node.outputs[i] for i in layout.outputs[:1])]
    if layout.weight is not None:
        tensors.append(_input(node, layout.weight))
    return next((rank for rank in map(rank_of, tensors) if rank is not None), None)


def _input(node: ir.Node, index: int) -> ir.Value | None:
    return node.inputs[index] if index < len(node.inputs) else None


def _convert(node: ir.Node, layout: _Layout, rank: int) -> None:
    node.domain = CHANNELS_LAST
    if rank == 2:
        return  # [N, C] is channels last already
    perm = to_channels_last(rank)
    for index in layout.inputs:
        value = _input(node, index)
        if value is not None:
            node.replace_input_with(index, transposed(value, perm, node))
    if layout.weight is not None:
        weight = node.inputs[layout.weight]
        assert weight is not None
        node.replace_input_with(layout.weight, transposed(weight, (*range(2, rank), 1, 0), node))
    for index in layout.outputs:
        if index < len(node.outputs):
            move_output(node, index, perm)
