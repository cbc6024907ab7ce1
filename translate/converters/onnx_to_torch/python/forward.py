"""The `forward` of a graph module as statements that a person would write: torch.fx's code, tidied."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import fx, nn

from translate.converters.onnx_to_torch.python.expressions import Code
from translate.converters.onnx_to_torch.python.flow import flowing
from translate.converters.onnx_to_torch.python.names import renamed
from translate.converters.onnx_to_torch.python.types import with_typed_result


class Forward:
    """The arguments of `module`'s forward, without `self`, its statements, and the functions of ours that it calls.

    Layers and tensors are written as `access` says: `self.blocks[0].conv` for `blocks.0.conv`. `sizes` has names for
    sizes of inputs, {"x.size(0)": "batch"}; without them the arguments may be renamed.
    """

    def __init__(
        self, module: fx.GraphModule, access: Callable[[str], str], sizes: Mapping[str, str] | None = None
    ) -> None:
        code = Code(module, access)
        paths = [str(node.target) for node in module.graph.nodes if node.op == "call_module"]
        self.layers: dict[str, nn.Module] = {access(path): module.get_submodule(path) for path in paths}
        self.functions: dict[str, Callable[..., Any]] = code.functions
        statements = flowing(code.statements, self.layers, code.arguments)
        self.arguments, self.statements = renamed(statements, code.arguments, sizes or {}, sizes is None)
        self.statements = with_typed_result(self.statements, self.arguments, self.functions)
