"""A TFLite file as an `onnx_ir` graph in the private domain `tflite`, one node for each operator.

The file is read in real numbers (`models.tflite_reals`), so quantisation is in its operators QUANTIZE and DEQUANTIZE
only. Attributes have the schema's names and defaults; numbers of an enumeration are its names, dtypes ONNX's numbers,
and those that only tell kernels how to compute are dropped. A custom operator is a node of the domain `tflite.custom`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import onnx_ir as ir

from translate.converters.metadata import KIND
from translate.models.tflite_file import constant, dtype_of, names, operator_name, schema, text
from translate.models.tflite_reals import scale_of

DOMAIN = "tflite"
CUSTOM = "tflite.custom"

# How kernels compute, not what.
_DROPPED = frozenset({"asymmetric_quantize_inputs", "quantized_bias_type", "pot_scale_int16", "in_data_type"})
# What follows from the tensors.
_SAID = frozenset({"new_shape", "values_count", "out_data_type"})
_DTYPES = frozenset({"out_type", "output_type", "idx_out_type"})
_ENUMERATIONS = {
    "fused_activation_function": "ActivationFunctionType",
    "padding": "Padding",
    "mode": "MirrorPadMode",
    "weights_format": "FullyConnectedOptionsWeightsFormat",
}
_GRAPHS = {
    "then_subgraph_index": "then_branch",
    "else_subgraph_index": "else_branch",
    "cond_subgraph_index": "cond",
    "body_subgraph_index": "body",
}
# Operators with weights: where these are among their inputs, and what a layer calls them.
_LAYERS = {
    "CONV_2D": {1: "weight", 2: "bias"},
    "CONV_3D": {1: "weight", 2: "bias"},
    "DEPTHWISE_CONV_2D": {1: "weight", 2: "bias"},
    "FULLY_CONNECTED": {1: "weight", 2: "bias"},
    "TRANSPOSE_CONV": {1: "weight", 3: "bias"},
    "EMBEDDING_LOOKUP": {1: "weight"},
}
# What the converter calls a constant that has no name of its own.
_NAMELESS = re.compile(r"(arith|tfl)\.(pseudo_q?)?const(ant)?\d*|arith_constant\d*|")
# The part of a fused operator's name that is the one with the weights.
_WEIGHTED = re.compile(r"conv|depthwise|matmul|dense|einsum", re.IGNORECASE)


def read(model: Any, index: int, outputs: Sequence[int]) -> tuple[ir.Graph, dict[int, ir.Value]]:
    """Read subgraph `index` of a `ModelT` in real numbers, whose results are the tensors `outputs`.

    Returns the graph and its inputs by the number of their tensor.
    """
    return _Reader(model).main(index, outputs)


class _Reader:
    """Reads one file."""

    def __init__(self, model: Any) -> None:
        self._model = model
        # The constants of all subgraphs are the main graph's.
        self._constants: dict[str, ir.Value] = {}
        self._names: set[str] = set()

    def main(self, index: int, outputs: Sequence[int]) -> tuple[ir.Graph, dict[int, ir.Value]]:
        source = self._model.subgraphs[index]
        graph, values = self._graph(index, [int(output) for output in outputs])
        for value in self._constants.values():
            graph.initializers[str(value.name)] = value
        return graph, {int(place): values[int(place)] for place in _list(source.inputs)}

    def _graph(self, index: int, outputs: Sequence[int] | None = None) -> tuple[ir.Graph, dict[int, ir.Value]]:
        source = self._model.subgraphs[index]
        layers = dict(self._layer_names(source))
        inputs = [int(place) for place in _list(source.inputs)]
        values = {place: self._value(source.tensors[place]) for place in inputs}
        nodes = []
        for operator in _list(source.operators):
            nodes.append(self._node(operator, source, values, layers))
        results = [self._operand(place, source, values, layers) for place in outputs or _list(source.outputs)]
        name = text(source.name) or f"subgraph_{index}"
        return ir.Graph([values[place] for place in inputs], results, nodes=nodes, name=name), values

    def _node(self, operator: Any, source: Any, values: dict[int, ir.Value], layers: Mapping[int, str]) -> ir.Node:
        name = operator_name(self._model, operator)
        kind, _, custom = name.partition(" ")
        inputs = [None if int(i) < 0 else self._operand(int(i), source, values, layers) for i in _list(operator.inputs)]
        results = [int(i) for i in _list(operator.outputs)]
        made = {i: self._value(source.tensors[i]) for i in results if i >= 0}
        outputs = [made[i] if i >= 0 else ir.Value(name=self._unique(kind)) for i in results]
        attributes = [] if custom else list(self._attributes(kind, operator, source))
        values.update(made)
        first = str(outputs[0].name) if outputs else kind
        return ir.Node(CUSTOM if custom else DOMAIN, custom or kind, inputs, attributes, outputs=outputs, name=first)

    def _operand(self, place: int, source: Any, values: dict[int, ir.Value], layers: Mapping[int, str]) -> ir.Value:
        place = int(place)
        if place not in values:
            values[place] = self._constant(source.tensors[place], layers.get(place))
        return values[place]

    def _constant(self, tensor: Any, name: str | None) -> ir.Value:
        array = constant(self._model, tensor)
        if array is None:
            # What keeps a state starts as zeros; so does every run.
            dtype = dtype_of(tensor)
            array = np.zeros([int(size) for size in _list(tensor.shape)], np.float32 if dtype is None else dtype)
        unique = self._unique(name or _short(text(tensor.name)).replace("/", "."))
        held = ir.tensor(array, name=unique)
        value = ir.Value(name=unique, shape=ir.Shape(array.shape), type=ir.TensorType(held.dtype), const_value=held)
        if held.dtype.is_floating_point() and array.ndim > 0 and not tensor.isVariable:
            value.metadata_props[KIND] = "parameter"
        self._constants[unique] = value
        return value

    def _value(self, tensor: Any) -> ir.Value:
        dtype = dtype_of(tensor)
        kind = None if dtype is None else _ir_dtype(dtype)
        sizes = _list(tensor.shapeSignature) or _list(tensor.shape)
        # A tensor without sizes is a scalar, or one of which nothing is known.
        known = bool(sizes) or tensor.hasRank
        return ir.Value(
            name=self._unique(_short(text(tensor.name))),
            shape=ir.Shape([None if size < 0 else int(size) for size in sizes]) if known else None,
            type=None if kind is None else ir.TensorType(kind),
        )

    def _attributes(self, kind: str, operator: Any, source: Any) -> Iterator[ir.Attr]:
        options = operator.builtinOptions if operator.builtinOptions is not None else operator.builtinOptions2
        for key, value in {} if options is None else vars(options).items():
            name = _snake_case(key)
            if name in _GRAPHS:
                yield ir.AttrGraph(_GRAPHS[name], self._graph(value)[0])
            elif name in _DTYPES:
                yield ir.AttrInt64(name, int(_tensor_type(value)))
            elif name in _ENUMERATIONS:
                yield ir.AttrString(name, names(getattr(schema(), _ENUMERATIONS[name]))[value])
            elif name not in _DROPPED | _SAID and value is not None:
                yield _plain(name, value)
        result = source.tensors[operator.outputs[0]] if _list(operator.outputs) else None
        if kind == "CAST":
            dtype = dtype_of(result)
            yield ir.AttrInt64("to", int(ir.DataType.UNDEFINED if dtype is None else _ir_dtype(dtype)))
        if kind == "RESHAPE" and options is not None and _list(options.newShape):
            yield ir.AttrInt64s("new_shape", [int(size) for size in options.newShape])
        if kind in ("QUANTIZE", "DEQUANTIZE"):
            yield from _grid(result if kind == "QUANTIZE" else source.tensors[operator.inputs[0]])

    def _layer_names(self, source: Any) -> Iterator[tuple[int, str]]:
        """Name the constants that only one operator reads, as its weights, after the place of that layer."""
        readers = [int(i) for operator in _list(source.operators) for i in _list(operator.inputs)]
        for operator in _list(source.operators):
            places = _LAYERS.get(operator_name(self._model, operator), {})
            given = {
                part: int(operator.inputs[place]) for place, part in places.items() if place < len(operator.inputs)
            }
            if "weight" not in given or given["weight"] < 0:
                continue
            own = text(source.tensors[given["weight"]].name)
            named = own if not _NAMELESS.fullmatch(own) else text(source.tensors[operator.outputs[0]].name)
            layer = self._unique(_short(named.removesuffix("/unrounded")).replace("/", "."))
            for part, index in given.items():
                if index >= 0 and readers.count(index) == 1:
                    yield index, f"{layer}.{part}"

    def _unique(self, name: str) -> str:
        unique, count = name, 0
        while unique in self._names:
            count += 1
            unique = f"{name}_{count}"
        self._names.add(unique)
        return unique


def _list(vector: Any) -> list[Any]:
    """Return a vector of the file, which is None where it is empty."""
    return [] if vector is None else list(vector)


def _short(name: str) -> str:
    """Return one name of those that the converter joined with semicolons: the one with the weights, or the first."""
    parts = [part for part in name.split(";") if part]
    weighted = [part for part in parts if _WEIGHTED.search(part.rpartition("/")[2])]
    return next(iter(weighted or parts), name)


def _snake_case(name: str) -> str:
    return re.sub(r"(?=[A-Z])", "_", name).lower()


def _ir_dtype(dtype: np.dtype[Any]) -> ir.DataType:
    return ir.DataType.STRING if dtype.kind == "O" else ir.DataType.from_numpy(dtype)


def _tensor_type(number: int) -> ir.DataType:
    tensor = schema().TensorT()
    tensor.type = number
    dtype = dtype_of(tensor)
    return ir.DataType.UNDEFINED if dtype is None else _ir_dtype(dtype)


def _plain(name: str, value: Any) -> ir.Attr:
    if isinstance(value, float):
        return ir.AttrFloat32(name, value)
    if isinstance(value, list | np.ndarray):
        numbers = np.asarray(value)
        make = ir.AttrFloat32s if numbers.dtype.kind == "f" else ir.AttrInt64s
        return make(name, numbers.tolist())
    if isinstance(value, bytes | str):
        return ir.AttrString(name, text(value))
    return ir.AttrInt64(name, int(value))


def _grid(tensor: Any) -> Iterator[ir.Attr]:
    """Say what the integers of a tensor stand for; nothing of one that is not quantised."""
    if tensor.quantization is None or not _list(tensor.quantization.scale):
        return
    scale, zero = scale_of(tensor)
    yield ir.AttrFloat32s("scale", scale.tolist())
    yield ir.AttrInt64s("zero_point", zero.tolist())
    yield ir.AttrInt64("axis", int(tensor.quantization.quantizedDimension))
    yield ir.AttrInt64("to", int(_tensor_type(tensor.type)))
