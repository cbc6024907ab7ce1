"""Read weights as they are stored where they went through moves of their axes that come to nothing.

A depthwise kernel is reshaped for TensorFlow and reshaped again for ONNX; a kernel over a sequence gets an axis of size
one and loses it. What remains of such a way is nothing, a transposition, or, where a framework counts the filters of a
kernel otherwise, another shape, in which the kernel is then stored.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx_ir as ir
import onnx_ir.passes.common as common

from translate.converters.metadata import KEEP
from translate.converters.passes.layout.edit import Perm, constant, insert, is_identity, is_transpose, perm_of
from translate.converters.weights import weights

Array = np.ndarray[Any, Any]
Move = Callable[[Array], Array]

_KERNELS = {("Conv", 1), ("ConvTranspose", 1)}


def store_kernels(model: ir.Model) -> None:
    """Bypass, in place, reshapes of weights that come to a transposition, and store kernels as they are read."""
    for weight in weights(model):
        for reader, position in _readers(weight):
            value = reader.inputs[position]
            assert value is not None
            moves = _moves(value, weight)
            if moves is not None and not all(is_transpose(node) for node, _ in moves):
                _shorten(model, weight, reader, position, [move for _, move in moves])
    common.RemoveUnusedNodesPass()(model)


def stored_weight(value: ir.Value) -> ir.Value | None:
    """Return the initializer that `value` is, or is made of by moves of its axes."""
    while (node := value.producer()) is not None:
        if _move(node) is None or node.inputs[0] is None:
            return None
        value = node.inputs[0]
    return None if value.const_value is None else value


def _readers(weight: ir.Value) -> list[tuple[ir.Node, int]]:
    """Return what reads a weight, as it is or moved; not what moves it."""
    found, waiting = [], [weight]
    while waiting:
        for node, position in waiting.pop().uses():
            if position == 0 and _move(node) is not None:
                waiting.append(node.outputs[0])
            else:
                found.append((node, position))
    return found


def _moves(value: ir.Value, weight: ir.Value) -> list[tuple[ir.Node, Move]] | None:
    """Return the moves that make `value` of `weight`, in order."""
    moves: list[tuple[ir.Node, Move]] = []
    while value is not weight:
        node = value.producer()
        move = None if node is None else _move(node)
        if node is None or move is None or node.inputs[0] is None:
            return None
        moves.append((node, move))
        value = node.inputs[0]
    return moves[::-1]


def _move(node: ir.Node) -> Move | None:
    """Return what a node does that gives the numbers of its first input other axes; None for any other node."""
    if is_transpose(node):
        perm = perm_of(node)
        return lambda array: array.transpose(perm)
    if node.domain != "" or node.op_type not in ("Reshape", "Squeeze", "Unsqueeze") or len(node.inputs) < 2:
        return None
    given = constant(node.inputs[1])
    if given is None:
        return None
    numbers = tuple(int(number) for number in given.reshape(-1))
    if node.op_type == "Reshape":
        return None if 0 in numbers else lambda array: array.reshape(numbers)
    if node.op_type == "Squeeze":
        return lambda array: np.squeeze(array, numbers)
    return lambda array: np.expand_dims(array, numbers)


def _shorten(model: ir.Model, weight: ir.Value, reader: ir.Node, position: int, moves: list[Move]) -> None:
    tensor = weight.const_value
    assert tensor is not None
    places = np.arange(tensor.size).reshape(tensor.shape.numpy())
    moved = places
    for move in moves:
        moved = move(moved)
    perm = _transposition(places, moved)
    if perm is not None:
        read = weight
        if not is_identity(perm):
            read = insert("Transpose", [weight], {"perm": perm}, reader, shape=ir.Shape(moved.shape))
        reader.replace_input_with(position, read)
    elif (reader.op_type, position) in _KERNELS and len(_readers(weight)) == 1 and KEEP not in weight.metadata_props:
        array = tensor.numpy()
        for move in moves:
            array = move(array)
        weight.const_value = ir.tensor(np.ascontiguousarray(array), name=weight.name)
        weight.shape = ir.Shape(array.shape)
        reader.replace_input_with(position, weight)


def _transposition(places: Array, moved: Array) -> Perm | None:
    """Return the permutation of axes that makes `moved` of `places`, arrays of different numbers, if there is one."""
    if places.ndim != moved.ndim:
        return None
    left = list(range(places.ndim))
    perm = []
    for axis, size in enumerate(moved.shape):
        same = [
            other
            for other in left
            if places.shape[other] == size and (size == 1 or _step(places, other) == _step(moved, axis))
        ]
        if not same:
            return None
        perm.append(same[0])
        left.remove(same[0])
    return tuple(perm) if np.array_equal(places.transpose(perm), moved) else None


def _step(places: Array, axis: int) -> int:
    """Return by how much the numbers grow along an axis of size two or more."""
    first, second = (places[tuple(index if other == axis else 0 for other in range(places.ndim))] for index in (0, 1))
    return int(second - first)
