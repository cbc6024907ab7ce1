"""Recurrent networks that TensorFlow writes as loops, in one operator: ONNX's LSTM, GRU or RNN."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import onnx_ir as ir

from translate.converters.tf_to_onnx.build import cast, dims, entries, op
from translate.converters.tf_to_onnx.cells import Cell, Gate, Recurrence, is_zero
from translate.converters.tf_to_onnx.step import Outer, Share, Weight, identity

_INT64 = ir.DataType.INT64
# Beyond every size: the end of a slice that goes to the end.
_LAST = 2**31 - 1


@dataclass(frozen=True)
class _Projection:
    """What was multiplied with its weight before the loop: x [T, N, I], the weight [I, C], and the biases [C]."""

    x: ir.Value
    weight: ir.Value
    biases: Sequence[ir.Value]


def write(found: Recurrence, xs: Sequence[Any], trips: ir.Value) -> tuple[ir.Value, dict[int, ir.Value]] | None:
    """Write the loop, of `trips` steps, as one operator; return its outputs [T, N, H] and its last states.

    Under a mask the memory of a cell is not among these. None where the inputs are not multiplied with a weight in the
    loop, and what they were before is not known either.
    """
    cell, projection = found.cell, None
    if any(gate.input.weight.source is identity(len(gate.input.weight.places)) for gate in cell.gates):
        projection = _projection(xs[found.items].dense)
        if projection is None or found.mask is not None or not _is_length(trips, xs[found.items].dense):
            return None
        cell = _projecting(cell, projection)
    if found.length is not None and not _is_whole(found.length, xs, xs[found.items].dense):
        return None
    initial = [op.value(xs[index]) for index in (cell.hidden, cell.memory) if index is not None]
    x = _first(xs[found.items].dense, trips) if projection is None else projection.x
    if found.length is not None:
        x = op.Slice(x, [-1], [-_LAST], [0], [-1])
    mask = None if found.mask is None else xs[found.mask].dense
    if mask is not None and not (x is xs[found.items].dense and _same_size(x, mask)):
        mask = _first(mask, trips)
    order = None if mask is None else _Order(mask)
    y, *last = op.node(
        cell.kind,
        x if order is None else order.packed(x),
        op.Unsqueeze(_columns([gate.input.weight for gate in cell.gates]), [0]),
        op.Unsqueeze(_columns([gate.hidden.weight for gate in cell.gates]), [0]),
        _bias(cell) if projection is None else _joint_bias(cell, projection),
        None,
        *([] if all(map(is_zero, initial)) else [op.Unsqueeze(value, [0]) for value in initial]),
        outputs=3 if cell.kind == "LSTM" else 2,
        hidden_size=cell.gates[0].hidden.weight.places.shape[0],
        activations=list(cell.activations),
        linear_before_reset=int(cell.reset_after) if cell.kind == "GRU" else None,
    )
    y = op.Squeeze(y, [1])
    if order is None:
        carried = (cell.hidden,) if cell.memory is None else (cell.hidden, cell.memory)
        return y, dict(zip(carried, (op.Squeeze(state, [0]) for state in last), strict=True))
    hidden = order.unpacked(y, initial[0])
    if found.before is None:
        output = op.Where(mask, hidden, np.float32(0))
    else:
        start = op.value(xs[found.before])
        output = hidden if is_zero(start) and is_zero(initial[0]) else order.unpacked(y, start)
    states = dict.fromkeys(found.outputs, _last(output)) | {cell.hidden: _last(hidden)}
    return output, states


def _projection(dense: ir.Value) -> _Projection | None:
    """Return what `dense` [T, N, C] was made of, if it is a product of the rows of x [T, N, I], and a bias or none."""
    shaped = _inputs(dense, "Reshape")
    if len(shaped) != 2:
        return None
    product, biases = shaped[0], []
    added = _inputs(product, "Add")
    if added:
        product, bias = added if _axes(added[1]) == 1 else reversed(added)
        halves = _inputs(bias, "Add") or _inputs(bias, "Sum")
        biases = halves if len(halves) == 2 and all(_axes(half) == 1 for half in halves) else [bias]
    factors = _inputs(product, "MatMul")
    rows = _inputs(factors[0], "Reshape") if factors else []
    if not rows or _axes(rows[0]) != 3 or entries(rows[1]) != [-1, dims(rows[0])[2]]:
        return None
    sizes = _inputs((_inputs(shaped[1], "Cast") or shaped[1:])[0], "Concat")
    kept = len(sizes) == 3 and all(_is_size(sizes[axis], rows[0], axis) for axis in (0, 1))
    return _Projection(rows[0], factors[1], biases) if kept else None


def _inputs(value: ir.Value, kind: str) -> list[ir.Value]:
    """Return the inputs of the node that made `value`, if that is of this kind; none otherwise."""
    node = value.producer()
    return [one for one in node.inputs if one is not None] if node is not None and node.op_type == kind else []


def _axes(value: ir.Value) -> int | None:
    return None if value.shape is None else len(value.shape)


def _is_size(number: ir.Value, x: ir.Value, axis: int) -> bool:
    """Say whether a number, or a vector of one, is the size of an axis of `x`."""
    if number.const_value is not None:
        return dims(x)[axis] == int(number.const_value.numpy().item())
    node = number.producer()
    if node is None:
        return False
    if node.op_type in ("Cast", "Squeeze", "Unsqueeze", "Reshape"):
        return node.inputs[0] is not None and _is_size(node.inputs[0], x, axis)
    start = node.inputs[1].const_value if node.op_type == "Slice" and node.inputs[1] is not None else None
    return start is not None and start.numpy().tolist() == [axis] and _measured(node.inputs[0]) is x


def _projecting(cell: Cell, projection: _Projection) -> Cell:
    """Return the cell with the input's weight, and without a bias of the input, in place of the identity."""

    def weighted(gate: Gate) -> Gate:
        weight = gate.input.weight
        columns = Weight(projection.weight, weight.places[:1])
        return replace(gate, input=Share(gate.input.operand, columns, gate.input.biases))

    return replace(cell, gates=tuple(weighted(gate) for gate in cell.gates))


