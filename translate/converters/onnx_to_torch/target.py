"""PyTorch as a target of the walk: tensors of the graph under construction, host values, names."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
import onnx_ir as ir
import torch

from translate.converters.lowering import Interpreter, Lowering
from translate.converters.lowering.bind import Form
from translate.converters.onnx_to_torch.builder import Builder
from translate.converters.onnx_to_torch.dtypes import to_numpy, torch_dtype
from translate.converters.onnx_to_torch.shapes import Symbolic, constant, host, objects
from translate.converters.onnx_to_torch.table import HOST, TABLE
from translate.converters.onnx_to_torch.values import Value, Weight, builder
from translate.errors import UnsupportedError

# More entries than this are no shape.
_LARGEST_SHAPE = 256


class TorchTarget:
    """The walk's view of PyTorch; see `lowering.Target`."""

    def tensor(self, value: Any) -> Any:
        """A host value becomes a constant tensor, or one that is made of sizes when the model runs."""
        if isinstance(value, np.ndarray | np.generic | Symbolic):
            return constant(np.asarray(value) if isinstance(value, np.generic) else value)
        return value

    def host(self, value: Any) -> np.ndarray | None:
        """None for what the graph computes and for what the model holds."""
        return np.asarray(value) if isinstance(value, np.ndarray | np.generic) else None

    def evaluate(self, call: Callable[[], Any]) -> tuple[np.ndarray, ...] | None:
        """At once, while nothing is recorded."""
        with Builder.pausing(), torch.no_grad():
            results = call()
        results = results if isinstance(results, tuple) else (results,)
        if not all(isinstance(result, np.ndarray | torch.Tensor) for result in results):
            return None
        return tuple(result if isinstance(result, np.ndarray) else to_numpy(result) for result in results)

    def refine(self, result: Any, value: ir.Value) -> Any:
        """Call the node that computes `value` like it."""
        if isinstance(result, torch.Tensor):
            return to_numpy(result)
        return result

    def placeholder(self, value: ir.Value) -> Any:
        """A stand-in of the same shape and dtype; one in a list for a sequence."""
        try:
            dtype = torch.float32 if value.dtype is None else torch_dtype(value.dtype)
        except UnsupportedError:
            # Its node is refused for that already.
            dtype = torch.float32
        sizes = [[dim if isinstance(dim, int) else size for dim in value.shape or ()] for size in builder().sizes]
        stand_in = builder().placeholder("refused", [torch.empty(s, dtype=dtype, device="meta") for s in sizes])
        return [stand_in] if isinstance(value.type, ir.SequenceType) else stand_in

    def scope(self, node: ir.Node) -> AbstractContextManager[Any]:
        """Nothing to do: names are given afterwards."""
        return contextlib.nullcontext()


class TorchInterpreter(Interpreter):
    """The walk, with one step before it: shape arithmetic on host values that are partly symbolic."""

    def __init__(self, opset_imports: Mapping[str, int]) -> None:
        super().__init__(TABLE, opset_imports, TorchTarget())

    def _call(self, node: ir.Node, opset: int, row: Lowering, environment: Any) -> Sequence[Any]:
        inputs = [None if value is None else environment[value] for value in node.inputs]
        if any(isinstance(value, Symbolic) for value in inputs):
            results = self._arithmetic(node, opset, inputs)
            if results is not None:
                return results
        results = super()._call(node, opset, row, environment)
        for result, value in zip(results, node.outputs, strict=False):
            _name(result, value)
        return results

    def _arithmetic(self, node: ir.Node, opset: int, inputs: Sequence[Any]) -> Sequence[Any] | None:
        row = HOST.find(node.domain, node.op_type, opset)
        shapes = [value for value in inputs if value is not None]
        if row is None or not all(_is_shape(value) for value in shapes):
            return None
        arrays = [None if value is None else _entries(value) for value in inputs]
        results = row.function(*arrays, **row.signature.attributes(node))
        if results is None:
            return None
        results = results if isinstance(results, tuple) else (results,)
        own = next(value.dtype for value in shapes if isinstance(value, Symbolic))
        return [
            host(result, own if value.dtype is None else value.dtype.numpy())
            for result, value in zip(results, node.outputs, strict=False)
        ]

    def _in_form(self, value: Any, form: Form, node: ir.Node, position: int) -> Any:
        if form is Form.HOST and isinstance(value, Weight):
            return to_numpy(value.tensor)
        return super()._in_form(value, form, node, position)

    def _refine(self, result: Any, value: ir.Value) -> Any:
        return result if isinstance(result, Symbolic) else super()._refine(result, value)


def _is_shape(value: Any) -> bool:
    return isinstance(value, Symbolic) or (isinstance(value, np.ndarray) and value.size <= _LARGEST_SHAPE)


def _entries(value: Any) -> np.ndarray:
    return value.entries if isinstance(value, Symbolic) else objects(value)


# What exporters number values with tells a reader nothing.
_NUMBERED = re.compile(r"(val|tmp|v|t|node|output|onnx)?_*\d*")


def _name(result: Any, value: ir.Value) -> None:
    """Call the node that computes `value` like it, unless that is a number only or the call of a layer."""
    if not isinstance(result, Value) or isinstance(result, Weight):
        return
    node = result.node
    if node.op in ("placeholder", "call_module", "get_attr") or "named" in node.meta:
        return
    name = re.sub(r"\W+", "_", str(value.name).partition(":")[0]).strip("_")
    if not _NUMBERED.fullmatch(name) and len(name) <= 40:
        node._rename(name)
    node.meta["named"] = True


__all__ = ["TorchInterpreter", "TorchTarget"]
