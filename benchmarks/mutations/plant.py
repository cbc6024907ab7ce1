"""Ten kinds of bug, each planted in an ONNX graph: the mistakes that translators make.

A kind is a function that lists the places of a graph where such a bug can be made. A place is what it is called and a
function that makes the bug there, in place.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import onnx_ir as ir

Place = tuple[str, Callable[[], None]]
Array = np.ndarray[Any, np.dtype[Any]]

_NORMALISATIONS = (
    *("BatchNormalization", "InstanceNormalization", "LayerNormalization", "GroupNormalization", "RMSNormalization"),
)
_WINDOWS = ("Conv", "ConvTranspose", "MaxPool", "AveragePool", "LpPool")


def swapped_axis(graph: ir.Graph) -> Iterator[Place]:
    """A Transpose with two axes of the same size exchanged, a Softmax or a reduction over the neighbouring axis."""
    for node in graph.all_nodes():
        shape = node.inputs[0].shape if node.inputs and node.inputs[0] is not None else None
        if node.op_type == "Transpose" and shape is not None and "perm" in node.attributes:
            perm = list(node.attributes["perm"].as_ints())
            for a, b in itertools.combinations(range(len(perm)), 2):
                if shape[perm[a]] == shape[perm[b]] and shape[perm[a]] != 1:
                    swapped = perm.copy()
                    swapped[a], swapped[b] = perm[b], perm[a]
                    yield f"{node.name}: perm {perm} → {swapped}", _set(node, "perm", swapped)
        elif node.op_type in ("Softmax", "LogSoftmax") and shape is not None and len(shape) > 1:
            axis = _attribute(node, "axis", -1) % len(shape)
            yield f"{node.name}: {node.op_type} over axis {axis} → {axis - 1}", _set(node, "axis", axis - 1)
        elif node.op_type == "MatMul" and shape is not None and len(shape) > 1 and shape[-1] == shape[-2]:
            yield f"{node.name}: its first input transposed", _transpose_input(node, len(shape))


def eps(graph: ir.Graph) -> Iterator[Place]:
    """The epsilon of a normalisation 1e-3 instead of 1e-5, or the other way round."""

    def other(value: float) -> float:
        return 1e-3 if value < 3e-4 else 1e-5

    for node in graph.all_nodes():
        if node.op_type in _NORMALISATIONS:
            value = _attribute(node, "epsilon", 1e-5)
            yield f"{node.name}: epsilon {value:.1e} → {other(value):.0e}", _set(node, "epsilon", other(value))
        if node.op_type == "Add":
            for index, value in enumerate(node.inputs):
                number = _scalar(value)
                after = {user.op_type for user in node.outputs[0].consumers()}
                if number is not None and 0 < number <= 1.1e-2 and after & {"Sqrt", "Pow", "Rsqrt"}:
                    changed = np.asarray(other(number), "float32")
                    yield f"{node.name}: {number:.1e} → {other(number):.0e}", _replace_constant(node, index, changed)


def gelu_tanh(graph: ir.Graph) -> Iterator[Place]:
    """GELU by its tanh approximation instead of erf."""
    for node in graph.all_nodes():
        if node.op_type == "Gelu":
            change = "none" if _attribute(node, "approximate", "none") == "tanh" else "tanh"
            yield f"{node.name}: approximate = {change}", _set(node, "approximate", change)
        if node.op_type == "Erf":
            yield f"{node.name}: erf → tanh", _approximate_erf(node)


def align_corners(graph: ir.Graph) -> Iterator[Place]:
    """Resize or GridSample with the corners aligned where they are not, and the other way round."""
    for node in graph.all_nodes():
        if node.op_type == "Resize":
            name = "coordinate_transformation_mode"
            mode = _attribute(node, name, "half_pixel")
            nearest = _attribute(node, "mode", "nearest") == "nearest"
            change = "align_corners" if mode != "align_corners" and not nearest else "half_pixel"
            if change != mode:
                yield f"{node.name}: {mode} → {change}", _set(node, name, change)
        if node.op_type == "GridSample":
            change = 1 - _attribute(node, "align_corners", 0)
            yield f"{node.name}: align_corners = {change}", _set(node, "align_corners", change)


def count_include_pad(graph: ir.Graph) -> Iterator[Place]:
    """An average over the padding too, or not over it."""
    for node in graph.all_nodes():
        if node.op_type == "AveragePool" and any(_attribute(node, "pads", [])):
            change = 1 - _attribute(node, "count_include_pad", 0)
            yield f"{node.name}: count_include_pad = {change}", _set(node, "count_include_pad", change)


def pad_side(graph: ir.Graph) -> Iterator[Place]:
    """One row or column of the padding on the other side."""
    for node in graph.all_nodes():
        if node.op_type in _WINDOWS:
            pads = list(_attribute(node, "pads", []))
            rank = len(pads) // 2
            for axis in range(rank):
                if pads[axis] or pads[axis + rank]:
                    yield (
                        f"{node.name}: {node.op_type} pads {pads}, axis {axis}",
                        _set(node, "pads", _moved(pads, axis)),
                    )
        if node.op_type == "Pad":
            constant = _constant(node.inputs[1])
            pads = [] if constant is None else constant.tolist()
            for axis in range(len(pads) // 2):
                if max(pads[axis], pads[axis + len(pads) // 2]) > 0:
                    changed = np.asarray(_moved(pads, axis), "int64")
                    yield f"{node.name}: Pad {pads}, axis {axis}", _replace_constant(node, 1, changed)


def weight_1_percent(graph: ir.Graph) -> Iterator[Place]:
    """One element of a weight greater by 1 %."""
    for value in _weights(graph):
        array = _constant(value)
        assert array is not None
        if array.size > 8:
            # Some element of each weight: as seeded as the choice of the weight.
            place = np.random.default_rng(array.size).integers(array.size)
            if array.flat[place] != 0:
                changed = array.copy()
                changed.flat[place] *= 1.01
                yield f"{value.name}: element {place}", _set_weight(value, changed)


def transposed_weight(graph: ir.Graph) -> Iterator[Place]:
    """A square weight transposed, that of a convolution in its channels or its window."""
    for value in _weights(graph):
        array = _constant(value)
        assert array is not None
        for a, b in ((-1, -2), (0, 1)):
            if array.ndim >= 2 and array.shape[a] == array.shape[b] > 1 and not (array.ndim == 2 and a == 0):
                changed = np.ascontiguousarray(np.swapaxes(array, a, b))
                yield f"{value.name}: {list(array.shape)}, axes {a} and {b}", _set_weight(value, changed)


def off_by_one(graph: ir.Graph) -> Iterator[Place]:
    """A slice, or a selection of one place, a step further or back."""
    for node in graph.all_nodes():
        data = node.inputs[0] if node.inputs else None
        if data is None or not _is_data(graph, data):
            continue
        if node.op_type == "Slice":
            starts, ends = _constant(node.inputs[1]), _constant(node.inputs[2])
            for step in (1, -1):
                if (
                    starts is None
                    or ends is None
                    or (np.abs(ends) > 2**31).any()
                    or ((starts + step) * (starts + 0.5) < 0).any()
                ):
                    continue
                yield (
                    f"{node.name}: Slice {starts.tolist()}:{ends.tolist()}, {step:+d}",
                    _shift_slice(node, starts, ends, step),
                )
        if node.op_type == "Gather":
            index = _constant(node.inputs[1])
            if index is not None and index.size == 1:
                for step in (1, -1):
                    if (index >= 0).all() == (index + step >= 0).all():
                        yield f"{node.name}: place {index.tolist()} {step:+d}", _replace_constant(node, 1, index + step)


def missing_scale(graph: ir.Graph) -> Iterator[Place]:
    """A multiplication with a constant, or a division by one, left out."""
    for node in graph.all_nodes():
        if node.op_type not in ("Mul", "Div") or node.outputs[0].dtype not in (ir.DataType.FLOAT, None):
            continue
        constants = [_constant(value) for value in node.inputs]
        for index, constant in enumerate(constants):
            kept = node.inputs[1 - index]
            if constant is None or kept is None or constants[1 - index] is not None or (constant == 1).all():
                continue
            if constant.dtype.kind == "f" and (node.op_type == "Mul" or index == 1):
                yield f"{node.name}: {node.op_type} by {np.round(constant.ravel()[:3], 4)}", _bypass(node, kept)


KINDS: dict[str, Callable[[ir.Graph], Iterator[Place]]] = {
    "swapped axis": swapped_axis,
    "eps 1e-5 → 1e-3": eps,
    "GELU by tanh": gelu_tanh,
    "align_corners": align_corners,
    "count_include_pad": count_include_pad,
    "wrong pad side": pad_side,
    "weight element + 1 %": weight_1_percent,
    "transposed square weight": transposed_weight,
    "off-by-one slice": off_by_one,
    "missing scale": missing_scale,
}


def _attribute(node: ir.Node, name: str, default: Any) -> Any:
    return node.attributes[name].value if name in node.attributes else default


def _set(node: ir.Node, name: str, value: Any) -> Callable[[], None]:
    def change() -> None:
        node.attributes[name] = ir.convenience.convert_attribute(name, value)

    return change


def _constant(value: ir.Value | None) -> Array | None:
    tensor = None if value is None else ir.convenience.get_const_tensor(value)
    return None if tensor is None else tensor.numpy()


def _scalar(value: ir.Value | None) -> float | None:
    constant = _constant(value)
    return (
        float(constant.reshape(()))
        if constant is not None and constant.size == 1 and constant.dtype.kind == "f"
        else None
    )


def _weights(graph: ir.Graph) -> list[ir.Value]:
    """List the parameters that a float32 matrix or more, and that something reads."""
    return [
        value
        for value in graph.initializers.values()
        if value.const_value is not None
        and value.const_value.dtype == ir.DataType.FLOAT
        and len(value.const_value.shape) >= 2
        and value.uses()
    ]


def _is_data(graph: ir.Graph, value: ir.Value) -> bool:
    """Say whether `value` is what the model computes with, not a shape."""
    return value in graph.inputs or value.dtype == ir.DataType.FLOAT


def _moved(pads: Sequence[int], axis: int) -> list[int]:
    """Move one element of padding to the other side; uneven padding changes sides."""
    moved, other = list(pads), axis + len(pads) // 2
    if pads[axis] != pads[other]:
        moved[axis], moved[other] = pads[other], pads[axis]
    else:
        moved[axis], moved[other] = pads[axis] - 1, pads[other] + 1
    return moved


def _replace_constant(node: ir.Node, index: int, array: Array) -> Callable[[], None]:
    def change() -> None:
        old = node.inputs[index]
        assert old is not None
        graph = node.graph
        assert graph is not None
        like = _constant(old)
        assert like is not None
        new = _constant_node(array.astype(like.dtype).reshape(like.shape), f"{old.name}_mutated")
        graph.insert_before(node, new)
        node.replace_input_with(index, new.outputs[0])

    return change


def _constant_node(array: Array, name: str) -> ir.Node:
    node = ir.node("Constant", [], {"value": ir.tensor(array)})
    node.outputs[0].name, node.outputs[0].dtype = name, ir.DataType.from_numpy(array.dtype)
    node.outputs[0].shape = ir.Shape(array.shape)
    return node


def _set_weight(value: ir.Value, array: Array) -> Callable[[], None]:
    def change() -> None:
        value.const_value = ir.tensor(array, name=value.name)

    return change


def _shift_slice(node: ir.Node, starts: Array, ends: Array, step: int) -> Callable[[], None]:
    def change() -> None:
        _replace_constant(node, 1, starts + step)()
        _replace_constant(node, 2, ends + step)()

    return change


def _bypass(node: ir.Node, kept: ir.Value) -> Callable[[], None]:
    def change() -> None:
        # Not by replacing uses: the output may be an output of the graph.
        graph = node.graph
        assert graph is not None
        new = ir.node("Identity", [kept])
        new.outputs[0].dtype, new.outputs[0].shape = node.outputs[0].dtype, node.outputs[0].shape
        _put_in_place(graph, node, [new])

    return change


def _transpose_input(node: ir.Node, rank: int) -> Callable[[], None]:
    def change() -> None:
        assert node.graph is not None
        value = node.inputs[0]
        new = ir.node("Transpose", [value], {"perm": [*range(rank - 2), rank - 1, rank - 2]})
        new.outputs[0].dtype, new.outputs[0].shape = value.dtype, value.shape
        node.graph.insert_before(node, new)
        node.replace_input_with(0, new.outputs[0])

    return change


def _approximate_erf(node: ir.Node) -> Callable[[], None]:
    """Put tanh(2/√π (u + 0.08943 u³)) for erf(u): GELU's tanh form (Hendrycks and Gimpel, 2016), where u = x/√2."""

    def change() -> None:
        graph = node.graph
        assert graph is not None
        value = node.inputs[0]
        cubic = _constant_node(np.asarray(2 * 0.044715, "float32"), f"{node.outputs[0].name}_cubic")
        outer = _constant_node(np.asarray(2 / np.sqrt(np.pi), "float32"), f"{node.outputs[0].name}_outer")
        square = ir.node("Mul", [value, value])
        cube = ir.node("Mul", [square.outputs[0], value])
        third = ir.node("Mul", [cube.outputs[0], cubic.outputs[0]])
        both = ir.node("Add", [value, third.outputs[0]])
        scaled = ir.node("Mul", [both.outputs[0], outer.outputs[0]])
        tanh = ir.node("Tanh", [scaled.outputs[0]])
        for new in (square, cube, third, both, scaled, tanh):
            new.outputs[0].dtype, new.outputs[0].shape = ir.DataType.FLOAT, value.shape
        _put_in_place(graph, node, [cubic, outer, square, cube, third, both, scaled, tanh])

    return change


def _put_in_place(graph: ir.Graph, node: ir.Node, new: Sequence[ir.Node]) -> None:
    ir.convenience.replace_nodes_and_values(graph, node, [node], list(new), node.outputs, new[-1].outputs)