def _joint_bias(cell: Cell, projection: _Projection) -> ir.Value | None:
    """Return the biases as `_bias` does, those of the projection among them."""
    own = _bias(cell)
    if not projection.biases:
        return own
    columns = [gate.input.weight for gate in cell.gates]
    parts = [_numbers([Weight(bias, weight.places[0]) for weight in columns]) for bias in projection.biases]
    size = sum(weight.places.shape[1] for weight in columns)
    given = parts[1] if len(parts) > 1 else op.value(np.zeros(size, np.float32))
    if own is None:
        return _stacked(parts[0], given)
    halves = op.node("Split", op.Squeeze(own, [0]), outputs=2, axis=0, num_outputs=2)
    return _stacked(op.Add(parts[0], halves[0]), op.Add(given, halves[1]))


def _stacked(first: ir.Value, second: ir.Value) -> ir.Value:
    bias: ir.Value = op.Unsqueeze(op.Concat(first, second, axis=0), [0])
    return bias


def _last(sequence: ir.Value) -> ir.Value:
    last: ir.Value = op.Squeeze(op.Slice(sequence, [-1], [_LAST], [0]), [0])
    return last


def _first(dense: ir.Value, trips: ir.Value) -> ir.Value:
    """Return the first `trips` elements of a list: the list itself where these are all."""
    if _is_length(trips, dense):
        return dense
    first: ir.Value = op.Slice(dense, [0], op.Reshape(trips, [1]), [0])
    return first


def _is_whole(length: int | Outer, xs: Sequence[Any], dense: ir.Value) -> bool:
    """Say whether a length is that of a list."""
    known = xs[length.index] if isinstance(length, Outer) else np.asarray(length)
    return dims(dense)[0] == int(known.item()) if isinstance(known, np.ndarray) else _is_length(known, dense)


def _same_size(one: ir.Value, other: ir.Value) -> bool:
    """Say whether the first axes of two values have one size, by number or by name."""
    sizes = [str(value.shape[0]) for value in (one, other) if value.shape is not None]
    return len(sizes) == 2 and sizes[0] == sizes[1] != "None"


def _is_length(number: ir.Value | None, dense: ir.Value) -> bool:
    """Say whether a number is that of the elements of a list, by the way it was computed."""
    if number is None:
        return False
    if number.const_value is not None:
        return dims(dense)[0] == int(number.const_value.numpy().item())
    node = number.producer()
    if node is None:
        return False
    if node.op_type in ("Cast", "Squeeze"):
        return _is_length(node.inputs[0], dense)
    if node.op_type == "Min":
        return all(_is_length(value, dense) for value in node.inputs)
    # The first of the sizes.
    start = node.inputs[1].const_value if node.op_type == "Slice" and node.inputs[1] is not None else None
    return start is not None and not start.numpy().any() and _measured(node.inputs[0]) in _as_long(dense)


def _measured(sizes: ir.Value | None) -> ir.Value | None:
    """Return the tensor that `sizes` are the shape of."""
    node = None if sizes is None else sizes.producer()
    if node is not None and node.op_type == "Cast":
        return _measured(node.inputs[0])
    return node.inputs[0] if node is not None and node.op_type == "Shape" else None


