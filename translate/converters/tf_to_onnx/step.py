"""What one step of a loop computes, read as far as recurrent cells go: products with weights, and functions of them.

Every value of the loop's body becomes an expression. Parts of weights are followed element by element, so that it does
not matter whether a cell multiplies by one matrix and splits the result, or by a part of the matrix for each gate.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir

from translate.converters.tf_to_onnx.build import Host, dims
from translate.converters.tf_to_onnx.lists import TensorList


@dataclass(frozen=True)
class State:
    """What the loop carries at `index`, before the step."""

    index: int


@dataclass(frozen=True)
class Element:
    """What the list at `index` has for this step: numbers [N, `size`], where that is known.

    If `length` is not None the list is read from its end, which is there if it has so many elements: a number, or what
    the loop reads at that index (`Outer`).
    """

    index: int
    size: int | None = None
    length: int | Outer | None = None


@dataclass(frozen=True)
class Outer:
    """What the loop reads at `index` and leaves as it is."""

    index: int


# Two expressions below are the same where they are the same object: each value of the body is read once.
@dataclass(frozen=True, eq=False)
class Weight:
    """Elements of `source`, known or a value outside of the loop: those at `places` of all its elements in a row."""

    source: Any
    places: Host


@dataclass(frozen=True, eq=False)
class Share:
    """One summand of the gates: `operand` [N, K] · `weight` [K, C], and the biases [C] that were added to it."""

    operand: Expression
    weight: Weight
    biases: tuple[Weight, ...] = ()


@dataclass(frozen=True, eq=False)
class Linear:
    """A sum of products with weights."""

    shares: tuple[Share, ...]


@dataclass(frozen=True, eq=False)
class Call:
    """A function of other expressions; "sum" and "product" have them in any order."""

    function: str
    arguments: tuple[Expression, ...]


Expression = State | Element | Outer | Weight | Linear | Call | float

# What nothing is known of.
_UNKNOWN = "unknown"
_FUNCTIONS = frozenset({"Sigmoid", "Tanh", "Relu", "Elu", "Softsign", "Softplus"})
_SLICES = frozenset({"Split", "SplitV", "StridedSlice", "Squeeze", "Unpack"})


class Step:
    """Reads the body of a loop over `xs`; `is_time` says of a value whether it is the number of the step, from 0."""

    def __init__(self, body: ir.Graph, xs: Sequence[Any], is_time: Callable[[ir.Value | None], bool]) -> None:
        self._inputs = {value: index for index, value in enumerate(body.inputs)}
        self._outputs = body.outputs
        self._xs = xs
        self._is_time = is_time
        self._read: dict[ir.Value, Expression] = {}

    def read(self, value: ir.Value) -> Expression:
        """Return what `value`, of the body, is."""
        if value not in self._read:
            self._read[value] = self._expression(value)
        return self._read[value]

    def _expression(self, value: ir.Value) -> Expression:
        if value in self._inputs:
            index = self._inputs[value]
            return self._outside(index) if self._outputs[index] is value else State(index)
        if value.const_value is not None:
            return _constant(value.const_value.numpy())
        node = value.producer()
        if node is None or None in node.inputs:
            return Call(_UNKNOWN, ())
        inputs = [one for one in node.inputs if one is not None]
        if node.op_type == "TensorListGetItem":
            items = self._inputs.get(inputs[0])
            if items is None or self._outputs[items] is not inputs[0]:
                return Call(_UNKNOWN, ())
            length = None if self._is_time(inputs[1]) else self._length(inputs[1])
            return self._element(items, length) if length or self._is_time(inputs[1]) else Call(_UNKNOWN, ())
        return self._called(node, value.index() or 0, [self.read(one) for one in inputs])

    def _length(self, place: ir.Value) -> int | Outer | None:
        """Return the length of which `place` is the last element less the number of the step; None for another."""
        last, time = _subtracted(place)
        if last is None or not self._is_time(time):
            return None
        known = self.read(last)
        if isinstance(known, float):
            return int(known) + 1
        whole, one = _subtracted(last)
        length = None if whole is None or one is None or self.read(one) != 1.0 else self.read(whole)
        return length if isinstance(length, Outer) else int(length) if isinstance(length, float) else None

    def _element(self, index: int, length: int | Outer | None) -> Element:
        dense = self._xs[index].dense if isinstance(self._xs[index], TensorList) else None
        known = dense if dense is not None and dense.shape is not None and len(dense.shape) == 3 else None
        return Element(index, None if known is None else dims(known)[2], length)

    def _outside(self, index: int) -> Expression:
        given = self._xs[index]
        if isinstance(given, np.ndarray):
            constant = _constant(given)
            return Outer(index) if isinstance(constant, float) else constant
        if isinstance(given, TensorList) or given.shape is None or len(given.shape) not in (1, 2):
            return Outer(index)
        sizes = dims(given)
        known = [size for size in sizes if size is not None]
        if len(known) < len(sizes) or given.dtype is not ir.DataType.FLOAT:
            return Outer(index)
        return Weight(given, np.arange(int(np.prod(known))).reshape(known))

    def _called(self, node: ir.Node, output: int, given: list[Expression]) -> Expression:
        name = node.op_type
        if name in _FUNCTIONS:
            return Call(name, (given[0],))
        if name in ("AddV2", "Add", "BiasAdd"):
            return _sum(given)
        if name == "Mul":
            return Call("product", tuple(given))
        if name == "Sub":
            return Call("complement", (given[1],)) if given[0] == 1.0 else Call("difference", tuple(given))
        if name == "SelectV2":
            return Call("select", tuple(given))
        if name == "Tile":
            # Of a mask [N, 1], over the axis that it is broadcast along anyway.
            rows = node.inputs[1].const_value if node.inputs[1] is not None else None
            repeats = rows is None or rows.numpy()[0] != 1 or not isinstance(given[0], Element)
            return Call(_UNKNOWN, ()) if repeats else given[0]
        if name == "MatMul" and isinstance(given[1], Weight) and given[1].places.ndim == 2:
            plain = not any(node.attributes.get_int(side, 0) for side in ("transpose_a", "transpose_b"))
            return Linear((Share(given[0], given[1]),)) if plain else Call(_UNKNOWN, ())
        if name in _SLICES:
            numbers = [one.const_value for one in node.inputs if one is not None and one.const_value is not None]
            return _part(node, output, given, [tensor.numpy() for tensor in numbers])
        return Call(_UNKNOWN, ())


def _constant(array: Host) -> Expression:
    if array.ndim == 0 or array.size == 1:
        return float(array.item()) if array.dtype.kind in "fiu" else Call(_UNKNOWN, ())
    return Weight(array, np.arange(array.size).reshape(array.shape))


def _subtracted(value: ir.Value) -> tuple[ir.Value | None, ir.Value | None]:
    """Return what a difference is made of; nothing for another value."""
    node = value.producer()
    return (node.inputs[0], node.inputs[1]) if node is not None and node.op_type == "Sub" else (None, None)


@functools.cache
def identity(size: int) -> Host:
    """Return the identity matrix: the weight of an input that was multiplied with its weight before the loop."""
    return np.eye(size, dtype=np.float32)


def _alone(value: Expression) -> Linear | None:
    """Return what the list has for this step as its own product with the identity."""
    if not isinstance(value, Element) or value.size is None:
        return None
    places = np.arange(value.size**2).reshape(value.size, value.size)
    return Linear((Share(value, Weight(identity(value.size), places)),))


def _sum(terms: Sequence[Expression]) -> Expression:
    flat: list[Expression] = []
    for term in terms:
        flat += term.arguments if isinstance(term, Call) and term.function == "sum" else (term,)
    if any(isinstance(term, Linear) for term in flat):
        flat = [_alone(term) or term for term in flat]
    shares = [share for term in flat if isinstance(term, Linear) for share in term.shares]
    columns = shares[0].weight.places.shape[1:] if shares else None
    biases = [term for term in flat if isinstance(term, Weight) and term.places.shape == columns]
    others = [term for term in flat if not isinstance(term, Linear) and not any(term is bias for bias in biases)]
    if not shares:
        return Call("sum", tuple(flat))
    if biases:
        # One bias of all gates counts as that of the input.
        owner = next((i for i, share in enumerate(shares) if isinstance(share.operand, Element)), 0)
        share = shares[owner]
        shares[owner] = Share(share.operand, share.weight, (*share.biases, *biases))
    linear = Linear(tuple(shares))
    return Call("sum", (linear, *others)) if others else linear


def _part(node: ir.Node, output: int, given: Sequence[Expression], numbers: Sequence[Host]) -> Expression:
    """Return a part of a weight, or of the columns of a sum of products."""
    whole = given[1] if node.op_type == "Split" else given[0]
    if isinstance(whole, Call) and whole.function in _FUNCTIONS:
        inner = _part(node, output, [whole.arguments[0] if one is whole else one for one in given], numbers)
        return Call(whole.function, (inner,))
    whole = _alone(whole) or whole
    if isinstance(whole, Weight):
        places = _cut(node, output, whole.places, numbers)
        return Call(_UNKNOWN, ()) if places is None else Weight(whole.source, places)
    if not isinstance(whole, Linear):
        return Call(_UNKNOWN, ())
    count = whole.shares[0].weight.places.shape[1]
    # Two rows, of which neither may be lost or moved.
    rows = _cut(node, output, np.arange(2 * count).reshape(2, count), numbers)
    if rows is None or rows.ndim != 2 or len(rows) != 2 or not np.array_equal(rows[1], rows[0] + count):
        return Call(_UNKNOWN, ())
    columns = rows[0]
    return Linear(
        tuple(
            Share(
                share.operand,
                Weight(share.weight.source, share.weight.places[:, columns]),
                tuple(Weight(bias.source, bias.places[columns]) for bias in share.biases),
            )
            for share in whole.shares
        )
    )


def _cut(node: ir.Node, output: int, array: Host, numbers: Sequence[Host]) -> Host | None:
    """Return what the operation makes of an array; None where it is not known."""
    if node.op_type == "Squeeze":
        axes = tuple(node.attributes.get_ints("squeeze_dims", ()))
        return np.squeeze(array, axes or None)
    if node.op_type == "Unpack":
        return np.asarray(np.take(array, output, node.attributes.get_int("axis", 0)))
    parts: list[Host]
    if node.op_type == "Split" and len(numbers) == 1:
        parts = np.split(array, len(node.outputs), int(numbers[0].item()))
        return parts[output]
    if node.op_type == "SplitV" and len(numbers) == 2:
        sizes, axis = numbers[0].reshape(-1).tolist(), int(numbers[1].item())
        left = array.shape[axis] - sum(size for size in sizes if size >= 0)
        ends = np.cumsum([left if size < 0 else size for size in sizes])
        parts = np.split(array, ends[:-1], axis)
        return parts[output]
    if node.op_type != "StridedSlice" or len(numbers) != 3:
        return None
    masks = {name: node.attributes.get_int(f"{name}_mask", 0) for name in ("begin", "end", "shrink_axis")}
    if any(node.attributes.get_int(f"{name}_mask", 0) for name in ("ellipsis", "new_axis")):
        return None
    index: list[int | slice] = []
    for i, (low, high, step) in enumerate(zip(*(vector.tolist() for vector in numbers), strict=True)):
        bits = {name: mask >> i & 1 for name, mask in masks.items()}
        along = slice(None if bits["begin"] else low, None if bits["end"] else high, step)
        index.append(low if bits["shrink_axis"] else along)
    return np.asarray(array[tuple(index)])
