"""Keras as a target of the walk: symbolic tensors, host values, and numbers that follow from open sizes."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import partial
from typing import Any

import numpy as np
import onnx_ir as ir
from keras import KerasTensor

from translate.converters.lowering import Interpreter, Lowering
from translate.converters.lowering.bind import Form
from translate.converters.onnx_to_keras.build import Builder, Sizes, Weight
from translate.converters.onnx_to_keras.table import TABLE, Array
from translate.errors import UnsupportedError


class KerasTarget:
    """The walk's view of Keras; see `lowering.Target`."""

    def __init__(self, builder: Builder) -> None:
        self._builder = builder

    def tensor(self, value: Any) -> Any:
        """Bring a weight or a computed size into the form that operations take; they take arrays, too."""
        return self._builder.tensor(value)

    def host(self, value: Any) -> Array | None:
        """None for what the model computes."""
        return np.asarray(value) if isinstance(value, np.ndarray | np.generic) else None

    def evaluate(self, call: Callable[[], Any]) -> tuple[Array, ...] | None:
        """None: what is known was found in the worlds."""
        return None

    def refine(self, result: Any, value: ir.Value) -> Any:
        """Note which open sizes `result` has; what Keras computed at once, of arrays alone, is an array."""
        if not isinstance(result, KerasTensor):
            return result if isinstance(result, Sizes) else np.asarray(result)
        self._builder.found(value, result)
        return result

    def placeholder(self, value: ir.Value) -> Any:
        """A stand-in of the same shape and dtype."""
        shape = tuple(dim if isinstance(dim, int) else None for dim in value.shape or ())
        return KerasTensor(shape, "float32" if value.dtype is None else value.dtype.numpy().name)

    def scope(self, node: ir.Node) -> AbstractContextManager[Any]:
        """Nothing: operations are named by Keras, layers after their weights."""
        return contextlib.nullcontext()


class KerasInterpreter(Interpreter):
    """The walk, with one step before it: what is known of a node's results in the worlds is not computed."""

    def __init__(self, opset_imports: Mapping[str, int], builder: Builder) -> None:
        super().__init__(TABLE, opset_imports, KerasTarget(builder))
        self._known = builder.worlds.known

    def _lower(self, node: ir.Node, environment: Any) -> Sequence[Any]:
        found = [self._known.get(value) for value in node.outputs if value.uses() or value.is_graph_output()]
        if found and all(arrays is not None and _is_plain(arrays) for arrays in found):
            compute = partial(super()._lower, node, environment)
            return [self._host(value, place, compute) for place, value in enumerate(node.outputs)]
        return super()._lower(node, environment)

    def _call(self, node: ir.Node, opset: int, row: Lowering, environment: Any) -> Sequence[Any]:
        results = super()._call(node, opset, row, environment)
        if any(value.uses() or value.is_graph_output() for value in node.outputs[len(results) :]):
            raise UnsupportedError("of what it returns only the first is covered")
        return results

    def _host(self, value: ir.Value, place: int, compute: Callable[[], Sequence[Any]]) -> Any:
        arrays = self._known.get(value)
        if arrays is None:
            return None
        if all(np.array_equal(array, arrays[0], equal_nan=array.dtype.kind == "f") for array in arrays[1:]):
            return arrays[0]
        return Sizes(arrays, lambda: compute()[place])

    def _in_form(self, value: Any, form: Form, node: ir.Node, position: int) -> Any:
        if form is Form.HOST and isinstance(value, Weight) and not value.trainable:
            return value.numpy()
        return super()._in_form(value, form, node, position)


def _is_plain(arrays: tuple[Array, ...]) -> bool:
    """Say whether they are one array, or the numbers that sizes make of one."""
    first = arrays[0]
    same = all(np.array_equal(first, array, equal_nan=first.dtype.kind == "f") for array in arrays[1:])
    return same or (first.dtype.kind in "iub" and all(array.shape == first.shape for array in arrays[1:]))
