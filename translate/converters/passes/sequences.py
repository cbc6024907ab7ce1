"""Write as tensors what a graph does with sequences of them, where it can be: TensorFlow's loops carry no sequences.

PyTorch's exporters write torch.split as a sequence whose parts are picked by number, and a list that TorchScript fills
in a loop and joins after it as a sequence that the loop carries.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from translate.errors import UnsupportedError


def slice_parts(model: ir.Model) -> None:
    """Replace, in place, each part picked by number from a split into parts of one size by a Slice.

    How many parts there are need not be known then; onnxscript's constant folding fails where their size is not.
    Raises `UnsupportedError` for a sequence of parts of a computed size that is used in another way.
    """
    for node in _all(model, "SplitToSequence"):
        size = node.inputs[1] if len(node.inputs) > 1 else None
        # A list of sizes says itself how many parts there are.
        if size is None or size.shape is None or size.shape.rank() != 0:
            continue
        for pick in node.outputs[0].consumers():
            _slice_part(node, size, pick)
        if not node.outputs[0].uses() and not node.outputs[0].is_graph_output():
            assert node.graph is not None
            node.graph.remove(node, safe=True)
        elif size.const_value is None:
            raise UnsupportedError(f'SplitToSequence "{node.name}": how many parts it makes is computed')


def _slice_part(split: ir.Node, size: ir.Value, pick: ir.Node) -> None:
    index = pick.inputs[1] if pick.op_type == "SequenceAt" else None
    number = None if index is None or index.const_value is None else int(index.const_value.numpy().item())
    if number is None or number < 0:
        return
    whole, begin, end, axis = (
        _int64(value) for value in ([1], [number], [number + 1], [split.attributes.get_int("axis", 0)])
    )
    width = ir.node("Reshape", [size, whole.outputs[0]])
    start, stop = (ir.node("Mul", [width.outputs[0], times.outputs[0]]) for times in (begin, end))
    # A part of one size that reaches past the end is cut short, as Slice does.
    part = ir.node("Slice", [split.inputs[0], start.outputs[0], stop.outputs[0], axis.outputs[0]])
    _replace(pick, [whole, begin, end, axis, width, start, stop, part], pick.outputs, part.outputs)


def stack_lists(model: ir.Model) -> None:
    """Turn, in place, a list that is empty before a Loop, grows by one in each step and is joined into a scan output.

    A list that is joined along an axis that it has already may hold tensors of several sizes: where the number of steps
    is known, so that the loop can be written out, it stays.
    """
    for loop in _all(model, "Loop"):
        for index in reversed(range(len(loop.inputs) - 2)):
            loop = _stack_list(loop, index)


def _stack_list(loop: ir.Node, index: int) -> ir.Node:
    """Do so for what `loop` carries at `index`, if it is such a list; return the loop that stands for `loop` then."""
    body = loop.attributes["body"].as_graph()
    joins = loop.outputs[index].consumers()
    element = _appended(loop, index, body)
    counted = loop.inputs[0] is not None and loop.inputs[0].const_value is not None
    if element is None or not joins or not all(_can_stack(join, element, counted) for join in joins):
        return loop
    # What a loop stacks must be an output of its own.
    copy = ir.node("Identity", [element])
    copy.outputs[0].type, copy.outputs[0].shape = element.type, element.shape
    body.append(copy)
    insert = body.outputs.pop(index + 1).producer()
    body.outputs.append(copy.outputs[0])
    assert insert is not None
    body.remove(insert, safe=True)
    body.inputs.pop(index + 2)
    inputs = [value for position, value in enumerate(loop.inputs) if position != index + 2]
    kept = [value for position, value in enumerate(loop.outputs) if position != index]
    del loop.attributes["body"]
    new = ir.node("Loop", inputs, attributes={"body": body}, num_outputs=len(loop.outputs), name=loop.name)
    new.metadata_props.update(loop.metadata_props)
    stack = new.outputs[-1]
    stack.type = element.type
    stack.shape = None if element.shape is None else ir.Shape([None, *element.shape])
    for value, old in zip(new.outputs, kept, strict=False):
        value.name, value.type, value.shape = old.name, old.type, old.shape
    for join in joins:
        nodes = _joined(join, stack, element)
        _replace(join, nodes, join.outputs, nodes[-1].outputs)
    _replace(loop, [new], kept, new.outputs[:-1])
    return new


def _appended(loop: ir.Node, index: int, body: ir.Graph) -> ir.Value | None:
    """Return what each step appends to the list that `loop` carries at `index`; None if it is no such list."""
    start, inside, after = loop.inputs[index + 2], body.inputs[index + 2], body.outputs[index + 1]
    empty, insert = None if start is None else start.producer(), after.producer()
    if empty is None or empty.op_type != "SequenceEmpty" or insert is None or insert.op_type != "SequenceInsert":
        return None
    # With a position the new element need not be the last.
    appends = insert.inputs[0] is inside and all(value is None for value in insert.inputs[2:])
    unseen = len(inside.uses()) == 1 and not after.uses() and list(body.outputs).count(after) == 1
    return insert.inputs[1] if appends and unseen and not loop.outputs[index].is_graph_output() else None


def _can_stack(join: ir.Node, element: ir.Value, counted: bool) -> bool:
    if join.op_type != "ConcatFromSequence" or element.dtype is None:
        return False
    new_axis = bool(join.attributes.get_int("new_axis", 0))
    in_place = new_axis and join.attributes.get_int("axis") == 0
    return (in_place or _joined_rank(join, element) is not None) and (new_axis or not counted)


def _joined_rank(join: ir.Node, element: ir.Value) -> int | None:
    """Return the number of axes of what `join` gives."""
    if join.outputs[0].shape is not None:
        return join.outputs[0].shape.rank()
    if element.shape is None:
        return None
    return element.shape.rank() + join.attributes.get_int("new_axis", 0)


def _joined(join: ir.Node, stack: ir.Value, element: ir.Value) -> list[ir.Node]:
    """Return the nodes that bring `stack` [steps, *element] into the form that `join` gives; the last has it."""
    axis = join.attributes.get_int("axis")
    new_axis = bool(join.attributes.get_int("new_axis", 0))
    if new_axis and axis == 0:
        return [ir.node("Identity", [stack])]
    rank = _joined_rank(join, element)
    assert rank is not None
    axis %= rank
    steps = rank if new_axis else rank + 1
    moved = ir.node("Transpose", [stack], attributes={"perm": [*range(1, axis + 1), 0, *range(axis + 1, steps)]})
    if new_axis:
        return [moved]
    # The steps lie just before the axis that they become a part of.
    before = ir.node("Shape", moved.outputs, attributes={"end": axis})
    merged = _int64([-1])
    behind = ir.node("Shape", moved.outputs, attributes={"start": axis + 2})
    sizes = (before.outputs[0], merged.outputs[0], behind.outputs[0])
    shape = ir.node("Concat", sizes, attributes={"axis": 0})
    return [moved, before, merged, behind, shape, ir.node("Reshape", [moved.outputs[0], shape.outputs[0]])]


def _all(model: ir.Model, op_type: str) -> list[ir.Node]:
    return [node for node in model.graph.all_nodes() if (node.domain, node.op_type) == ("", op_type)]


def _int64(values: Sequence[int]) -> ir.Node:
    return ir.node("Constant", [], attributes={"value": ir.tensor(np.array(values, np.int64))})


def _replace(
    node: ir.Node, nodes: Sequence[ir.Node], old_values: Sequence[ir.Value], new_values: Sequence[ir.Value]
) -> None:
    assert node.graph is not None
    ir.convenience.replace_nodes_and_values(node.graph, node, [node], nodes, old_values, new_values)
