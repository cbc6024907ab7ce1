"""Which recurrent network a loop is: read from what its body computes, not from names.

A body that does anything else than the arithmetic of one of ONNX's cells is none.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations
from typing import Any

import numpy as np
import onnx_ir as ir

from translate.converters.tf_to_onnx.build import dims, op
from translate.converters.tf_to_onnx.lists import TensorList
from translate.converters.tf_to_onnx.step import Call, Element, Expression, Linear, Outer, Share, State, Step, Weight


@dataclass(frozen=True)
class Gate:
    """`function` of what the input and the hidden state contribute."""

    function: str
    input: Share
    hidden: Share


@dataclass(frozen=True)
class Cell:
    """A cell of ONNX's operator `kind`: its gates in ONNX's order, its activations, where it carries its states."""

    kind: str
    gates: tuple[Gate, ...]
    activations: tuple[str, ...]
    hidden: int
    memory: int | None = None
    reset_after: bool = True


@dataclass(frozen=True)
class Recurrence:
    """A loop that runs `cell` over the list at `items`.

    Where the list at `mask` is false, the states stay as they are; its output is then the one before, which the loop
    carries from `before` on, or zero where `before` is None.
    """

    cell: Cell
    items: int
    mask: int | None
    before: int | None
    # Further states that are the output, or the hidden state.
    outputs: tuple[int, ...]
    # Of a list that is read from its end, its length: a number, or what the loop reads.
    length: int | Outer | None = None


def find(
    body: ir.Graph, xs: Sequence[Any], states: Sequence[int], lists: Sequence[int], step: Step
) -> Recurrence | None:
    """Return what `body` is if it is a recurrent cell that carries `states` and fills `lists` with its outputs.

    The caller vouches that all else that the loop carries stays as it is, or counts the steps.
    """
    after = {index: step.read(body.outputs[index]) for index in states}
    written = [step.read(_written(body.outputs[index])) for index in lists]
    selects = [one for one in (*after.values(), *written) if isinstance(one, Call) and one.function == "select"]
    mask = selects[0].arguments[0] if selects else None
    if mask is not None and not (isinstance(mask, Element) and _is_mask(xs[mask.index])):
        return None
    parts = {index: _running(value, mask) for index, value in after.items()}
    kept = {index: new for index, (new, old) in parts.items() if mask is None or old == State(index)}
    for cell in _cells(kept):
        outputs = [index for index in states if index not in (cell.hidden, cell.memory)]
        results = [parts[index] for index in outputs] + [_running(value, mask) for value in written]
        olds = [old for _, old in results]
        before = next((index for index in outputs if State(index) in olds), None)
        zero = [isinstance(old, Outer) and is_zero(xs[old.index]) for old in olds]
        held = [before is not None and old == State(before) for old in olds]
        if any(new is not parts[cell.hidden][0] for new, _ in results) or (mask is None and outputs):
            continue
        if mask is not None and not (all(held) if before is not None else all(zero)):
            continue
        items = cell.gates[0].input.operand
        if isinstance(items, Element) and _fits(cell, xs, items.index):
            index = mask.index if mask is not None else None
            if mask is None or items.length is None:
                return Recurrence(cell, items.index, index, before, tuple(outputs), items.length)
    return None


def _written(filled: ir.Value) -> ir.Value:
    node = filled.producer()
    assert node is not None and node.inputs[2] is not None
    return node.inputs[2]


def _running(value: Expression, mask: Expression | None) -> tuple[Expression, Expression | None]:
    """Return what a value is where the mask is true, and where it is not."""
    if mask is not None and isinstance(value, Call) and value.function == "select" and value.arguments[0] == mask:
        return value.arguments[1], value.arguments[2]
    return value, None


def _is_mask(items: Any) -> bool:
    dense = items.dense if isinstance(items, TensorList) else None
    return dense is not None and dense.dtype is ir.DataType.BOOL and dims(dense)[2:] == [1]


def is_zero(value: Any) -> bool:
    """Say whether a value is zero everywhere, whatever its sizes."""
    if isinstance(value, np.ndarray):
        return not value.any()
    if not isinstance(value, ir.Value):
        return False
    node = value.producer()
    if node is not None and node.op_type in ("Expand", "Slice", "Squeeze"):
        return is_zero(node.inputs[0])
    return value.const_value is not None and not value.const_value.numpy().any()


def _fits(cell: Cell, xs: Sequence[Any], items: int) -> bool:
    """Say whether the input, the states and all gates have sizes and dtypes that ONNX's operator takes."""
    dense = xs[items].dense if isinstance(xs[items], TensorList) else None
    if dense is None or dense.shape is None or len(dense.shape) != 3:
        return False
    features, size = dims(dense)[2], cell.gates[0].hidden.weight.places.shape[0]
    values = [dense, *(op.value(xs[index]) for index in (cell.hidden, cell.memory) if index is not None)]
    return (
        all(value.dtype is ir.DataType.FLOAT for value in values)
        and all(value.shape is not None and dims(value)[1:] == [size] for value in values[1:])
        and all(dims(value)[0] == dims(dense)[1] for value in values[1:] if dims(value)[0] is not None)
        and all(gate.input.weight.places.shape == (features, size) for gate in cell.gates)
        and all(gate.hidden.weight.places.shape == (size, size) for gate in cell.gates)
        and all(_is_range(part) for gate in cell.gates for share in (gate.input, gate.hidden) for part in _parts(share))
    )


