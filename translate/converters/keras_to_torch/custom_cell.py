"""Recurrent cells that somebody has written of Keras's operations: their `call` is a graph, translated as the step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np

from translate.converters.keras_to_torch.here import here
from translate.converters.keras_to_torch.layout import Flow, identity
from translate.converters.onnx_to_torch.values import static_size
from translate.errors import UnsupportedError

tree = keras.tree


def custom_step(cell: Any, part: str) -> Callable[[Any, Sequence[Any]], tuple[Any, list[Any]]]:
    """Return the step of a cell: from its input and the states before it to the output and the states after it.

    It raises `UnsupportedError` where the call of the cell is not made of what the tables know.
    """
    # What makes graphs of layers reads the table, which this file is a part of.
    from translate.converters.keras_to_torch.graphs import trace

    place = here()
    within = ".".join(one for one in (place.path, part) if one)
    # Of one graph, however often a loop tries its step out, the weights are the same.
    graphs: list[Any] = []

    def step(x: Any, states: Sequence[Any]) -> tuple[Any, list[Any]]:
        if not graphs:
            inputs, *symbols = [_symbol(value) for value in (x, *states)]
            graphs.append(trace(cell, [inputs, symbols], {}))
        flows = [Flow(value) for value in (x, *states)]
        output, after = place.walk.run(place.scope, graphs[0], flows, within, raises=True)
        return _value(output), [_value(state) for state in tree.flatten(after)]

    return step


def _symbol(value: Any) -> Any:
    shape = [static_size(value, axis) for axis in range(value.ndim)]
    return keras.KerasTensor(shape, str(value.dtype).removeprefix("torch."))


def _value(flow: Flow) -> Any:
    return flow.ordered(identity(flow.rank))


def sizes_of_states(cell: Any) -> list[tuple[int, ...]]:
    """Return the sizes of the states of a cell, without the batch; raises `UnsupportedError` unless they start at 0."""
    if not hasattr(cell, "get_initial_state"):
        return [(size,) for size in tree.flatten(cell.state_size)]
    states = [keras.ops.convert_to_numpy(state) for state in tree.flatten(cell.get_initial_state(batch_size=2))]
    if any(np.any(state) for state in states):
        raise UnsupportedError("a cell whose states do not start at zero")
    return [state.shape[1:] for state in states]
