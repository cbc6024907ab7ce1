"""A model of one node, as the backends' `run_node` needs it."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx


def one_node(
    node: onnx.NodeProto, inputs: Any, opset: int | None = None
) -> tuple[onnx.ModelProto, list[np.ndarray[Any, Any]]]:
    """Return a model of `node` for inputs like `inputs`, in onnx's newest opset unless given, and these as arrays."""
    arrays = dict(zip([name for name in node.input if name], [np.asarray(x) for x in inputs], strict=True))
    graph = onnx.helper.make_graph(
        [node],
        "node",
        [
            onnx.helper.make_tensor_value_info(name, onnx.helper.np_dtype_to_tensor_dtype(array.dtype), array.shape)
            for name, array in arrays.items()
        ],
        [onnx.helper.make_empty_tensor_value_info(name) for name in node.output if name],
    )
    version = onnx.defs.onnx_opset_version() if opset is None else opset
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid(node.domain, version)])
    return model, list(arrays.values())
