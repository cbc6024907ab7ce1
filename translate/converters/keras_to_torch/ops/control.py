"""Operations that call functions: branches, loops and maps.

A function is run on symbolic tensors, and what Keras records is translated, as the `call` of a custom layer is. Both
branches are computed, and one result is chosen.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import torch

from translate.converters.keras_to_torch.here import here
from translate.converters.keras_to_torch.layout import Flow, identity
from translate.converters.keras_to_torch.ops.dtypes import truth
from translate.converters.keras_to_torch.table import lower
from translate.converters.onnx_to_torch.control import over_time, repeat_while
from translate.converters.onnx_to_torch.values import Value, record, static_size
from translate.errors import UnsupportedError

tree = keras.tree


def _call(function: Callable[..., Any], *args: Any) -> Any:
    """Translate a function that is called with structures of values; return the structure of its results.

    Raises `UnsupportedError` where it does more than Keras's operations on what it is given and what it encloses.
    """
    # What makes graphs of layers reads the table, which this file is a part of.
    from translate.converters.keras_to_torch.graphs import Graph

    symbols = tree.map_structure(_symbol, list(args))
    inputs = [leaf for leaf in tree.flatten(symbols) if isinstance(leaf, keras.KerasTensor)]
    flows = [Flow(leaf) for leaf in tree.flatten(list(args)) if isinstance(leaf, Value)]
    try:
        outputs = function(*symbols)
    except Exception as error:
        # A function is anybody's code.
        reason = (str(error).strip().splitlines() or [""])[0][:200]
        raise UnsupportedError(f"its function is not made of Keras's operations: {reason}") from error
    if not all(isinstance(leaf, keras.KerasTensor) for leaf in tree.flatten(outputs)):
        raise UnsupportedError("its function returns what does not depend on its arguments")
    place = here()
    for tensor, flow in _enclosed(outputs, inputs, place.walk.known):
        inputs.append(tensor)
        flows.append(flow)
    graph = Graph(keras.Function(inputs, outputs))
    if any(isinstance(node.operation, keras.Layer) for node in graph.nodes()):
        raise UnsupportedError("its function calls layers")
    results = place.walk.run(place.scope, graph, flows, place.path, raises=True)
    return tree.map_structure(lambda flow: flow.ordered(identity(flow.rank)), results)


def _symbol(value: Any) -> Any:
    if not isinstance(value, Value):
        return value
    shape = [static_size(value, axis) for axis in range(value.ndim)]
    return keras.Input(batch_shape=shape, dtype=str(value.dtype).removeprefix("torch."))


def _enclosed(outputs: Any, inputs: Sequence[Any], known: Sequence[Mapping[int, Any]]) -> list[tuple[Any, Flow]]:
    """Return the symbolic tensors from outside that a function uses, each with what it is in PyTorch."""
    found: dict[int, tuple[Any, Flow]] = {}
    seen = {id(tensor) for tensor in inputs}
    waiting = list(tree.flatten(outputs))
    while waiting:
        tensor = waiting.pop()
        if id(tensor) in seen:
            continue
        seen.add(id(tensor))
        flow = next((tensors[id(tensor)] for tensors in reversed(known) if id(tensor) in tensors), None)
        if flow is not None:
            found[id(tensor)] = tensor, flow
            continue
        history = tensor._keras_history
        waiting += history.operation._inbound_nodes[history.node_index].input_tensors
    return list(found.values())


def _chosen(condition: Any, first: Any, second: Any) -> Any:
    return tree.map_structure(lambda one, other: torch.where(condition, one, other), first, second)


@lower("Cond", part="ops")
def cond(op: Any, pred: Any, *, true_fn: Callable[[], Any], false_fn: Callable[[], Any]) -> Any:
    """Call one of two functions, by computing both."""
    if isinstance(pred, bool):
        return _call(true_fn if pred else false_fn)
    return _chosen(truth(pred), _call(true_fn), _call(false_fn))


@lower("Switch", part="ops")
def switch(op: Any, index: Any, *, branches: Sequence[Callable[..., Any]], operands: Sequence[Any] = ()) -> Any:
    """Call one of several functions, by computing all; the index is brought to the nearest one that there is."""
    results = [_call(branch, *operands) for branch in branches]
    if isinstance(index, int):
        return results[min(max(index, 0), len(results) - 1)]
    chosen = results[-1]
    for number in reversed(range(len(results) - 1)):
        chosen = _chosen(index <= number, results[number], chosen)
    return chosen


def _mapped(function: Callable[..., Any], xs: Any) -> Any:
    """Call a function with each slice along the first axis; stack the results."""
    structure: list[Any] = []

    def step(now: Sequence[Any], before: Sequence[Any]) -> tuple[Sequence[Any], Any]:
        result = _call(function, tree.pack_sequence_as(xs, list(now)))
        if len(tree.flatten(result)) != 1:
            raise UnsupportedError("a function that returns several tensors")
        structure[:] = [result]
        return [before[0] + 1], tree.flatten(result)[0]

    # A loop carries something; of floats, since gradients go through it.
    _, stacked = over_time(step, tree.flatten(xs), [record(torch.zeros, [])])
    return tree.pack_sequence_as(structure[0], [stacked])


@lower("Map", part="ops")
def map_(op: Any, f: Callable[..., Any], *, xs: Any) -> Any:
    """Call a function with each slice along the first axis.

    Limits: a function that returns one tensor.
    """
    return _mapped(f, xs)


@lower("VectorizedMap", part="ops")
def vectorized_map(op: Any, elements: Any) -> Any:
    """Call a function with each slice along the first axis, one after the other.

    Limits: a function that returns one tensor.
    """
    return _mapped(op.function, elements)


@lower("Scan", part="ops")
def scan(op: Any, f: Callable[..., Any], *, init: Any, xs: Any = None) -> Any:
    """Call a function with each slice along the first axis and what it carries; return that and the stacked results.

    Limits: as many steps as there are slices, and one result of each.
    """
    if xs is not None and op.length is not None and op.length != static_size(tree.flatten(xs)[0], 0):
        raise UnsupportedError("fewer steps than there are slices")
    slices = [record(torch.arange, op.length)] if xs is None else tree.flatten(xs)
    structure: list[Any] = []

    def step(now: Sequence[Any], before: Sequence[Any]) -> tuple[Sequence[Any], Any]:
        given = None if xs is None else tree.pack_sequence_as(xs, list(now))
        carried, result = _call(f, tree.pack_sequence_as(init, list(before)), given)
        if len(tree.flatten(result)) != 1:
            raise UnsupportedError("a function that returns several tensors for each step")
        structure[:] = [result]
        return tree.flatten(carried), tree.flatten(result)[0]

    slices = [torch.flip(x, [0]) for x in slices] if op.reverse else slices
    *last, stacked = over_time(step, slices, tree.flatten(init))
    stacked = torch.flip(stacked, [0]) if op.reverse else stacked
    return tree.pack_sequence_as(init, last), tree.pack_sequence_as(structure[0], [stacked])


def _repeated(going: Callable[..., Any], body: Callable[..., Any], state: Sequence[Any]) -> list[Any]:
    """Carry tensors through `body` while `going` says so, which may be never.

    PyTorch's loop asks after each step; the first one is undone if there was to be none.
    """
    first = going(*state)

    def step(before: Sequence[Any]) -> tuple[Any, Sequence[Any]]:
        after = body(*before)
        return going(*after), after

    repeated = repeat_while(step, state)
    return [torch.where(first, after, before) for after, before in zip(repeated, state, strict=True)]


@lower("WhileLoop", part="ops")
def while_loop(op: Any, loop_vars: Any) -> Any:
    """Carry tensors through a function while another one says so."""
    several = isinstance(loop_vars, list | tuple)
    state = list(loop_vars) if several else [loop_vars]
    if not all(isinstance(one, Value) for one in state):
        state = [one if isinstance(one, Value) else record(torch.tensor, one) for one in state]
    limit = op.maximum_iterations

    def going(*now: Any) -> Any:
        further = _call(op.cond, *now[: len(state)]).reshape([])
        return further if limit is None else further & (now[-1] < limit)

    def body(*now: Any) -> list[Any]:
        after = _call(op.body, *now[: len(state)])
        counted = [] if limit is None else [now[-1] + 1]
        return [*(after if several else [after]), *counted]

    start = [] if limit is None else [record(torch.zeros, [], dtype=torch.int64)]
    final = _repeated(going, body, [*state, *start])[: len(state)]
    return type(loop_vars)(final) if several else final[0]


@lower("ForiLoop", part="ops")
def fori_loop(op: Any, init_val: Any) -> Any:
    """Carry tensors through a function, which is also given the number of the step.

    Limits: a number of steps that is known.
    """
    if any(isinstance(one, keras.KerasTensor) for one in (op.lower, op.upper)):
        raise UnsupportedError("a number of steps that is computed")

    def step(now: Sequence[Any], before: Sequence[Any]) -> tuple[Sequence[Any], Any]:
        after = _call(op.body_fun, now[0], tree.pack_sequence_as(init_val, list(before)))
        # A loop stacks something.
        return tree.flatten(after), record(torch.zeros, [])

    if int(op.upper) <= int(op.lower):
        return init_val
    numbers = record(torch.arange, int(op.lower), int(op.upper), dtype=torch.int32)
    *final, _ = over_time(step, [numbers], tree.flatten(init_val))
    return tree.pack_sequence_as(init_val, final)
