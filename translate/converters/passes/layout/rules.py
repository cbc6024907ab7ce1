"""How each operator computes on tensors whose axes are stored in another order.

A rule is asked: if this input (or output) of the node were stored permuted, how would the node do its work? It
answers with a `Move`: how every other tensor of the node is stored then, and what changes in the node. A `Move`
is exact: it never changes what the node computes. None means that the node cannot do that.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from math import prod

import numpy as np
import onnx_ir as ir

from translate.converters.passes.layout.edit import (
    DEFAULT,
    Dim,
    Perm,
    constant,
    dims_of,
    identity,
    insert,
    insert_constant,
    is_identity,
    move_output,
    rank_of,
    reshape_target,
    transposed,
)

# Operators of this project's own: MatMul with the attributes transA and transB, which swap the last two axes.
FUSED = "translate"


@dataclass(frozen=True)
class Tensor:
    """One tensor of a node and how it would be stored: input or output number `index`, permuted by `perm`."""

    is_input: bool
    index: int
    perm: Perm


@dataclass
class Move:
    """How a node computes on permuted tensors.

    `inputs` and `outputs` say in which order the axes of a tensor are stored, where it is not its own.
    `unsqueeze` gives axes that an input gets after that. `constants` replaces inputs by constants, `gather`
    picks entries of an input that is a list over axes, `gather_outputs` does the same to an output.
    `attributes` replaces attributes (None removes one), `domain` and `op_type` replace the operator itself.
    """

    inputs: dict[int, Perm] = field(default_factory=dict)
    outputs: dict[int, Perm] = field(default_factory=dict)
    unsqueeze: dict[int, list[int]] = field(default_factory=dict)
    constants: dict[int, int | list[int]] = field(default_factory=dict)
    gather: dict[int, list[int]] = field(default_factory=dict)
    gather_outputs: dict[int, list[int]] = field(default_factory=dict)
    attributes: dict[str, int | str | list[int] | None] = field(default_factory=dict)
    domain: str | None = None
    op_type: str | None = None


Rule = Callable[[ir.Node, Tensor, int], Move | None]
_RULES: dict[tuple[str, str], Rule] = {}


def find_move(node: ir.Node, tensor: Tensor, opset: int) -> Move | None:
    """Return how `node` would compute with `tensor` stored permuted, or None when it cannot."""
    rule = _RULES.get((node.domain, node.op_type))
    if rule is None:
        return None
    move = rule(node, tensor, node.version or opset)
    if move is None:
        return None
    move.inputs = {index: perm for index, perm in move.inputs.items() if not is_identity(perm)}
    move.outputs = {
        index: perm for index, perm in move.outputs.items() if index < len(node.outputs) and not is_identity(perm)
    }
    # A rule has several ways of storing the other tensors; what it was asked about is not up to it.
    asked = (move.inputs if tensor.is_input else move.outputs).get(tensor.index)
    return move if asked == tensor.perm else None


def apply_move(node: ir.Node, move: Move) -> None:
    """Change `node`, in place, to compute as `move` says, and put Transposes around it."""
    touched = {*move.inputs, *move.unsqueeze, *move.constants, *move.gather}
    if touched and max(touched) >= len(node.inputs):
        node.resize_inputs(max(touched) + 1)
    for index in sorted(touched):
        value = node.inputs[index]
        if index in move.constants:
            value = insert_constant(np.array(move.constants[index], np.int64), node)
        assert value is not None
        if index in move.inputs:
            value = transposed(value, move.inputs[index], node)
        if index in move.unsqueeze:
            value = _unsqueeze(value, move.unsqueeze[index], node)
        if index in move.gather:
            value = _gather(value, move.gather[index], node)
        node.replace_input_with(index, value)
    for name, setting in move.attributes.items():
        if setting is None:
            node.attributes.pop(name, None)
        elif isinstance(setting, int):
            node.attributes[name] = ir.AttrInt64(name, setting)
        elif isinstance(setting, str):
            node.attributes[name] = ir.AttrString(name, setting)
        else:
            node.attributes[name] = ir.AttrInt64s(name, setting)
    if move.domain is not None:
        node.domain, node.version = move.domain, None
    if move.op_type is not None:
        node.op_type = move.op_type
    for index, perm in move.outputs.items():
        move_output(node, index, perm)
    for index, picks in move.gather_outputs.items():
        _gather_output(node, index, picks)


def _unsqueeze(value: ir.Value, axes: list[int], before: ir.Node) -> ir.Value:
    dims = dims_of(value)
    for axis in axes:
        dims.insert(axis, 1)
    where = insert_constant(np.array(axes, np.int64), before)
    return insert("Unsqueeze", [value, where], {}, before, shape=ir.Shape(dims))


def _gather(value: ir.Value, picks: list[int], before: ir.Node) -> ir.Value:
    known = constant(value)
    if known is not None:
        return insert_constant(known[picks], before)
    where = insert_constant(np.array(picks, np.int64), before)
    return insert("Gather", [value, where], {"axis": 0}, before, shape=ir.Shape([len(picks)]))


def _gather_output(node: ir.Node, index: int, picks: list[int]) -> None:
    """Let whoever reads an output read chosen entries of it instead."""
    value = node.outputs[index]
    picked = ir.Value(name=value.name, type=value.type, shape=value.shape, metadata_props=dict(value.metadata_props))
    value.replace_all_uses_with(picked, replace_graph_outputs=True)
    value.name = f"{value.name}_stored"
    value.shape = None
    graph = node.graph
    assert graph is not None
    gather = ir.node("Gather", [value, None], {"axis": 0}, outputs=[picked])
    graph.insert_after(node, gather)
    gather.replace_input_with(1, insert_constant(np.array(picks, np.int64), gather))


def _rule(*op_types: str, domain: str = DEFAULT) -> Callable[[Rule], Rule]:
    def register(rule: Rule) -> Rule:
        for op_type in op_types:
            _RULES[domain, op_type] = rule
        return rule

    return register


# Helpers of the rules


def _int(node: ir.Node, name: str, default: int) -> int:
    attribute = node.attributes.get(name)
    return default if attribute is None else attribute.as_int()


def _input(node: ir.Node, index: int) -> ir.Value | None:
    return node.inputs[index] if index < len(node.inputs) else None


def _axis(axis: int, perm: Perm) -> int:
    """Return where `axis` is stored."""
    return perm.index(axis % len(perm))


def _axes_of(node: ir.Node, index: int, rank: int) -> list[int] | None:
    """Return the axes that an operator has as an attribute or as a constant input; None when they are not known."""
    attribute = node.attributes.get("axes")
    if attribute is not None:
        return sorted(axis % rank for axis in attribute.as_ints())
    known = constant(_input(node, index))
    return None if known is None else sorted(int(axis) % rank for axis in known.reshape(-1))


def _set_axes(node: ir.Node, move: Move, index: int, axes: Sequence[int]) -> None:
    if "axes" in node.attributes:
        move.attributes["axes"] = list(axes)
    else:
        move.constants[index] = list(axes)


def _without(perm: Perm, axes: Sequence[int]) -> Perm:
    """Return how a tensor is stored from which `axes` were taken, when before it was stored as `perm`."""
    kept = [axis for axis in range(len(perm)) if axis not in axes]
    return tuple(kept.index(axis) for axis in perm if axis not in axes)


def _with(perm: Perm, axes: Sequence[int]) -> Perm:
    """Return how a tensor is stored that gets `axes` (in its own numbering), each where it would be anyway."""
    kept = [axis for axis in range(len(perm) + len(axes)) if axis not in axes]
    order = [kept[axis] for axis in perm]
    for axis in sorted(axes):
        order.insert(axis, axis)
    return tuple(order)


# Elementwise operators, with broadcasting

# fmt: off
_ELEMENTWISE = [
    "Abs", "Acos", "Acosh", "Add", "And", "Asin", "Asinh", "Atan", "Atanh", "BitShift", "BitwiseAnd", "BitwiseNot",
    "BitwiseOr", "BitwiseXor", "Cast", "Ceil", "Celu", "Cos", "Cosh", "Div", "Elu", "Equal", "Erf", "Exp", "Floor",
    "Gelu", "Greater", "GreaterOrEqual", "HardSigmoid", "HardSwish", "Identity", "IsInf", "IsNaN", "LeakyRelu",
    "Less", "LessOrEqual", "Log", "Max", "Mean", "Min", "Mish", "Mod", "Mul", "Neg", "Not", "Or", "PRelu", "Pow",
    "Reciprocal", "Relu", "Round", "Selu", "Shrink", "Sigmoid", "Sign", "Sin", "Sinh", "Softplus", "Softsign", "Sqrt",
    "Sub", "Sum", "Swish", "Tan", "Tanh", "ThresholdedRelu", "Where", "Xor",
]
# fmt: on


@_rule(*_ELEMENTWISE)
def _elementwise(node: ir.Node, tensor: Tensor, opset: int) -> Move | None:
    return _broadcast(node, tensor, range(len(node.inputs)))


@_rule("StopGradient", domain=FUSED)
def _stop_gradient(node: ir.Node, tensor: Tensor, opset: int) -> Move | None:
    return Move({0: tensor.perm}, {0: tensor.perm})


@_rule("DynamicQuantizeLinear")
def _dynamic_quantize(node: ir.Node, tensor: Tensor, opset: int) -> Move | None:
    return Move({0: tensor.perm}, {0: tensor.perm})


@_rule("Clip", "Dropout", "CastLike", "Bernoulli")
def _elementwise_of_the_first(node: ir.Node, tensor: Tensor, opset: int) -> Move | None:
    return _broadcast(node, tensor, (0,))


def _broadcast(node: ir.Node, tensor: Tensor, inputs: Sequence[int]) -> Move | None:
    values = {index: value for index in inputs if (value := node.inputs[index]) is not None}
    ranks = {index: rank_of(value) for index, value in values.items()}
    known = [rank for rank in ranks.values() if rank is not None]
    if not known or len(known) < len(ranks):
        return None
    rank = max(known)
    if tensor.is_input and tensor.index not in values:
        return None
    perm = (*range(rank - len(tensor.perm)), *(axis + rank - len(tensor.perm) for axis in tensor.perm))
    move = Move(outputs={i: perm for i, value in enumerate(node.outputs) if rank_of(value) in (rank, None)})
    if not tensor.is_input and tensor.index not in move.outputs:
        return None
    for index, value in values.items():
        missing = rank - len(dims_of(value))
        if all(dim == 1 for dim in dims_of(value)) and not (tensor.is_input and tensor.index == index):
            continue
        # Axes that this operand does not have count as size 1; those in front of all others need not be there.
        move.inputs[index] = tuple(axis - missing for axis in perm if axis >= missing)
        first = next(position for position, axis in enumerate(perm) if axis >= missing)
        axes = [position - first for position, axis in enumerate(perm) if axis < missing and position > first]
        if axes:
            move.unsqueeze[index] = axes
    return move


# Operators along one axis

# Operator: the inputs and the outputs of the full rank; None stands for all of them.
_ALONG_AXIS: dict[str, tuple[tuple[int, ...] | None, int]] = {
    "Softmax": ((0,), -1),
    "LogSoftmax": ((0,), -1),
    "Hardmax": ((0,), -1),
    "Concat": (None, 0),
    "Split": ((0,), 0),
    "TopK": ((0,), -1),
    "GatherElements": ((0, 1), 0),
    "ScatterElements": ((0, 1, 2), 0),
    "LpNormalization": ((0,), -1),
}


@_rule(*_ALONG_AXIS)
def _along_axis(node: ir.Node, tensor: Tensor, opset: int) -> Move | None:
    if opset < 13 and node.op_type in ("Softmax", "LogSoftmax", "Hardmax"):
        return None  # these flatten to 2-D
    inputs, default = _ALONG_AXIS[node.op_type]
    chosen = range(len(node.inputs)) if inputs is None else inputs
    if tensor.is_input and tensor.index not in chosen:
        return None
    return Move(
        inputs={index: tensor.perm for index in chosen},
        outputs={index: tensor.perm for index in range(len(node.outputs))},
        attributes={"axis": _axis(_int(node, "axis", default), tensor.perm)},
    )


@_rule("CumSum")
def _cumulative_sum(node: ir.Node, tensor: Tensor, opset: int) -> Move | None:
    axis = constant(node.inputs[1])
    if axis is None or axis.size != 1 or (tensor.is_input and tensor.index != 0):
        return None
    stored = _axis(int(axis.reshape(())), tensor.perm)
    return Move({0: tensor.perm}, {0: tensor.perm}, constants={1: stored})


@_rule("QuantizeLinear", "DequantizeLinear")
def _quantize(node: ir.Node, tensor: Tensor, opset: int) -> Move | None:
    scale_rank = rank_of(node.inputs[1])
    if scale_rank is None or scale_rank > 1 or (tensor.is_input and tensor.index != 0):
        return None
    move = Move({0: tensor.perm}, {0: tensor.perm})
    if scale_rank == 1 and dims_of(node.inputs[1]) != [1]:  # type: ignore[arg-type]  # its rank is known
        move.attributes["axis"] = _axis(_int(node, "axis", 1), tensor.perm)
    return move


@_rule("Gather")
def _gather_axis(node: ir.Node, tensor: Tensor, opset: int) -> Move | None:
    rank, indices_rank = rank_of(node.inputs[0]), rank_of(node.inputs[1])
    if rank is None or indices_rank is None or indices_rank > 1 or (tensor.is_input and tensor.index != 0):
        return None
    axis = _int(node, "axis", 0) % rank
    if indices_rank == 1:
        source = result = tensor.perm
    elif tensor.is_input:
        source, result = tensor.perm, _without(tensor.perm, [axis])
    else:
        source, result = _with(tensor.perm, [axis]), tensor.perm
    return Move({0: source}, {0: result}, attributes={"axis": _axis(axis, source)})


@_rule("GatherND")
def _gather_rows(node: ir.Node, tensor: Tensor, opset: int) -> Move | None:
    indices = constant(node.inputs[1])
    if indices is None or indices.ndim != 2 or indices.shape[1] != 1 or _int(node, "batch_dims", 0):
        return None
    # Whole rows, one after the other: that is a Gather, which can do it along any axis.
    move = Move({0: tensor.perm}, {0: tensor.perm}, constants={1: [int(index) for index in indices[:, 0]]})
    move.op_type = "Gather"
    move.attributes = {"axis": _axis(0, tensor.perm), "batch_dims": None}
    return move


# Reductions and axes that come and go

_REDUCTIONS = ["L1", "L2", "LogSum", "LogSumExp", "Max", "Mean", "Min", "Prod", "Sum", "SumSquare"]


@_rule(*(f"Reduce{name}" for name in _REDUCTIONS))
def _reduce(node: ir.Node, tensor: Tensor, opset: int) -> Move | None:
    rank = rank_of(node.inputs[0])
    if rank is None or (tensor.is_input and tensor.index != 0):
        return None
    if "axes" not in node.attributes and _input(node, 1) is None:
        axes: list[int] | None = [] if _int(node, "noop_with_empty_axes", 0) else list(range(rank))
    else:
        axes = _axes_of(node, 1, rank)
        if not axes:
            return None  # unknown, or empty, which means all or none of them
    assert axes is not None
    source, result = _reduced(tensor, axes, keep=bool(_int(node, "keepdims", 1)))
    move = Move({0: source}, {0: result})
    if len(axes) not in (0, rank):
        _set_axes(node, move, 1, [_axis(axis, source) for axis in axes])
    return move


@_rule("ArgMax", "ArgMin")
def _arg_reduce(node: ir.Node, tensor: Tensor, opset: int) -> Move | None:
    rank = rank_of(node.inputs[0])
    if rank is None:
        return None
    axis = _int(node, "axis", 0) % rank
    source, result = _reduced(tensor, [axis], keep=bool(_int(node, "keepdims", 1)))
    return Move({0: source}, {0: result}, attributes={"axis": _axis(axis, source)})


def _reduced(tensor: Tensor, axes: Sequence[int], *, keep: bool) -> tuple[Perm, Perm]:
    """Return how the input and the output of a reduction over `axes` are stored."""
    if keep:
        return tensor.perm, tensor.perm
    if tensor.is_input:
        return tensor.perm, _without(tensor.perm, axes)
    return _with(tensor.perm, axes), tensor.perm


@_rule("Squeeze")
def _squeeze(node: ir.Node, tensor: Tensor, opset: int) -> Move | None:
    rank = rank_of(node.inputs[0])
    axes = None if rank is None else _axes_of(node, 1, rank)
    if not axes or (tensor.is_input and tensor.index != 0):
        return None
    source, result = _reduced(tensor, axes, keep=False)
    move = Move({0: source}, {0: result})
    _set_axes(node, move, 1, sorted(_axis(axis, source) for axis in axes))
    return move


@_rule("Unsqueeze")
def _unsqueeze_rule(node: ir.Node, tensor: Tensor, opset: int) -> Move | None:
    rank = rank_of(node.outputs[0])
    axes = None if rank is None else _axes_of(node, 1, rank)
    if not axes or (tensor.is_input and tensor.index != 0):
        return None
    if tensor.is_input:
        source, result = tensor.perm, _with(tensor.perm, axes)
    else:
        source, result = _without(tensor.perm, axes), tensor.perm
    move = Move({0: source}, {0: result})
    _set_axes(node, move, 1, sorted(_axis(axis, result) for axis in axes))
    return move


@_rule("LayerNormalization", "RMSNormalization", "SimplifiedLayerNormalization")
def _layer_normalization(node: ir.Node, tensor: Tensor, opset: int) -> Move | None:
    rank = len(tensor.perm)
    axis = _int(node, "axis", -1) % rank
    if tensor.perm[axis:] != tuple(range(axis, rank)) or (tensor.is_input and tensor.index != 0):
        return None
    return Move({0: tensor.perm}, {index: tensor.perm for index in range(len(node.outputs))})


# Operators with a list over axes


@_rule("Slice")
def _slice(node: ir.Node, tensor: Tensor, opset: int) -> Move | None:
    starts = node.inputs[1] if opset >= 10 else None
    # The axes must have the type of the starts, and those that a Move writes are int64.
    if starts is None or starts.dtype != ir.DataType.INT64 or (tensor.is_input and tensor.index != 0):
        return None
    axes = constant(_input(node, 3))
    if axes is None:
        if _input(node, 3) is not None or starts.shape is None:
            return None
        count = starts.shape[0]
        if not isinstance(count, int):
            return None
        axes = np.arange(count)
    stored = [_axis(int(axis), tensor.perm) for axis in axes]
    return Move({0: tensor.perm}, {0: tensor.perm}, constants={3: stored})


@_rule("Pad")
def _pad(node: ir.Node, tensor: Tensor, opset: int) -> Move | None:
    if opset < 11 or (tensor.is_input and tensor.index != 0):
        return None
    rank = len(tensor.perm)
    move = Move({0: tensor.perm}, {0: tensor.perm})
    if _input(node, 3) is None:
        move.gather[1] = [*tensor.perm, *(axis + rank for axis in tensor.perm)]
        return move
    axes = constant(node.inputs[3])
    if axes is None:
        return None
    move.constants[3] = [_axis(int(axis), tensor.perm) for axis in axes]
    return move


@_rule("Tile")
def _tile(node: ir.Node, tensor: Tensor, opset: int) -> Move | None:
    if tensor.is_input and tensor.index != 0:
        return None
    return Move({0: tensor.perm}, {0: tensor.perm}, gather={1: list(tensor.perm)})


@_rule("Expand")
def _expand(node: ir.Node, tensor: Tensor, opset: int) -> Move | None:
    source, result = rank_of(node.inputs[0]), rank_of(node.outputs[0])
    lengths = node.inputs[1]
    if source is None or result is None or lengths is None or lengths.shape is None or lengths.shape[0] != result:
        return None
    if source != result or (tensor.is_input and tensor.index != 0):
        return None
    return Move({0: tensor.perm}, {0: tensor.perm}, gather={1: list(tensor.perm)})


@_rule("Shape")
def _shape(node: ir.Node, tensor: Tensor, opset: int) -> Move | None:
    if not tensor.is_input:
        return None
    rank = len(tensor.perm)
    start, end, _ = slice(_int(node, "start", 0), _int(node, "end", rank)).indices(rank)
    if end <= start:
        return None
    move = Move({0: tensor.perm}, {})
    picks = [tensor.perm.index(axis) for axis in range(start, end)]
    if picks == list(range(picks[0], picks[0] + len(picks))):
        move.attributes = {"start": picks[0], "end": picks[-1] + 1}
    else:
        move.attributes = {"start": None, "end": None}
        move.gather_outputs = {0: picks}
    return move


@_rule("Size")
def _size(node: ir.Node, tensor: Tensor, opset: int) -> Move | None:
    return Move({0: tensor.perm}, {}) if tensor.is_input else None


# Reshapes


@_rule("Reshape")
def _reshape(node: ir.Node, tensor: Tensor, opset: int) -> Move | None:
    sides = _reshape_sides(node)
    if sides is None or (tensor.is_input and tensor.index != 0):
        return None
    perms = _reshaped(*sides, tensor)
    if perms is None:
        return None
    source, result = perms
    stored_in = [sides[0][axis] for axis in source]
    stored_out = [sides[1][axis] for axis in result]
    move = Move({0: source}, {0: result})
    target = reshape_target(stored_in, stored_out)
    if target is not None:
        move.constants[1] = target
        move.attributes["allowzero"] = None
    elif constant(node.inputs[1]) is None and _int(node, "allowzero", 0):
        move.gather[1] = list(result)
    else:
        return None
    return move


@_rule("Flatten")
def _flatten(node: ir.Node, tensor: Tensor, opset: int) -> Move | None:
    rank = rank_of(node.inputs[0])
    if rank is None or not tensor.is_input:
        return None
    axis = _int(node, "axis", 1)
    axis = axis + rank if axis < 0 else axis
    dims = dims_of(node.inputs[0])  # type: ignore[arg-type]  # its rank is known
    kept = [a for a in tensor.perm if dims[a] != 1]
    if kept != sorted(kept):
        return None
    # Axes of size 1 may stand on either side of the cut; no other may change sides.
    first = sum(1 for a in kept if a < axis)
    cut = next((k for k in range(rank + 1) if sum(1 for a in tensor.perm[:k] if dims[a] != 1) == first), rank)
    return Move({0: tensor.perm}, {}, attributes={"axis": cut})


def _reshape_sides(node: ir.Node) -> tuple[list[Dim], list[Dim]] | None:
    """Return the dimensions before and after a Reshape, as far as they are known."""
    source, result = node.inputs[0], node.outputs[0]
    if source is None or source.shape is None or result.shape is None:
        return None
    before, after = list(source.shape), list(result.shape)
    target = constant(node.inputs[1])
    if target is not None:
        for axis, entry in enumerate(target.reshape(-1).tolist()):
            if isinstance(after[axis], int):
                continue
            if entry > 0:
                after[axis] = entry
            elif entry == 0 and not _int(node, "allowzero", 0):
                after[axis] = before[axis]
    return None if any(dim == 0 for dim in (*before, *after)) else (before, after)


def _reshaped(before: list[Dim], after: list[Dim], tensor: Tensor) -> tuple[Perm, Perm] | None:
    """Return how input and output of a Reshape are stored when one of them is stored as `tensor` says."""
    groups = _groups(before, after)
    if groups is None:
        return None
    if not tensor.is_input:
        groups = [(right, left) for left, right in groups]
    here, there = (before, after) if tensor.is_input else (after, before)
    order = [axis for axis in tensor.perm if here[axis] != 1]
    moved: list[int] = []
    while order:
        group = next((group for group in groups if group[0][0] == order[0]), None)
        if group is None or order[: len(group[0])] != group[0]:
            return None
        order = order[len(group[0]) :]
        moved += group[1]
    if moved == sorted(moved):
        other = identity(len(there))
    else:
        for axis, dim in enumerate(there):
            if dim == 1:
                moved.insert(axis, axis)
        other = tuple(moved)
    return (tensor.perm, other) if tensor.is_input else (other, tensor.perm)


def _groups(before: list[Dim], after: list[Dim]) -> list[tuple[list[int], list[int]]] | None:
    """Match the axes before and after a Reshape: groups of neighbours with the same number of elements.

    Axes of size 1 belong to no group. What cannot be told apart is one group. None when sizes cannot match.
    """
    left = [axis for axis, dim in enumerate(before) if dim != 1]
    right = [axis for axis, dim in enumerate(after) if dim != 1]
    start: list[tuple[list[int], list[int]]] = []
    end: list[tuple[list[int], list[int]]] = []
    while (sizes := _match([before[a] for a in left], [after[a] for a in right])) is not None:
        i, j = sizes
        start.append((left[:i], right[:j]))
        left, right = left[i:], right[j:]
    while (sizes := _match([before[a] for a in left[::-1]], [after[a] for a in right[::-1]])) is not None:
        i, j = sizes
        end.append((left[-i:], right[-j:]))
        left, right = left[:-i], right[:-j]
    if bool(left) != bool(right):
        return None
    middle = [(left, right)] if left else []
    return [*start, *middle, *end[::-1]]


def _match(left: list[Dim], right: list[Dim]) -> tuple[int, int] | None:
    """Return how many leading dimensions of each side make the same product, as few as possible."""
    if not left or not right:
        return None
    i = j = 1
    while not _same_product(left[:i], right[:j]):
        # Grow the side that is behind; where that cannot be told, only merges and splits of one axis are tried.
        sizes = _static_size(left[:i]), _static_size(right[:j])
        if sizes[0] is not None and sizes[1] is not None:
            if sizes[0] < sizes[1]:
                i += 1
            else:
                j += 1
            if i > len(left) or j > len(right):
                return None
            continue
        for count in range(2, len(left) + 1):
            if _same_product(left[:count], right[:1]):
                return count, 1
        for count in range(2, len(right) + 1):
            if _same_product(left[:1], right[:count]):
                return 1, count
        return None
    return i, j


def _static_size(dims: Sequence[Dim]) -> int | None:
    sizes = [dim for dim in dims if isinstance(dim, int)]
    return prod(sizes) if len(sizes) == len(dims) else None


def _same_product(left: Sequence[Dim], right: Sequence[Dim]) -> bool:
    def key(dims: Sequence[Dim]) -> tuple[int | str | None, ...]:
        return tuple(dim if isinstance(dim, int) else dim.value for dim in dims)

    return _equal_products(key(left), key(right))


@lru_cache(maxsize=4096)
def _equal_products(left: tuple[int | str | None, ...], right: tuple[int | str | None, ...]) -> bool:
    if None in left or None in right:
        return False
    if left == right:
        return True
    if not any(isinstance(dim, str) for dim in (*left, *right)):
        return prod(map(int, left)) == prod(map(int, right))  # type: ignore[arg-type]  # all are int
    # Products have one way of being written; telling that two sums of them are equal would cost too much.
    return _symbolic_product(left) == _symbolic_product(right)


def _symbolic_product(dims: tuple[int | str | None, ...]) -> ir.SymbolicDim:
    product = ir.SymbolicDim("1")
    for dim in dims:
        product = product * (dim if isinstance(dim, int) else ir.SymbolicDim(dim))
    return product


# Products of matrices


@_rule("MatMul")
@_rule("MatMul", domain=FUSED)
def _matmul(node: ir.Node, tensor: Tensor, opset: int) -> Move | None:
    ranks = [rank_of(node.inputs[0]), rank_of(node.inputs[1])]
    first, second = ranks
    if first is None or second is None:
        return None
    rank = max(first, second)
    swaps = [_int(node, "transA", 0), _int(node, "transB", 0)]
    moved = ranks[tensor.index] if tensor.is_input else rank
    if tensor.perm[-1:] == (len(tensor.perm) - 1,) and first > 2 >= second and not swaps[0] and tensor.index == 0:
        # A matrix, or a vector, is applied to the last axis: all others may go where they like.
        if second == 2:
            return Move({0: tensor.perm}, {0: tensor.perm})
        source = tensor.perm if tensor.is_input else (*tensor.perm, len(tensor.perm))
        return Move({0: source}, {0: source[:-1]})
    if moved is None or min(first, second) < 2 or len(tensor.perm) != moved:
        return None
    batch, last = tensor.perm[:-2], tensor.perm[-2:]
    if sorted(last) != [moved - 2, moved - 1] or (batch != identity(moved - 2) and moved != rank):
        return None
    swapped = last != (moved - 2, moved - 1)
    if swapped and not tensor.is_input:
        return None
    straight = (*batch, moved - 2, moved - 1)
    move = Move(outputs={0: straight} if moved == rank else {})
    for index, other in enumerate(ranks):
        if tensor.is_input and index == tensor.index:
            move.inputs[index] = tensor.perm
            swaps[index] ^= swapped
        elif batch != identity(moved - 2):
            if other == rank:
                move.inputs[index] = straight
            elif other != 2:
                return None
    move.domain = FUSED if any(swaps) else DEFAULT
    move.attributes = {"transA": swaps[0] or None, "transB": swaps[1] or None}
    return move


@_rule("Gemm")
def _gemm(node: ir.Node, tensor: Tensor, opset: int) -> Move | None:
    if not tensor.is_input or tensor.index > 1:
        return None
    name = ("transA", "transB")[tensor.index]
    return Move({tensor.index: tensor.perm}, {}, attributes={name: 1 - _int(node, name, 0)})


@_rule("Einsum")
def _einsum(node: ir.Node, tensor: Tensor, opset: int) -> Move | None:
    equation = node.attributes["equation"].as_string().replace(" ", "")
    left, arrow, right = equation.partition("->")
    terms = left.split(",")
    if not arrow or "." in equation:
        return None
    if tensor.is_input:
        terms[tensor.index] = "".join(terms[tensor.index][axis] for axis in tensor.perm)
        move = Move({tensor.index: tensor.perm}, {})
    else:
        right = "".join(right[axis] for axis in tensor.perm)
        move = Move({}, {0: tensor.perm})
    move.attributes["equation"] = f"{','.join(terms)}->{right}"
    return move
