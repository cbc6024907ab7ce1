"""Blocks of pixels moved to channels or to the batch, and back."""

from __future__ import annotations

import math
from typing import Any, Literal

import onnx_ir as ir

from translate.converters.tf_to_onnx.build import Host, cast, like, op, rank
from translate.converters.tf_to_onnx.conv import back, channels_first
from translate.converters.tf_to_onnx.table import lower

# Beyond every size: the end of a slice that goes to the end.
_LAST = 2**31 - 1


@lower("SpaceToDepth")
def space_to_depth(x: ir.Value, *, block_size: int, data_format: Literal["NHWC"] = "NHWC") -> ir.Value:
    """Blocks of pixels into channels."""
    return back(op.SpaceToDepth(channels_first(x, data_format), blocksize=block_size), data_format)


@lower("DepthToSpace")
def depth_to_space(x: ir.Value, *, block_size: int, data_format: Literal["NHWC"] = "NHWC") -> ir.Value:
    """Channels into blocks of pixels."""
    return back(op.DepthToSpace(channels_first(x, data_format), blocksize=block_size, mode="DCR"), data_format)


@lower("SpaceToBatchND")
def space_to_batch(x: ir.Value, block_shape: Host, paddings: ir.Value) -> ir.Value:
    """Blocks of the spatial axes into the batch.

    `[N, *spatial, *rest]` → `[prod(block) * N, *spatial / block, *rest]`.
    """
    blocks, axes = [int(size) for size in block_shape], rank(x)
    count = len(blocks)
    wide = op.Transpose(cast(paddings, ir.DataType.INT64), perm=[1, 0])
    lows, highs = (op.Squeeze(part, [0]) for part in op.node("Split", wide, outputs=2, axis=0, num_outputs=2))
    around = [[0] * (axes - count - 1)] if axes > count + 1 else []
    x = op.Pad(x, op.Concat([0], lows, *around, [0], highs, *around, axis=0), like(x, 0))
    sizes = op.Shape(x)
    parts: list[Any] = [op.Slice(sizes, [0], [1])]
    for i, block in enumerate(blocks):
        parts += [op.Div(op.Slice(sizes, [i + 1], [i + 2]), [block]), [block]]
    rest = op.Slice(sizes, [count + 1], [_LAST])
    x = op.Reshape(x, op.Concat(*parts, rest, axis=0))
    inner = [2 + 2 * i for i in range(count)]
    outer = [1 + 2 * i for i in range(count)]
    x = op.Transpose(x, perm=[*inner, 0, *outer, *range(1 + 2 * count, axes + count)])
    batch = op.Mul(parts[0], [math.prod(blocks)])
    return op.Reshape(x, op.Concat(batch, *(part for part in parts[1:] if isinstance(part, ir.Value)), rest, axis=0))


@lower("BatchToSpaceND")
def batch_to_space(x: ir.Value, block_shape: Host, crops: ir.Value) -> ir.Value:
    """The inverse of SpaceToBatchND: parts of the batch into blocks of the spatial axes, then cropped."""
    blocks, axes = [int(size) for size in block_shape], rank(x)
    count = len(blocks)
    sizes = op.Shape(x)
    batch = op.Div(op.Slice(sizes, [0], [1]), [math.prod(blocks)])
    rest = op.Slice(sizes, [1], [_LAST])
    x = op.Reshape(x, op.Concat(blocks, batch, rest, axis=0))
    mixed = [axis for i in range(count) for axis in (count + 1 + i, i)]
    x = op.Transpose(x, perm=[count, *mixed, *range(2 * count + 1, axes + count)])
    grown = [op.Mul(op.Slice(sizes, [i + 1], [i + 2]), [block]) for i, block in enumerate(blocks)]
    x = op.Reshape(x, op.Concat(batch, *grown, op.Slice(sizes, [count + 1], [_LAST]), axis=0))
    wide = op.Transpose(cast(crops, ir.DataType.INT64), perm=[1, 0])
    lows, highs = (op.Squeeze(part, [0]) for part in op.node("Split", wide, outputs=2, axis=0, num_outputs=2))
    return op.Slice(x, lows, op.Sub(op.Concat(*grown, axis=0), highs), list(range(1, count + 1)))
