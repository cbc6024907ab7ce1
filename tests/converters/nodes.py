"""Models of one ONNX node and what they should give: shared by the tests of both tables' lowerings."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from onnx.reference import ReferenceEvaluator
from onnxruntime import InferenceSession

from tests.backend.node_suite import compare

OPSET = 18

Inputs = Sequence[np.ndarray | None]
Attributes = Mapping[str, Any]


def normal(*shape: int) -> np.ndarray:
    """Random numbers, float32; the same for the same shape."""
    return np.random.default_rng(sum(shape)).standard_normal(shape).astype(np.float32)


def one_node(
    op: str,
    inputs: Inputs,
    attributes: Attributes | None = None,
    opset: int = OPSET,
    *,
    dynamic: bool = True,
    known: Collection[int] = (),
    outputs: int = 1,
    domain: str = "",
    dims: Mapping[int, Sequence[str | int]] | None = None,
) -> onnx.ModelProto:
    """Return a model of one node `op`, whose inputs have the dtypes of `inputs`.

    With `dynamic` every dimension of every input is symbolic, but for the inputs at the positions in `dims`, which have
    those; else it is that of the array. The inputs at the
    positions `known` are initializers; None is an absent input. The outputs are y0, y1, ...
    """
    names = ["" if array is None else f"x{i}" for i, array in enumerate(inputs)]
    node = onnx.helper.make_node(op, names, [f"y{i}" for i in range(outputs)], domain=domain, **(attributes or {}))
    infos, initializers = [], []
    for i, array in enumerate(inputs):
        if array is None:
            continue
        if i in known:
            initializers.append(onnx.numpy_helper.from_array(array, names[i]))
            continue
        dtype = onnx.helper.np_dtype_to_tensor_dtype(array.dtype)
        open_dims = (dims or {}).get(i, [f"x{i}_{axis}" for axis in range(array.ndim)])
        infos.append(onnx.helper.make_tensor_value_info(names[i], dtype, open_dims if dynamic else array.shape))
    results = [onnx.helper.make_empty_tensor_value_info(name) for name in node.output]
    graph = onnx.helper.make_graph([node], "one_node", infos, results, initializers)
    imports = [onnx.helper.make_opsetid("", opset if domain == "" else OPSET)]
    if domain:
        imports.append(onnx.helper.make_opsetid(domain, opset))
    return onnx.helper.make_model(graph, opset_imports=imports, ir_version=10)


def reference(
    op: str, inputs: Inputs, attributes: Attributes | None = None, opset: int = OPSET, **options: Any
) -> list[Any]:
    """Return what ONNX's reference implementation gives for the node."""
    model = one_node(op, inputs, attributes, opset, **options)
    known = options.get("known", ())
    feeds = {f"x{i}": array for i, array in enumerate(inputs) if array is not None and i not in known}
    return list(ReferenceEvaluator(model).run(None, feeds))


def onnxruntime(
    op: str, inputs: Inputs, attributes: Attributes | None = None, opset: int = OPSET, **options: Any
) -> list[Any]:
    """Return what onnxruntime gives for the node: for the cases where the reference implementation is wrong."""
    model = one_node(op, inputs, attributes, opset, **options | {"dynamic": False})
    known = options.get("known", ())
    feeds = {f"x{i}": array for i, array in enumerate(inputs) if array is not None and i not in known}
    return list(InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"]).run(None, feeds))


def check(
    run: Callable[..., list[Any]],
    op: str,
    inputs: Inputs,
    attributes: Attributes | None = None,
    opset: int = OPSET,
    *,
    expected: Sequence[Any] | None = None,
    rtol: float = 1e-5,
    atol: float = 1e-6,
    **options: Any,
) -> None:
    """Translate the node with symbolic and with fixed dimensions, `run` it, and compare both with `expected`.

    `expected` is the outputs in order; without it, what `reference` gives. Dtypes and shapes must be the same too.
    """
    if expected is None:
        expected = reference(op, inputs, attributes, opset, **options)
    for dynamic in (True, False):
        actual = run(op, inputs, attributes, opset, dynamic=dynamic, **options)
        assert len(actual) == len(expected)
        for one, other in zip(actual, expected, strict=True):
            compare(one, other, rtol, atol)
