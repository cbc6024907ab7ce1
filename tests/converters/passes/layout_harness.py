"""Runs a model before and after the layout pass in ONNX Runtime, which does not know the pass's private domains."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import onnx_ir.passes.common as common
import onnxruntime

from translate.converters.passes.layout import CHANNELS_LAST, FUSED, LayoutReport, channels_last

Array = np.ndarray[Any, np.dtype[Any]]

# Inputs and outputs that have a channel axis, where it is not the first of each.
INPUTS = {"MaxUnpool": (0, 1), "DeformConv": (0, 2, 4)}
OUTPUTS = {"MaxPool": (0, 1)}
WEIGHTS = {"Conv": 1, "ConvTranspose": 1, "ConvInteger": 1, "QLinearConv": 3, "DeformConv": 1}


def parse(text: str, weights: Mapping[str, Array] | None = None, opset: int = 20) -> ir.Model:
    """Parse ONNX's text syntax; `weights` are declared as inputs in the text and become initializers."""
    head = f'<ir_version: 9, opset_import: ["" : {opset}]>\n'
    tensors = [ir.tensor(array, name=name) for name, array in (weights or {}).items()]
    model = ir.from_onnx_text(head + text, initializers=tensors)
    for tensor in tensors:
        value = model.graph.initializers[str(tensor.name)]
        model.graph.inputs.remove(value)
        value.shape, value.dtype = ir.Shape(tensor.shape), tensor.dtype
    for value in model.graph.outputs:
        value.shape = value.shape or None  # the text says "float y" where the shape is to be inferred
    common.LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0)(model)
    common.LiftSubgraphInitializersToMainGraphPass()(model)
    result = common.ShapeInferencePass(data_prop=True)(model)
    assert result.model is model
    return model


def run(model: ir.Model, feeds: Mapping[str, Array]) -> list[Array]:
    proto = ir.to_proto(model)
    # Fails where a shape or a type that the pass wrote contradicts what follows from the inputs.
    onnx.shape_inference.infer_shapes(proto, check_type=True, strict_mode=True, data_prop=True)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    # Its own transpose optimizer must not hide, or add, a mistake.
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(proto.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return [np.asarray(array) for array in session.run(None, dict(feeds))]


def to_standard(model: ir.Model) -> ir.Model:
    """Return a copy in which the private operators are ONNX's own again, with transposes around them."""
    model = ir.from_proto(ir.to_proto(model))
    for graph in model.graphs():
        for node in list(graph):
            if node.domain == CHANNELS_LAST:
                _channels_first(graph, node)
            elif node.domain == FUSED:
                for index, name in enumerate(("transA", "transB")):
                    if name in node.attributes and node.attributes.pop(name).as_int():
                        rank = len(node.inputs[index].shape)
                        _transpose_input(graph, node, index, (*range(rank - 2), rank - 1, rank - 2))
                node.domain = ""
    model.opset_imports.pop(CHANNELS_LAST, None)
    model.opset_imports.pop(FUSED, None)
    return model


def _channels_first(graph: ir.Graph, node: ir.Node) -> None:
    node.domain = ""
    rank = len(node.inputs[0].shape)
    if rank == 2:
        return
    for index in INPUTS.get(node.op_type, (0,)):
        if index < len(node.inputs):
            _transpose_input(graph, node, index, (0, rank - 1, *range(1, rank - 1)))
    if node.op_type in WEIGHTS:
        _transpose_input(graph, node, WEIGHTS[node.op_type], (rank - 1, rank - 2, *range(rank - 2)))
    for index in OUTPUTS.get(node.op_type, (0,)):
        if index < len(node.outputs):
            value = node.outputs[index]
            output = ir.Value(name=value.name, type=value.type, shape=value.shape)
            value.replace_all_uses_with(output, replace_graph_outputs=True)
            value.name, value.shape = f"{value.name}_channels_first", None
            perm = (0, *range(2, rank), 1)
            graph.insert_after(node, ir.node("Transpose", [value], {"perm": perm}, outputs=[output]))


def _transpose_input(graph: ir.Graph, node: ir.Node, index: int, perm: tuple[int, ...]) -> None:
    # A name of a subgraph must not hide one of the graph around it.
    output = ir.Value(name=f"{node.outputs[0].name}_input_{index}")
    transpose = ir.node("Transpose", [node.inputs[index]], {"perm": perm}, outputs=[output])
    graph.insert_before(node, transpose)
    node.replace_input_with(index, transpose.outputs[0])


def example(model: ir.Model, seed: int = 0) -> dict[str, Array]:
    """Draw inputs for `model`; a symbolic dimension has size 2."""
    rng = np.random.default_rng(seed)
    feeds = {}
    for value in model.graph.inputs:
        shape = [dim if isinstance(dim, int) else 2 for dim in value.shape]
        array = rng.normal(size=shape)
        if value.dtype.is_integer():
            array = rng.integers(0, 2, size=shape)
        feeds[value.name] = array.astype(value.dtype.numpy())
    return feeds


def check(model: ir.Model, feeds: Mapping[str, Array] | None = None) -> LayoutReport:
    """Run the pass on `model`; its numbers, names and interface must stay, and a second run change nothing."""
    feeds = example(model) if feeds is None else feeds
    expected = run(model, feeds)
    interface = [(value.name, value.dtype, str(value.shape)) for value in (*model.graph.inputs, *model.graph.outputs)]
    report = channels_last(model)
    assert interface == [
        (value.name, value.dtype, str(value.shape)) for value in (*model.graph.inputs, *model.graph.outputs)
    ]
    once = ir.to_proto(model).SerializeToString(deterministic=True)
    again = channels_last(model)
    assert ir.to_proto(model).SerializeToString(deterministic=True) == once
    assert again == LayoutReport(report.transposes, 0, report.unknown_rank)
    names = [value.name for graph in model.graphs() for node in graph for value in node.outputs if value.name]
    assert len(names) == len(set(names))
    for want, got in zip(expected, run(to_standard(model), feeds), strict=True):
        assert want.shape == got.shape and want.dtype == got.dtype
        np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-5)
    return report


def operators(model: ir.Model) -> list[str]:
    return [node.op_type for graph in model.graphs() for node in graph if node.op_type != "Constant"]
