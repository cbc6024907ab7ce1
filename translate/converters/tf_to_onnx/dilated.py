"""Find the convolutions that TensorFlow dilates by moving pixels to the batch: SpaceToBatchND, Conv, BatchToSpaceND.

Every block of pixels goes to the batch, so that the kernel meets neighbours that were far apart, and back. The
convolution with a dilation computes the same; https://www.tensorflow.org/api_docs/python/tf/nn/with_space_to_batch says
so the other way round.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx_ir as ir

_CONVOLUTIONS = ("Conv2D", "Conv3D", "DepthwiseConv2dNative")
_SLICED_BY = ("begin_mask", "end_mask", "shrink_axis_mask")


def dilate(graph: ir.Graph) -> None:
    """Replace, in place, each convolution between two moves of the same blocks by one with a dilation."""
    for node in list(graph):
        if node.op_type == "BatchToSpaceND":
            _dilate_at(graph, node)


def _dilate_at(graph: ir.Graph, back: ir.Node) -> None:
    inner, blocks, crops = back.inputs
    squeeze = _alone(inner, ("Squeeze",))
    convolution = _alone(inner if squeeze is None else squeeze.inputs[0], _CONVOLUTIONS)
    if convolution is None or not _is_plain(convolution):
        return
    expand = _alone(convolution.inputs[0], ("ExpandDims",))
    forth = _alone(convolution.inputs[0] if expand is None else expand.inputs[0], ("SpaceToBatchND",))
    if forth is None or (expand is None) != (squeeze is None):
        return
    x, same_blocks, paddings = forth.inputs
    sizes = _numbers(blocks)
    pads = _paddings(paddings, crops)
    if x is None or x.shape is None or sizes is None or sizes != _numbers(same_blocks) or pads is None:
        return
    added = None if expand is None else _axis(expand.inputs[1], len(x.shape) + 1)
    if squeeze is not None and (
        added is None or _ints(squeeze, "squeeze_dims", ()) not in ((added,), _from_end(added, x))
    ):
        return
    rank = len(x.shape) + (added is not None)
    dilations, explicit = [1] * rank, [(0, 0)] * rank
    for axis, (size, pad) in enumerate(zip(sizes, pads, strict=True), start=1):
        place = axis + (added is not None and axis >= added)
        dilations[place], explicit[place] = size, pad
    convolution.attributes["dilations"] = ir.AttrInt64s("dilations", dilations)
    convolution.attributes["padding"] = ir.AttrString("padding", "EXPLICIT")
    flat = [number for pair in explicit for number in pair]
    convolution.attributes["explicit_paddings"] = ir.AttrInt64s("explicit_paddings", flat)
    first, last = expand or convolution, squeeze or convolution
    first.replace_input_with(0, x)
    result, whole = last.outputs[0], back.outputs[0]
    if expand is not None:
        expand.outputs[0].shape = _with_one(x.shape, added)
        convolution.outputs[0].shape = _with_one(whole.shape, added)
    result.shape = whole.shape
    whole.replace_all_uses_with(result, replace_graph_outputs=True)
    graph.remove([back, forth], safe=True)


def _alone(value: ir.Value | None, op_types: Sequence[str]) -> ir.Node | None:
    """Return the node of one of these types that makes `value` for one reader."""
    node = None if value is None else value.producer()
    if value is None or node is None or node.op_type not in op_types:
        return None
    return node if len(value.uses()) == 1 and not value.is_graph_output() else None


def _is_plain(node: ir.Node) -> bool:
    steps = (*_ints(node, "strides", ()), *_ints(node, "dilations", ()))
    layout = node.attributes.get("data_format")
    last = layout is None or layout.as_string() in ("NHWC", "NDHWC")
    return last and node.attributes["padding"].as_string() == "VALID" and set(steps) <= {1}


def _ints(node: ir.Node, name: str, default: tuple[int, ...]) -> tuple[int, ...]:
    attribute = node.attributes.get(name)
    return default if attribute is None else tuple(attribute.as_ints())


def _numbers(value: ir.Value | None) -> list[int] | None:
    known = None if value is None else value.const_value
    return None if known is None else [int(number) for number in known.numpy().reshape(-1)]


def _axis(value: ir.Value | None, rank: int) -> int | None:
    known = _numbers(value)
    return None if known is None else known[0] % rank


def _from_end(axis: int | None, x: ir.Value) -> tuple[int, ...]:
    assert axis is not None and x.shape is not None
    return (axis - len(x.shape) - 1,)


def _with_one(shape: ir.Shape | None, axis: int | None) -> ir.Shape | None:
    return None if shape is None or axis is None else ir.Shape([*shape[:axis], 1, *shape[axis:]])


def _paddings(paddings: ir.Value | None, crops: ir.Value | None) -> list[tuple[int, int]] | None:
    """Return what is added at both ends of each axis and not cut off again; None where that is not known."""
    added, cut = _sums(paddings), _sums(crops)
    if added is None or cut is None or added.shape != cut.shape or added.ndim != 2:
        return None
    if any(sum_.terms or sum_.number for sum_ in cut[:, 0]):
        return None
    left = added - cut
    numbers = [(pair[0].number, pair[1].number) for pair in left]
    known = all(not sum_.terms for sum_ in left.flat)
    return numbers if known and all(number >= 0 for pair in numbers for number in pair) else None


@dataclass(frozen=True)
class _Sum:
    """A number, and multiples of numbers that are only known when the model runs."""

    number: int = 0
    terms: Mapping[Any, int] = field(default_factory=dict)

    def __add__(self, other: _Sum) -> _Sum:
        return self._combined(other, 1)

    def __sub__(self, other: _Sum) -> _Sum:
        return self._combined(other, -1)

    def _combined(self, other: _Sum, sign: int) -> _Sum:
        keys = {*self.terms, *other.terms}
        terms = {key: self.terms.get(key, 0) + sign * other.terms.get(key, 0) for key in keys}
        return _Sum(self.number + sign * other.number, {key: count for key, count in terms.items() if count})


def _sums(value: ir.Value | None) -> np.ndarray[Any, Any] | None:
    """Return the entries of an integer tensor as sums; None where its shape is open."""
    if value is None:
        return None
    if value.const_value is not None:
        return _elementwise(lambda number: _Sum(int(number)), value.const_value.numpy())
    node = value.producer()
    sums = [] if node is None else [_sums(source) for source in node.inputs]
    parts = [part for part in sums if part is not None]
    if node is not None and len(parts) == len(sums):
        if node.op_type == "Pack":
            packed: np.ndarray[Any, Any] = np.stack(
                parts, axis=node.attributes["axis"].as_int() if "axis" in node.attributes else 0
            )
            return packed
        if node.op_type in ("AddV2", "Add"):
            return np.asarray(parts[0] + parts[1], dtype=object)
        if node.op_type == "StridedSlice" and (part := _part(node, parts[0])) is not None:
            return part
    if value.shape is None or not value.shape.is_static():
        return None
    places = np.arange(int(np.prod(value.shape.numpy()))).reshape(value.shape.numpy())
    return _elementwise(lambda place: _Sum(0, {(value, int(place)): 1}), places)


def _elementwise(function: Any, array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    result = np.empty(array.shape, dtype=object)
    for index in np.ndindex(array.shape):
        result[index] = function(array[index])
    return result


def _part(node: ir.Node, array: Any) -> np.ndarray[Any, Any] | None:
    """Return what a StridedSlice takes of `array`."""
    limits = [_numbers(value) for value in node.inputs[1:]]
    masks = {name: node.attributes[name].as_int() for name in node.attributes}
    if any(limit is None for limit in limits) or any(masks[name] for name in masks if name not in _SLICED_BY):
        return None
    index: list[Any] = []
    for axis, (begin, end, step) in enumerate(zip(*limits, strict=True)):
        bit = 1 << axis
        if masks.get("shrink_axis_mask", 0) & bit:
            index.append(begin)
        else:
            open_begin, open_end = masks.get("begin_mask", 0) & bit, masks.get("end_mask", 0) & bit
            index.append(slice(None if open_begin else begin, None if open_end else end, step))
    part = np.empty((), dtype=object)
    taken = array[tuple(index)]
    if isinstance(taken, np.ndarray):
        return taken
    part[()] = taken
    return part
