"""The graphs of Keras models, and of layers whose `call` Keras can record."""

from __future__ import annotations

import inspect
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import keras

from translate.converters.keras_to_torch.lowerings import TABLE
from translate.errors import UnsupportedError

tree = keras.tree


@dataclass(frozen=True)
class Graph:
    """What Keras has recorded: a `keras.Function`, of whose inputs the last ones are `weights`, variables.

    `owner` is the layer or model whose `call` it is, if somebody wrote one.
    """

    function: Any
    weights: tuple[Any, ...] = ()
    owner: Any = None

    @property
    def inputs(self) -> list[Any]:
        """The symbolic tensors that the model or layer is called with, flat."""
        inputs: list[Any] = list(self.function._inputs)
        return inputs[: len(inputs) - len(self.weights)]

    @property
    def outputs(self) -> Any:
        """The structure of symbolic tensors that it returns."""
        return self.function._outputs_struct

    def nodes(self) -> Iterator[Any]:
        """Yield the calls of layers and operations in the order in which Keras runs them."""
        for depth in sorted(self.function._nodes_by_depth, reverse=True):
            for node in self.function._nodes_by_depth[depth]:
                if node.operation is not None and not node.is_input:
                    yield node


def graph_of(operation: Any) -> Graph | None:
    """Return the graph of a functional or sequential model, None for anything else."""
    if isinstance(operation, keras.Sequential) and type(operation).call is keras.Sequential.call:
        return None if operation._functional is None else Graph(operation._functional)
    functional = keras.src.models.functional.Functional
    is_functional = isinstance(operation, functional) and type(operation).call is functional.call
    return Graph(operation) if is_functional or type(operation) is keras.Function else None


def trace(operation: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Graph:
    """Run the `call` of a layer on symbolic tensors and return the graph that Keras records.

    Raises `UnsupportedError` for a `call` that does more than Keras's own layers and operations.
    """
    if not isinstance(operation, keras.Layer):
        raise UnsupportedError("it has no row in the table of operations")
    if type(operation).__module__.startswith("keras.src.layers."):
        # Keras's own code asks which backend it runs on.
        reason = TABLE.not_done.get(type(operation).__name__)
        raise UnsupportedError("it has no row in the table of layers" + (f": {reason}" if reason else ""))
    kwargs = {name: value for name, value in kwargs.items() if name != "training"}
    if "training" in inspect.signature(operation.call).parameters:
        kwargs["training"] = False
    inputs = [leaf for leaf in tree.flatten((list(args), kwargs)) if isinstance(leaf, keras.KerasTensor)]
    try:
        with _symbolic_weights(operation) as weights:
            outputs = operation.call(*args, **kwargs)
        # What no operation has read has no history that Keras could follow.
        used = [(weight, symbol) for weight, symbol in weights if hasattr(symbol, "_keras_history")]
        function = keras.Function([*inputs, *(symbol for _, symbol in used)], outputs)
        return Graph(function, tuple(weight for weight, _ in used), operation)
    except Exception as error:
        # A layer's call is anybody's code.
        reason = (str(error).strip().splitlines() or [""])[0][:200]
        raise UnsupportedError(f"its call is not made of Keras's layers and operations: {reason}") from error


@contextmanager
def _symbolic_weights(layer: Any) -> Iterator[list[tuple[Any, Any]]]:
    """Make symbolic tensors of a layer's own variables; yield the pairs.

    Keras computes at once what depends on no symbolic tensor: of a weight's sigmoid it would record the number. A
    variable that is not an attribute has no value meanwhile, so that such a computation fails.
    """
    own = {name: value for name, value in vars(layer).items() if isinstance(value, keras.Variable)}
    symbols = {name: keras.KerasTensor(one.shape, one.dtype, name=one.name) for name, one in own.items()}
    scope = keras.StatelessScope()
    # Its constructor would make tensors of them.
    scope.state_mapping.update({id(one): keras.KerasTensor(one.shape, one.dtype) for one in layer.weights})
    try:
        vars(layer).update(symbols)
        with scope:
            yield [(variable, symbols[name]) for name, variable in own.items()]
    finally:
        vars(layer).update(own)


def automatic_masks(node: Any, known: Mapping[int, Any]) -> set[str]:
    """Return the arguments of a call that Keras filled in: masks that its inputs, as they are `known`, carry."""
    carried = {
        id(getattr(x, "_keras_mask", None))
        for x in node.input_tensors
        if getattr(known[id(x)], "mask", None) is not None
    }
    return {
        name
        for name, value in node.arguments.kwargs.items()
        if name.endswith("mask") and all(leaf is None or id(leaf) in carried for leaf in tree.flatten(value))
    }


def names_of(graph: Graph, is_inside: bool) -> dict[int, str]:
    """Return names for the layers that nobody has named, whose names Keras has counted through: by their ids.

    A layer that is an attribute of the `owner` is called like it, one in a list `blocks.0`. In a model that `is_inside`
    of such an owner the layers are counted anew, so that two equal models have equal names.
    """
    if graph.owner is not None:
        found: dict[int, str] = {}
        for attribute, value in vars(graph.owner).items():
            if attribute.startswith("_"):
                continue
            if isinstance(value, keras.Layer):
                found.setdefault(id(value), attribute)
            elif isinstance(value, list | tuple):
                found.update(
                    {id(one): f"{attribute}.{i}" for i, one in enumerate(value) if isinstance(one, keras.Layer)}
                )
        layers = (node.operation for node in graph.nodes())
        return {id(one): found[id(one)] for one in layers if id(one) in found and _counted(one)}
    names: dict[int, str] = {}
    counts: Counter[str] = Counter()
    for node in graph.nodes() if is_inside else ():
        base = _counted(node.operation)
        if base and id(node.operation) not in names:
            names[id(node.operation)] = f"{base}_{counts[base]}" if counts[base] else base
            counts[base] += 1
    return names


def _counted(operation: Any) -> str:
    """Return the class's name in snake case if Keras has named an operation by it and a number, else nothing."""
    base: str = keras.src.utils.naming.to_snake_case(type(operation).__name__)
    return base if re.fullmatch(rf"{base}(_\d+)?", operation.name) else ""
