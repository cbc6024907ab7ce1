"""ONNX as a target of the walk: values of the graph under construction, host values, names."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
import onnx_ir as ir
from onnx.reference import ReferenceEvaluator

from translate.converters.tf_to_onnx.build import OPSET, op
from translate.converters.tf_to_onnx.lists import TensorList


class OnnxTarget:
    """The walk's view of ONNX; see `lowering.Target`."""

    def __init__(self) -> None:
        self._names: set[str] = set()

    def _unique(self, name: str) -> str:
        """Return `name`, with a number where something has it: the condition of a loop is written twice."""
        unique, count = name, 0
        while unique in self._names:
            count += 1
            unique = f"{name}/{count}"
        self._names.add(unique)
        return unique

    def tensor(self, value: Any) -> ir.Value | TensorList:
        """A host value becomes a constant; a list stays one."""
        return value if isinstance(value, TensorList) else op.value(value)

    def host(self, value: Any) -> np.ndarray[Any, Any] | None:
        """None for what the graph computes."""
        return np.asarray(value) if isinstance(value, np.ndarray | np.generic) else None

    def evaluate(self, call: Callable[[], Any]) -> tuple[np.ndarray[Any, Any], ...] | None:
        """In a graph of its own, run at once."""
        with op.aside() as frame:
            results = call()
        results = results if isinstance(results, tuple) else (results,)
        if all(isinstance(result, np.ndarray) for result in results):
            return results
        if not all(isinstance(result, ir.Value) for result in results):
            return None
        constants = list(frame.constants.values())
        names = [str(result.name) for result in results]
        graph = ir.Graph([], list(results), nodes=frame.nodes, initializers=constants,
                         opset_imports={"": OPSET}, name="constants")  # fmt: skip
        model = ir.serde.serialize_model(ir.Model(graph, ir_version=10))
        return tuple(np.asarray(array) for array in ReferenceEvaluator(model).run(names, {}))

    def refine(self, result: Any, value: ir.Value) -> Any:
        """Name the result like TensorFlow's tensor, and add what TensorFlow knows of its dtype and sizes."""
        if not isinstance(result, ir.Value):
            return result
        if result.producer() is not None and value.name and not result.metadata_props.get("named"):
            result.name = self._unique(value.name.removesuffix(":0"))
            result.metadata_props["named"] = "1"
        if result.dtype is None and value.dtype is not None:
            result.type = ir.TensorType(value.dtype)
        result.shape = _merge(result.shape, value.shape)
        return result

    def placeholder(self, value: ir.Value) -> ir.Value:
        """A stand-in of the same shape and dtype."""
        return ir.Value(name=f"{value.name}/missing", shape=value.shape, type=value.type)

    def scope(self, node: ir.Node) -> AbstractContextManager[Any]:
        """Name the nodes like TensorFlow's operation."""
        return op.scope(str(node.name))


def _merge(ours: ir.Shape | None, theirs: ir.Shape | None) -> ir.Shape | None:
    """Return the sizes of `ours`, those of `theirs` where ours are open."""
    if ours is None or theirs is None or len(ours) != len(theirs):
        return theirs if ours is None else ours
    return ir.Shape(
        [b if not isinstance(a, int) and isinstance(b, int) else a for a, b in zip(ours, theirs, strict=True)]
    )
