"""One TensorFlow function, converted to TFLite, exported to ONNX and run by onnxruntime: shared by the tests."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
import tensorflow as tf

from tests.converters.tf_to_onnx.cases import Input, run
from translate.graphs import to_onnx
from translate.models.tflite_file import operator_name, pack, schema, unpack
from translate.models.tflite_model import TFLiteModel


def convert(function: Callable[..., Any], inputs: Sequence[Input], **settings: Any) -> bytes:
    """Return `function` as a TFLite file; its inputs are called x0, x1..."""
    signature = [
        tf.TensorSpec([d if isinstance(d, int) else None for d in given.dims], given.dtype, name=f"x{i}")
        for i, given in enumerate(inputs)
    ]
    # Inputs by keyword, so that the file has a signature with their names.
    traced = tf.function(lambda *xs: function(*xs), autograph=False).get_concrete_function(*signature)
    converter = tf.lite.TFLiteConverter.from_concrete_functions([traced])
    for name, value in settings.items():
        setattr(converter, name, value)
    content: bytes = converter.convert()
    return content


def opened(content: bytes) -> TFLiteModel:
    """Open a file that is in memory."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.tflite")
        path.write_bytes(content)
        return TFLiteModel(path, content=content)


def operators(content: bytes) -> set[str]:
    """Name the operators of a file, those of its subgraphs too."""
    model = unpack(content)
    return {operator_name(model, one) for graph in model.subgraphs for one in graph.operators}


def check(
    content: bytes,
    inputs: Sequence[Input],
    sizes: Sequence[Mapping[str, int]] = ({},),
    rtol: float = 1e-5,
    atol: float = 1e-6,
) -> ir.Model:
    """Compare the exported file with the interpreter at `sizes`; names, dtypes and shapes must be the same too."""
    model = opened(content)
    exported = to_onnx(model, [])
    generator = np.random.default_rng(0)
    for assigned in sizes:
        # The converter may sort the inputs; their names tell them apart.
        drawn = [given.draw(generator, assigned) for given in inputs]
        feeds = {spec.name: drawn[int(spec.name.rpartition("x")[2].partition(":")[0])] for spec in model.inputs}
        expected = model.run(feeds)
        assert [value.name for value in exported.graph.outputs] == list(expected)
        for ours, theirs in zip(run(exported, feeds), expected.values(), strict=True):
            assert np.asarray(ours).dtype == theirs.dtype
            assert np.shape(ours) == theirs.shape
            if theirs.dtype.kind == "f":
                np.testing.assert_allclose(ours, theirs, rtol=rtol, atol=atol)
            else:
                np.testing.assert_array_equal(ours, theirs)
    return exported


def written(
    operator: str,
    inputs: Sequence[Input | np.ndarray[Any, Any] | tuple[int, ...] | None],
    results: Sequence[Input],
    version: int = 1,
    **options: Any,
) -> bytes:
    """Write a file of one operator, for those that the converter does not make of a function.

    Among the `inputs` an array is a constant, sizes are those of a state that the operator keeps, and None is an absent
    one. `options` are those of the schema, in its Python names, and `kind`, the name of their table.
    """
    made = schema()
    model, graph, node, code = made.ModelT(), made.SubGraphT(), made.OperatorT(), made.OperatorCodeT()
    number = getattr(made.BuiltinOperator, operator)
    code.builtinCode, code.deprecatedBuiltinCode, code.version = number, min(number, 127), version
    model.version, model.operatorCodes, model.subgraphs, model.buffers = 3, [code], [graph], [made.BufferT()]
    graph.tensors, graph.operators, graph.inputs, graph.outputs = [], [node], [], []
    node.inputs, node.outputs = [], []
    for given in inputs:
        node.inputs.append(-1 if given is None else _tensor(model, f"x{len(node.inputs)}", given))
        if isinstance(given, Input):
            graph.inputs.append(node.inputs[-1])
    for result in results:
        node.outputs.append(_tensor(model, f"y{len(node.outputs)}", result))
    graph.outputs = list(node.outputs)
    kind = options.pop("kind", None)
    if kind is not None:
        node.builtinOptionsType = getattr(made.BuiltinOptions, kind)
        node.builtinOptions = getattr(made, f"{kind}T")()
        for name, value in options.items():
            setattr(node.builtinOptions, name, value)
    return pack(model)


def _tensor(model: Any, name: str, given: Input | np.ndarray[Any, Any] | tuple[int, ...]) -> int:
    """Add a tensor to the only graph of `model` and return its number."""
    made, tensors = schema(), model.subgraphs[0].tensors
    tensor = made.TensorT()
    tensor.name = name.encode()
    if isinstance(given, tuple):
        tensor.shape, tensor.type, tensor.isVariable = list(given), made.TensorType.FLOAT32, True
    else:
        tensor.shape = list(given.dims if isinstance(given, Input) else given.shape)
        tensor.type = getattr(made.TensorType, str(given.dtype).upper())
    if isinstance(given, np.ndarray):
        buffer = made.BufferT()
        buffer.data = np.frombuffer(given.tobytes(), np.uint8)
        model.buffers.append(buffer)
        tensor.buffer = len(model.buffers) - 1
    tensors.append(tensor)
    return len(tensors) - 1