def _as_long(dense: ir.Value) -> list[ir.Value | None]:
    """Return a list, and the one that it is backwards."""
    node = dense.producer()
    steps = node.inputs[4] if node is not None and node.op_type == "Slice" and len(node.inputs) > 4 else None
    backwards = steps is not None and steps.const_value is not None and bool(np.all(steps.const_value.numpy() == -1))
    return [dense, node.inputs[0]] if node is not None and backwards else [dense]


def _columns(parts: Sequence[Weight]) -> ir.Value:
    """Return columns of weights [K, C] as rows, one part after the other: [the sum of all C, K]."""
    values = []
    for source, start, stop in _ranges(parts):
        whole = op.value(source)
        values.append(whole if stop - start == dims(whole)[1] else op.Slice(whole, [start], [stop], [1]))
    columns = op.Concat(*values, axis=1) if len(values) > 1 else values[0]
    rows: ir.Value = op.Transpose(columns, perm=[1, 0])
    return rows


def _bias(cell: Cell) -> ir.Value | None:
    """Return the biases of input and hidden state [1, 2 * gates * H]; None where there are none."""
    shares = [gate.input for gate in cell.gates] + [gate.hidden for gate in cell.gates]
    if not any(share.biases for share in shares):
        return None
    halves = [_half(shares[: len(cell.gates)]), _half(shares[len(cell.gates) :])]
    return _stacked(*halves)


def _half(shares: Sequence[Share]) -> ir.Value:
    """Return the biases of some shares, one after the other, zero where one has none."""
    if all(len(share.biases) == 1 for share in shares):
        return _numbers([share.biases[0] for share in shares])
    parts = []
    for share in shares:
        size = share.weight.places.shape[1]
        numbers = [_numbers([bias]) for bias in share.biases] or [op.value(np.zeros(size, np.float32))]
        parts.append(op.Sum(*numbers) if len(numbers) > 1 else numbers[0])
    return op.Concat(*parts, axis=0) if len(parts) > 1 else parts[0]


def _numbers(parts: Sequence[Weight]) -> ir.Value:
    """Return parts of biases, one after the other."""
    values = []
    for source, start, stop in _ranges(parts):
        whole = op.value(source)
        flat = whole if len(dims(whole)) == 1 else op.Reshape(whole, [-1])
        count = int(np.prod([size for size in dims(whole) if size is not None]))
        values.append(flat if stop - start == count else op.Slice(flat, [start], [stop], [0]))
    return op.Concat(*values, axis=0) if len(values) > 1 else values[0]


def _ranges(parts: Sequence[Weight]) -> list[tuple[Any, int, int]]:
    """Return from where to where the parts go in their sources, those that follow each other as one."""
    ranges: list[tuple[Any, int, int]] = []
    for part in parts:
        start = int(part.places.flat[0])
        stop = start + part.places.shape[-1]
        if ranges and ranges[-1][0] is part.source and ranges[-1][2] == start:
            start = ranges.pop()[1]
        ranges.append((part.source, start, stop))
    return ranges


class _Order:
    """The steps at which a mask [T, N, 1] is true, brought before the others.

    A network that does not see the others computes on the first of the steps what a network computes that leaves its
    state alone at the others. What it computes after them is read by nobody.
    """

    def __init__(self, mask: ir.Value) -> None:
        running = cast(mask, _INT64)
        self._count = op.CumSum(running, np.int64(0))
        total = op.ReduceSum(running, [0], keepdims=1)
        length = op.Squeeze(op.Shape(mask, start=0, end=1), [0])
        times = op.Reshape(op.Range(np.int64(0), length, np.int64(1)), [-1, 1, 1])
        self._place = op.Where(mask, op.Sub(self._count, [1]), op.Sub(op.Add(times, total), self._count))

    def packed(self, x: ir.Value) -> ir.Value:
        """Move the elements of x [T, N, I] to their places."""
        moved: ir.Value = op.ScatterElements(x, op.Expand(self._place, op.Shape(x)), x, axis=0)
        return moved

    def unpacked(self, y: ir.Value, start: ir.Value) -> ir.Value:
        """Return for each time what y [T, N, H] has for the latest step so far, `start` [N, H] before the first."""
        latest = op.Expand(op.Max(op.Sub(self._count, [1]), [0]), op.Shape(y))
        held: ir.Value = op.Where(op.Greater(self._count, [0]), op.GatherElements(y, latest, axis=0), start)
        return held
