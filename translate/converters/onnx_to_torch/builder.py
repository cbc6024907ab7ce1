"""The torch.fx graph under construction: how calls on `Value`s are recorded, and how their dtype and sizes are known.

Every call that is recorded is also made, at once, on tensors of the `meta` device. This happens in several *worlds* at
a time, which differ in the sizes of the symbolic dimensions. What is the same in all worlds is static, what differs is
symbolic. A world in which a call fails (an image too small for its strides, a sequence longer than the table of
positions) is left out from there on; two have to remain.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import fx, nn

from translate.converters.onnx_to_torch import examples
from translate.converters.onnx_to_torch.values import CURRENT, DEAD, Value, Weight

# The sizes that all symbolic dimensions have, one for each world. Small ones, since tables of positions end; large ones
# that can be halved often, since images shrink; some that windows of 7 and patches of 16 divide.
SIZES = (2, 7, 64, 224, 448)


class Builder(fx.proxy.GraphAppendingTracer):
    """Records calls in an fx graph.

    `root` holds the tensors and layers that the graph refers to; `sizes` has one entry for each world. A builder with a
    `parent` makes the graph of a branch or of a loop's body: what it takes from outside becomes an input of it,
    listed in `captured`.
    """

    def __init__(self, root: nn.Module, sizes: Sequence[int], parent: Builder | None = None) -> None:
        super().__init__(fx.Graph())
        self.root = root
        self.sizes = tuple(sizes)
        self.parent = parent
        self.captured: list[Value] = []
        # Whose device everything is made on, and that device once something asks for it.
        self._located: Value | None = None if parent is None else parent._located
        self._device: Value | None = None
        # Layers on the meta device, by path: what a call of them is tried out with.
        self.layers: dict[str, nn.Module] = {} if parent is None else parent.layers
        # Set by the export: which places of `root` may become layers.
        self.places: Any = None if parent is None else parent.places
        self._nodes: dict[Any, fx.Node] = {}
        self._sizes: dict[tuple[fx.Node, int], Value] = {}
        # Axes of inputs whose sizes have one name: the first of them is asked.
        self.same_sizes: dict[tuple[fx.Node, int], tuple[Value, int]] = {}
        self._constants: dict[Any, Weight] = {} if parent is None else parent._constants

    @contextmanager
    def recording(self) -> Iterator[Builder]:
        """Make this the builder that records what is done with values."""
        token = CURRENT.set(self)
        try:
            yield self
        finally:
            CURRENT.reset(token)

    @staticmethod
    @contextmanager
    def pausing() -> Iterator[None]:
        """Compute at once what is called meanwhile, instead of recording it."""
        token = CURRENT.set(None)
        try:
            yield
        finally:
            CURRENT.reset(token)

    def placeholder(self, name: str, examples: Sequence[Any]) -> Value:
        """Add an input; `examples` has a meta tensor, or a number, for each world."""
        node = self.graph.placeholder(name)
        node.meta["worlds"] = tuple(examples)
        return Value(node)

    def locate(self, value: Value) -> None:
        """Make what is made from nothing on the device of `value`."""
        self._located, self._device = value, None

    @property
    def device(self) -> Value | None:
        """Where the model computes; None where it has no input."""
        if self._device is None and self._located is not None:
            self._device = self.record("call_function", getattr, (self._located, "device"), {}, "device")
        return self._device

    def record(self, *call: Any) -> Value:
        """Record a call: kind, target, arguments, keyword arguments and perhaps a name, as fx takes them."""
        value = self.create_proxy(*call)
        assert isinstance(value, Value)
        return value

    def proxy(self, node: fx.Node) -> Value:
        """Return the value of a new node, having tried its call out in every world."""
        node.meta["worlds"] = self._try_out(node)
        return Value(node)

    def create_arg(self, a: Any) -> Any:
        """Bring an argument of a call into the form that the graph stores."""
        if isinstance(a, Value):
            return self.node_of(a)
        if isinstance(a, torch.Tensor):
            return self.node_of(self.constant(a))
        if isinstance(a, np.generic):
            return a.item()
        return super().create_arg(a)

    def size(self, value: Value, axis: int) -> Value:
        """Return the size of an axis, `value.size(axis)` in the code, once for each axis."""
        value, axis = self.same_sizes.get((self.node_of(value), axis), (value, axis))
        key = self.node_of(value), axis
        if key not in self._sizes:
            self._sizes[key] = self.record("call_method", "size", (value, axis), {})
        return self._sizes[key]

    def node_of(self, value: Value) -> fx.Node:
        """Return the node of a value in this graph, taking it in from outside if it is from there."""
        own = None if isinstance(value, Weight) else value.__dict__["node"]
        if own is not None and own.graph is self.graph:
            return own
        key = id(value) if own is None else own
        if key not in self._nodes:
            if self.parent is None:
                assert isinstance(value, Weight), "a value of another graph"
                self._nodes[key] = self._get_weight(value)
            else:
                self.captured.append(value)
                self._nodes[key] = self.graph.placeholder(_name_of(value))
                self._nodes[key].meta["worlds"] = value.worlds
        return self._nodes[key]

    def take(self, operands: Sequence[Value]) -> None:
        """Make `operands`, among them all that is captured, the inputs of this graph, in this order."""
        for value in operands:
            self.node_of(value)
        inputs = {id(value): self.node_of(value) for value in operands}
        first = next(iter(self.graph.nodes))
        for value in operands:
            node = inputs[id(value)]
            if node is first:
                first = node.next
            else:
                first.prepend(node)

    def hold(self, inner: Builder, kind: str) -> Value:
        """Make the graph of `inner` a module that this graph refers to, named after its `kind`."""
        number = sum(name.startswith(f"{kind}_") for name in self.root._modules)
        path = f"{kind}_{number}"
        finish(inner.graph)
        self.root.add_module(path, fx.GraphModule(inner.root, inner.graph, "Branch"))
        node = self.graph.create_node("get_attr", path)
        node.meta["worlds"] = (self.root.get_submodule(path),) * len(self.sizes)
        return Value(node)

    def constant(self, tensor: torch.Tensor) -> Weight:
        """Hold a constant tensor as a buffer, equal ones once."""
        bits = tensor.detach().contiguous().reshape(-1).view(torch.uint8) if tensor.numel() else tensor
        key = tensor.dtype, tensor.shape, bits.numpy().tobytes() if tensor.numel() else b""
        if key not in self._constants:
            name = f"constant_{len(self._constants)}"
            self.root.register_buffer(name, tensor)
            self._constants[key] = Weight(name, tensor)
        return self._constants[key]

    def _get_weight(self, weight: Weight) -> fx.Node:
        node = self.graph.create_node("get_attr", weight.path)
        node.meta.update(worlds=weight.worlds, weight=weight)
        return node

    def _try_out(self, node: fx.Node) -> tuple[Any, ...]:
        results, error = [], None
        for world in range(len(self.sizes)):
            inputs = [other.meta["worlds"][world] for other in node.all_input_nodes]
            if any(other is DEAD for other in inputs):
                results.append(DEAD)
                continue
            args, kwargs = fx.map_arg((node.args, node.kwargs), lambda other: other.meta["worlds"][world])  # noqa: B023
            try:
                with torch.no_grad():
                    # Not 1, which is a size that some operators remove or repeat.
                    results.append(examples.call(node, self.layers, world + 2, args, kwargs))
            except Exception as failure:
                # Whatever torch raises: the call does not work at these sizes.
                results.append(DEAD)
                error = failure
        if error is not None and sum(result is not DEAD for result in results) < 2:
            self.graph.erase_node(node)
            raise ValueError(str(error)) from error
        return tuple(results)


def _name_of(value: Value) -> str:
    """Return a name for a value inside of a branch or a loop: the one that it has outside."""
    return value.path.replace(".", "_") if isinstance(value, Weight) else value.__dict__["node"].name


def finish(graph: fx.Graph) -> None:
    """Drop what nothing reads, and what only the recording needed."""
    for node in graph.nodes:
        if "weight" in node.meta:
            # It may have moved into a layer since.
            node.target = node.meta["weight"].path
    graph.eliminate_dead_code(is_impure_node=lambda node: node.op in ("placeholder", "output"))
    for node in graph.nodes:
        node.meta.clear()
