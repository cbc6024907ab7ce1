"""One call of a row: the arguments of a Keras call brought into the form that the row takes, and its results."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
import torch

from translate.converters.keras_to_torch.here import Here, at, compute_dtype, parameter
from translate.converters.keras_to_torch.layout import Flow, any_order, common_order, identity
from translate.converters.keras_to_torch.table import Row
from translate.converters.onnx_to_torch.dtypes import to_torch
from translate.converters.onnx_to_torch.values import Value, builder, static_size
from translate.errors import UnsupportedError

tree = keras.tree


def symbolic(flow: Flow) -> Any:
    """Return the symbolic tensor of Keras that a value stands for."""
    value = flow.ordered(identity(flow.rank))
    shape = [static_size(value, axis) for axis in range(value.ndim)]
    return keras.KerasTensor(shape, str(value.dtype).removeprefix("torch."))


def constant(value: Any) -> Any:
    """Return what is known of the arguments of a call: variables and arrays as values of the graph."""
    if isinstance(value, keras.Variable):
        return Flow(parameter(value.name, value))
    if isinstance(value, np.ndarray) or (keras.ops.is_tensor(value) and not isinstance(value, Flow)):
        array = keras.ops.convert_to_numpy(value)
        return Flow(builder().constant(to_torch(array))) if array.ndim else array.item()
    return value


def bound(operation: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of a call by their names in Keras's `call`."""
    signature = inspect.signature(operation.call)
    # Keras hands `training` to whatever takes it, and drops it before what does not.
    kwargs = {name: value for name, value in kwargs.items() if name != "training"}
    given = signature.bind(*args, **kwargs).arguments
    for name, parameter_ in signature.parameters.items():
        if parameter_.kind is inspect.Parameter.VAR_KEYWORD:
            given.update(given.pop(name, {}))
    return {name: value for name, value in given.items() if name != "training"}


def called(row: Row, place: Here, given: Mapping[str, Any]) -> Any:
    """Call a row on tensors in the order that it wants, and say in which order its results are."""
    operation = place.operation
    flows = [leaf for leaf in tree.flatten(given) if isinstance(leaf, Flow)]
    common = None
    if row.layout is any_order:
        common = common_order(flows) or identity(max((flow.rank for flow in flows), default=0))
    dtype = compute_dtype(operation)

    def order(rank: int) -> Any:
        wanted = row.layout(operation, rank)
        if wanted is not None:
            return wanted
        return common if common is not None and len(common) == rank else identity(rank)

    def value(leaf: Any) -> Any:
        if not isinstance(leaf, Flow):
            return leaf
        held = leaf.ordered(order(leaf.rank))
        floating = held.dtype.is_floating_point
        return held.to(dtype) if floating and dtype is not None and held.dtype is not dtype else held

    values = {name: tree.map_structure(value, argument) for name, argument in given.items()}
    first, *others = values
    accepted = inspect.signature(row.function).parameters
    names = list(accepted)[2:]
    foreign = [name for name in others if name not in names and not _accepts_any(accepted)]
    # A mask that a row does not ask for has no effect on what it computes when the model is used.
    foreign = [name for name in foreign if not name.endswith("mask") and values[name] is not False]
    if foreign:
        raise UnsupportedError(f"{foreign[0]} is not covered")
    others = [name for name in others if name in names or _accepts_any(accepted)]
    main = flows[0].rank if flows else 0
    with at(Here(place.walk, place.scope, operation, place.path, order(main))):
        result = row.function(operation, values[first], **{name: values[name] for name in others})
    return tree.map_structure(
        lambda leaf: Flow(leaf, order(leaf.ndim)) if isinstance(leaf, Value) else leaf,
        result,
    )


def _accepts_any(parameters: Mapping[str, inspect.Parameter]) -> bool:
    return any(one.kind is inspect.Parameter.VAR_KEYWORD for one in parameters.values())


def of_dtype(flow: Flow, dtype: str) -> Flow:
    """Return the result of an operation in the dtype that Keras says it has."""
    wanted = getattr(torch, dtype, None)
    if not isinstance(wanted, torch.dtype) or flow.value.dtype is wanted or flow.value.dtype.is_complex:
        return flow
    return Flow(flow.value.to(wanted), flow.order, flow.mask)