def _parts(share: Share) -> tuple[Weight, ...]:
    return share.weight, *share.biases


def _is_range(part: Weight) -> bool:
    """Say whether a part of a weight is whole columns, one after the other, or of a bias numbers in a row."""
    if part.places.ndim == 1:
        return bool(np.all(np.diff(part.places) == 1))
    columns = dims(op.value(part.source))[-1] or 0
    start = int(part.places[0, 0])
    rows = np.arange(len(part.places))[:, None] * columns
    return start < columns and bool(np.array_equal(part.places, start + rows + np.arange(part.places.shape[1])))


def _cells(after: Mapping[int, Expression]) -> Iterator[Cell]:
    """Find the cells among what the states are after a step."""
    for hidden, memory in permutations(after, 2):
        yield from _lstm(hidden, memory, after[hidden], after[memory])
    for hidden, new in after.items():
        yield from _gru(hidden, new)
        gate = _gate(new, hidden)
        if gate is not None:
            yield Cell("RNN", (gate,), (gate.function,), hidden)


def _gate(value: Expression, hidden: int) -> Gate | None:
    """Return the gate that a value is: a function of a product with the input and one with the hidden state."""
    if not isinstance(value, Call) or len(value.arguments) != 1 or not isinstance(value.arguments[0], Linear):
        return None
    shares = _two_shares(value.arguments[0].shares, State(hidden))
    return None if shares is None else Gate(value.function, *shares)


def _two_shares(shares: Sequence[Share], hidden: Expression) -> tuple[Share, Share] | None:
    inputs = [share for share in shares if isinstance(share.operand, Element)]
    others = [share for share in shares if share.operand == hidden]
    return (inputs[0], others[0]) if len(inputs) == len(others) == 1 and len(shares) == 2 else None


def _factors(value: Expression) -> Iterator[tuple[Expression, Expression]]:
    """Yield the two factors of a product, either way round."""
    if isinstance(value, Call) and value.function == "product":
        yield from permutations(value.arguments, 2)


def _terms(value: Expression) -> Iterator[tuple[Expression, Expression]]:
    """Yield the two terms of a sum, either way round."""
    if isinstance(value, Call) and value.function == "sum" and len(value.arguments) == 2:
        yield from permutations(value.arguments, 2)


def _lstm(hidden: int, memory: int, new_hidden: Expression, new_memory: Expression) -> Iterator[Cell]:
    """Match c' = f ⊙ c + i ⊙ g and h' = o ⊙ act(c')."""
    for kept, added in _terms(new_memory):
        for (forget, old), (enter, candidate), (leave, shown) in (
            (a, b, c) for a in _factors(kept) for b in _factors(added) for c in _factors(new_hidden)
        ):
            gates = [_gate(value, hidden) for value in (enter, leave, forget, candidate)]
            if old != State(memory) or not isinstance(shown, Call) or shown.arguments != (new_memory,):
                continue
            known = tuple(gate for gate in gates if gate is not None)
            if len(known) == 4 and len({gate.function for gate in known[:3]}) == 1:
                functions = known[0].function, known[3].function, shown.function
                yield Cell("LSTM", known, functions, hidden, memory)


def _gru(hidden: int, new: Expression) -> Iterator[Cell]:
    """Match h' = z ⊙ h + (1 - z) ⊙ c, or c + z ⊙ (h - c)."""
    for kept, added in _terms(new):
        for update, rest in _factors(added):
            if isinstance(rest, Call) and rest.function == "difference" and rest.arguments == (State(hidden), kept):
                yield from _gated(update, kept, hidden)
        for (update, old), (rest, candidate) in ((a, b) for a in _factors(kept) for b in _factors(added)):
            if old != State(hidden) or not isinstance(rest, Call) or rest.function != "complement":
                continue
            if rest.arguments[0] is not update:
                continue
            yield from _gated(update, candidate, hidden)


def _gated(update: Expression, candidate: Expression, hidden: int) -> Iterator[Cell]:
    z, found = _gate(update, hidden), _candidate(candidate, hidden)
    if z is not None and found is not None and found[0].function == z.function:
        reset, c, after = found
        yield Cell("GRU", (z, reset, c), (z.function, c.function), hidden, reset_after=after)


def _candidate(value: Expression, hidden: int) -> tuple[Gate, Gate, bool] | None:
    """Return a GRU's reset gate and candidate, and whether the reset comes after the product with the hidden state."""
    if not isinstance(value, Call) or len(value.arguments) != 1:
        return None
    argument = value.arguments[0]
    if isinstance(argument, Linear):
        for share in argument.shares:
            for reset, old in _factors(share.operand):
                gate, shares = _gate(reset, hidden), _two_shares(argument.shares, share.operand)
                if gate is not None and shares is not None and old == State(hidden):
                    return gate, Gate(value.function, *shares), False
    for one, other in _terms(argument):
        for reset, product in _factors(other):
            gate = _gate(reset, hidden)
            if gate is None or not isinstance(one, Linear) or not isinstance(product, Linear):
                continue
            shares = _two_shares((*one.shares, *product.shares), State(hidden))
            if shares is not None and len(one.shares) == 1 and one.shares[0] is shares[0]:
                return gate, Gate(value.function, *shares), True
    return None
