"""One node as a model: what ONNX's backend interface has besides `prepare`, whatever the framework."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from onnx.backend.base import Backend


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


class NodeBackend(Backend):
    """A backend that runs one node as it runs a model."""

    @classmethod
    def run_node(
        cls,
        node: onnx.NodeProto,
        inputs: Any,
        device: str = "CPU",
        outputs_info: Sequence[tuple[np.dtype[Any], tuple[int, ...]]] | None = None,
        **kwargs: Any,
    ) -> tuple[Any, ...]:
        """Run one node on `inputs`, in onnx's newest opset unless `opset_version` is given."""
        model, arrays = one_node(node, inputs, kwargs.get("opset_version"))
        return cls.run_model(model, arrays, device)
