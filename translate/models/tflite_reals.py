"""A quantised TFLite file in real numbers: the same function, computed in float32 on the grid of the integers.

A quantised tensor holds integers `q` that stand for the real numbers `scale * (q - zero_point)`. TFLite's kernels
compute with the integers, or, of a file with quantised weights only, round what they multiply by them. Here every
operator gets the real numbers instead: constants as float32, and what is computed is rounded to its tensor's grid by
the file's own operators QUANTIZE and DEQUANTIZE. The result is a TFLite file that the interpreter runs, and one that
knows quantisation in these two operators only.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

import numpy as np

from translate.models.base import Array
from translate.models.tflite_file import constant, opcode, operator_name, schema

# Their inputs and outputs are those of other graphs, which stay what they are.
_CALLS = frozenset({"IF", "WHILE", "CALL"})


def in_real_numbers(model: Any) -> bool:
    """Rewrite a `ModelT`, in place; its inputs and outputs stay what they are.

    Returns whether an operator of it computed with integers that stand for real numbers.
    """
    rewritten = [_Graph(model, graph) for graph in model.subgraphs]
    for graph in rewritten:
        graph.rewrite()
    return any(graph.computes_with_integers for graph in rewritten)


@dataclass(frozen=True)
class Twin:
    """An operator that computes with integers, and the tensors of its result and of that in real numbers."""

    operator: str
    integers: int
    reals: int


def beside_integers(model: Any, index: int) -> list[Twin]:
    """Put beside each operator of a subgraph of a `ModelT`, in place, the same in real numbers, of the same integers.

    The results of both, rounded to the same grid, are the subgraph's outputs; the file has no signatures any more.
    """
    graph = _Graph(model, model.subgraphs[index], beside=True)
    graph.rewrite()
    model.subgraphs[index].outputs = [place for twin in graph.twins for place in (twin.integers, twin.reals)]
    model.signatureDefs = []
    return graph.twins


def real_numbers(model: Any, tensor: Any) -> Array | None:
    """Return what a constant stands for as float32: of quantised integers and of float16; None for any other tensor.

    After TFLite's quantisation specification: `scale * (q - zero_point)`, for each slice along an axis where there are
    several scales. https://ai.google.dev/edge/litert/models/quantization_spec
    """
    stored = constant(model, tensor)
    if stored is None or not (is_quantized(tensor) or stored.dtype == np.float16):
        return None
    if stored.dtype == np.float16:
        return stored.astype(np.float32)
    scale, zero = scale_of(tensor)
    sizes = [1] * stored.ndim
    if scale.size > 1:
        sizes[tensor.quantization.quantizedDimension] = scale.size
        scale, zero = scale.reshape(sizes), zero.reshape(sizes)
    numbers = (stored.astype(np.int64) - zero) * scale.astype(np.float64)
    return np.asarray(numbers.astype(np.float32))


def scale_of(tensor: Any) -> tuple[Array, Array]:
    """Return the scales (float32) and zero points (int64) of a quantised tensor: one of each, or one for each slice."""
    scale = np.asarray(tensor.quantization.scale, np.float32)
    zero = tensor.quantization.zeroPoint
    return scale, np.zeros(scale.shape, np.int64) if zero is None else np.asarray(zero, np.int64)


def is_quantized(tensor: Any) -> bool:
    """Whether the integers of a tensor stand for real numbers."""
    kinds = schema().TensorType
    integers = (kinds.INT4, kinds.INT8, kinds.UINT8, kinds.INT16, kinds.UINT16, kinds.INT32, kinds.INT64)
    known = tensor.quantization
    return tensor.type in integers and known is not None and known.scale is not None and len(known.scale) > 0


class _Graph:
    """Rewrites one subgraph."""

    def __init__(self, model: Any, graph: Any, *, beside: bool = False) -> None:
        self._model, self._graph, self._beside = model, graph, beside
        self._operators: list[Any] = []
        # What holds the real numbers of a quantised tensor, both by index.
        self._reals: dict[int, int] = {}
        self.computes_with_integers = False
        self.twins: list[Twin] = []

    def rewrite(self) -> None:
        """Put real numbers between the operators."""
        graph = self._graph
        for index in [] if graph.inputs is None else graph.inputs:
            self._round_off(int(index))
        for operator in graph.operators:
            name = operator_name(self._model, operator)
            if name in _CALLS:
                self._call(operator)
            elif name == "DEQUANTIZE":
                self._dequantized(operator)
            elif name == "QUANTIZE":
                if not self._beside:
                    self._inputs(operator)
                self._operators.append(operator)
                self._round_off(int(operator.outputs[0]))
            else:
                self._compute(operator)
        graph.operators = self._operators

    def _dequantized(self, operator: Any) -> None:
        source, result = int(operator.inputs[0]), int(operator.outputs[0])
        real = self._constant(source)
        if real is None:
            self._operators.append(operator)
            return
        self._reals[result] = real
        if self._beside or result in self._graph.outputs:
            self._operators.append(operator)

    def _call(self, operator: Any) -> None:
        self._operators.append(operator)
        for result in operator.outputs:
            self._round_off(int(result))

    def _compute(self, operator: Any) -> None:
        results = [int(index) for index in operator.outputs]
        rounded = [index for index in results if self._is_quantized(index)]
        if self._beside:
            self._operators.append(copy.copy(operator))
            if not rounded:
                return
        before = self._inputs(operator)
        self.computes_with_integers |= before or bool(rounded)
        operator.outputs = [self._new(index, "/unrounded") if index in rounded else index for index in results]
        # What kernels of integers need besides.
        operator.intermediates = []
        self._operators.append(operator)
        for exact, index in zip(operator.outputs, results, strict=True):
            if index in rounded:
                rounded_to = index
                if self._beside:
                    rounded_to = self._add(copy.copy(self._graph.tensors[index]))
                    self.twins.append(Twin(operator_name(self._model, operator), index, rounded_to))
                self._operators.append(self._operator("QUANTIZE", exact, rounded_to))
                self._round_off(index)

    def _inputs(self, operator: Any) -> bool:
        """Let an operator read real numbers; return whether they were integers."""
        given = [int(index) for index in operator.inputs]
        operator.inputs = [self._real(index) for index in given]
        return any(index >= 0 and self._is_quantized(index) for index in given)

    def _real(self, index: int) -> int:
        if index < 0:
            return index
        if index not in self._reals:
            constant_index = self._constant(index) if self._is_quantized(index) else None
            if constant_index is not None:
                return constant_index
            if self._is_quantized(index) and self._graph.tensors[index].isVariable:
                self._reals[index] = self._new(index, "")
        return self._reals.get(index, index)

    def _constant(self, index: int) -> int | None:
        """Return the tensor that holds a constant's real numbers; None of what is no such constant."""
        if index not in self._reals:
            numbers = real_numbers(self._model, self._graph.tensors[index])
            if numbers is None:
                return None
            buffer = schema().BufferT()
            buffer.data = np.frombuffer(numbers.tobytes(), np.uint8)
            self._model.buffers.append(buffer)
            self._reals[index] = self._new(index, "", buffer=len(self._model.buffers) - 1)
        return self._reals[index]

    def _round_off(self, index: int) -> None:
        """Compute the real numbers of the quantised tensor `index` once its integers are there."""
        if self._is_quantized(index):
            self._reals[index] = self._new(index, "/real")
            self._operators.append(self._operator("DEQUANTIZE", index, self._reals[index]))

    def _is_quantized(self, index: int) -> bool:
        return is_quantized(self._graph.tensors[index])

    def _new(self, index: int, ending: str, *, buffer: int = 0) -> int:
        """Add a tensor of float32 like `index`."""
        like = self._graph.tensors[index]
        tensor = copy.copy(like)
        tensor.type, tensor.quantization, tensor.buffer = schema().TensorType.FLOAT32, None, buffer
        tensor.name = (like.name or b"") + ending.encode()
        return self._add(tensor)

    def _add(self, tensor: Any) -> int:
        self._graph.tensors.append(tensor)
        return len(self._graph.tensors) - 1

    def _operator(self, name: str, source: int, result: int) -> Any:
        operator = schema().OperatorT()
        operator.opcodeIndex = opcode(self._model, name)
        operator.inputs, operator.outputs = [source], [result]
        return operator
