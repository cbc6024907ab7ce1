"""The torch.fx graph under construction: values that know dtype and sizes, and how calls on them are recorded.

A lowering is plain PyTorch code. It is called with `Value`s, fx proxies that write down every torch function, method
and operator that is applied to them. A `Value` has `dtype`, `ndim` and `shape` like a tensor; a size that is not
known while translating is a `Value`, too: it stands for an int and reads `x.size(axis)` in the code.

How that is known: every call that is recorded is also made, at once, on tensors of the `meta` device, which have a
shape but no data. This happens in several *worlds* at a time, which differ in the sizes of the symbolic dimensions.
What is the same in all worlds is static, what differs is symbolic. A world in which a call fails (an image too small
for its strides, a sequence longer than the table of positions) is left out from there on; two have to remain.
"""

from __future__ import annotations

import inspect
import operator
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, cast

import numpy as np
import torch
import torch.nn.functional as F
from torch import fx, nn

from translate.errors import UnsupportedError

# The sizes that all symbolic dimensions have, one for each world. Small ones, since tables of positions end; large ones
# that can be halved often, since images shrink; some that windows of 7 and patches of 16 divide.
SIZES = (2, 7, 64, 224, 448)

# Functions that make a tensor out of nothing, on a device that has to be said.
_FACTORIES = frozenset(
    {torch.arange, torch.empty, torch.eye, torch.full, torch.ones, torch.tensor, torch.zeros}
    | {torch.rand, torch.randn, torch.hann_window, torch.hamming_window, torch.blackman_window}
)

# What depends on data, given a small number that is another one in each world: how many elements are found, or what
# a number is.
_Example = Callable[..., Any]
_DATA_DEPENDENT: dict[Any, _Example] = {
    "item": lambda number, x: number if not x.dtype.is_floating_point else float(number),
    torch.nonzero: lambda number, x: x.new_empty([number, x.ndim], dtype=torch.int64),
    torch.masked_select: lambda number, x, mask: x.new_empty([number]),
    torch.unique: lambda number, x, dim, **_: _unique(number, x, dim),
}


def _unique(number: int, x: torch.Tensor, dim: int) -> tuple[torch.Tensor, ...]:
    """Return an example of what torch.unique does, with the positions and the counts."""
    sizes = [number if axis == dim else size for axis, size in enumerate(x.shape)]
    places = x.new_empty([x.shape[dim]], dtype=torch.int64)
    return x.new_empty(sizes), places, places.new_empty([number])


# Calls whose result has the sizes and dtype of what they read, when that is one tensor of floats. On the meta device
# torch finds this out in many small steps of Python.
_LIKE_INPUT = frozenset(
    {torch.clamp, torch.exp, torch.relu, torch.sigmoid, torch.sqrt, torch.tanh, F.elu, F.gelu, F.hardsigmoid}
    | {F.hardswish, F.leaky_relu, F.relu6, F.silu, F.softplus}
)
_LAYERS_LIKE_INPUT = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.GroupNorm, nn.LayerNorm)


class _Inner(fx.Interpreter):
    """Runs a graph within the graph on examples; the control flow in it has no kernel for them."""

    def __init__(self, module: nn.Module, number: int) -> None:
        super().__init__(cast(fx.GraphModule, module))
        self.number = number

    def call_function(self, target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        example = _CONTROL.get(target) or _DATA_DEPENDENT.get(target)
        return super().call_function(target, args, kwargs) if example is None else example(self.number, *args, **kwargs)


def _cond(number: int, _: Any, then: nn.Module, otherwise: nn.Module, operands: Sequence[Any]) -> tuple[Any, ...]:
    """Return an example of what both branches return; a size that they do not share could be any."""
    examples = []
    branches = [_Inner(branch, number).run(*operands) for branch in (then, otherwise)]
    for one, other in zip(*branches, strict=True):
        if (one.dtype, one.ndim) != (other.dtype, other.ndim):
            raise ValueError("the branches return different dtypes or numbers of axes")
        sizes = [a if a == b else number for a, b in zip(one.shape, other.shape, strict=True)]
        examples.append(one.new_empty(sizes))
    return tuple(examples)


def _scan(
    number: int, step: nn.Module, init: Sequence[Any], xs: Sequence[Any], captured: Sequence[Any]
) -> tuple[Any, ...]:
    """Return an example of what is carried after a step, and of what is stacked."""
    results = _Inner(step, number).run(*init, *(x.new_empty(x.shape[1:]) for x in xs), *captured)
    stacked = results[len(init) :]
    return *results[: len(init)], *(y.new_empty([xs[0].shape[0], *y.shape]) for y in stacked)


def _while_loop(
    number: int, _: nn.Module, step: nn.Module, carried: Sequence[Any], captured: Sequence[Any]
) -> tuple[Any, ...]:
    """Return an example of what is carried after a step."""
    return tuple(_Inner(step, number).run(*carried, *captured))


# Operators that run graphs, each as often as a branch or a step shows what it returns.
_CONTROL: dict[Any, _Example] = {
    torch.ops.higher_order.cond: _cond,
    torch.ops.higher_order.scan: _scan,
    torch.ops.higher_order.while_loop: _while_loop,
}


class _Dead:
    """Stands for the values of a world in which a call failed."""


DEAD = _Dead()

# The builder that is recording; none while constants are evaluated.
_CURRENT: ContextVar[Builder | None] = ContextVar("builder", default=None)


class Value(fx.Proxy):
    """A tensor, or a number, that the translated model computes."""

    __array_ufunc__ = None

    def __init__(self, node: fx.Node) -> None:
        self.__dict__["node"] = node

    @property
    def tracer(self) -> Builder:  # type: ignore[override]  # fx's attribute; here whoever records at the moment
        """The builder that records what is done with the value now, which may be that of a branch."""
        return builder()

    @property
    def worlds(self) -> tuple[Any, ...]:
        """The value in each world: a meta tensor, a number, a tuple of them, or `DEAD`."""
        return tuple(self.__dict__["node"].meta["worlds"])

    @property
    def example(self) -> Any:
        """The value in the first world that is left."""
        return next(world for world in self.worlds if world is not DEAD)

    @property
    def dtype(self) -> torch.dtype:
        """The element type."""
        return self.example.dtype

    @property
    def ndim(self) -> int:
        """The number of axes."""
        ranks = {world.ndim for world in self.worlds if world is not DEAD}
        if len(ranks) > 1:
            raise UnsupportedError("the number of axes depends on the sizes of the inputs")
        return int(ranks.pop())

    @property
    def shape(self) -> tuple[Any, ...]:
        """The size of each axis: an int where it is known, a `Value` where it is not."""
        return tuple(self.size(axis) for axis in range(self.ndim))

    @property
    def device(self) -> Any:
        """Where the model computes."""
        return builder().device

    def size(self, axis: int) -> Any:
        """Return the size of an axis: an int where it is known, a `Value` where it is not."""
        known = static_size(self, axis)
        return builder().size(self, axis % self.ndim) if known is None else known

    def dim(self) -> int:
        """Return the number of axes."""
        return self.ndim

    def __iter__(self) -> Iterator[Any]:
        if isinstance(self.example, torch.Tensor):
            raise UnsupportedError("a computed tensor cannot be taken apart element by element")
        return (self[i] for i in range(len(self.example)))

    def __getitem__(self, index: Any) -> Any:
        return builder().create_proxy("call_function", operator.getitem, (self, index), {})

    def __len__(self) -> int:
        if isinstance(self.example, tuple | list):
            return len(self.example)
        raise UnsupportedError("the length of a computed tensor is not known")

    def __bool__(self) -> bool:
        raise UnsupportedError("what is translated here depends on a computed value")

    def __index__(self) -> int:
        raise UnsupportedError("a number must be known when the model is translated, but is computed")

    def __repr__(self) -> str:
        return f"Value({self.example})"

    @classmethod
    def __torch_function__(cls, function: Any, kinds: Any, args: Any = (), kwargs: dict[str, Any] | None = None) -> Any:
        """Record the call of a torch function."""
        if torch.overrides.is_tensor_method_or_property(function):
            return builder().create_proxy("call_method", function.__name__, args, kwargs or {})
        return builder().create_proxy("call_function", function, args, _given(function, kwargs or {}))


def _given(function: Any, kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out the defaults, all of which functions that are written in Python hand on."""
    parameters = inspect.signature(function).parameters if isinstance(function, types.FunctionType) else {}
    return {
        name: value for name, value in kwargs.items() if name not in parameters or value is not parameters[name].default
    }


class Weight(Value):
    """A tensor that the translated model holds; it appears in the graph when something reads it.

    `path` is its name in the model, `readers` counts the nodes of the source that read it, `keep` says that it must
    stay what it is: its name, its axes, a parameter or a buffer.
    """

    path: str
    tensor: torch.Tensor
    readers: int
    keep: bool

    def __init__(self, path: str, tensor: torch.Tensor, readers: int = 1, keep: bool = False) -> None:
        self.__dict__.update(path=path, tensor=tensor, readers=readers, keep=keep, _example=tensor.detach().to("meta"))

    @property
    def node(self) -> fx.Node:  # type: ignore[override]
        """The node that reads it, in the graph under construction."""
        return builder().node_of(self)

    @property
    def worlds(self) -> tuple[Any, ...]:
        """The same in every world."""
        return (self.__dict__["_example"],) * len(builder().sizes)

    def __setattr__(self, name: str, value: Any) -> None:
        self.__dict__[name] = value


def _name_of(value: Value) -> str:
    """Return a name for a value inside of a branch or a loop: the one that it has outside."""
    return value.path.replace(".", "_") if isinstance(value, Weight) else value.__dict__["node"].name


def builder() -> Builder:
    """Return the builder that is recording."""
    current = _CURRENT.get()
    assert current is not None, "nothing is recording"
    return current


def is_recording() -> bool:
    """Say whether a graph is under construction; otherwise lowerings compute at once."""
    return _CURRENT.get() is not None


def record(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Call a function of torch that would not notice by itself that it has to be recorded.

    That is the case where no argument is a tensor: `record(torch.arange, length)`. What is made from nothing is made
    on the device of the model's first input.
    """
    if not is_recording():
        return function(*args, **kwargs)
    if function in _FACTORIES and builder().device is not None:
        kwargs["device"] = builder().device
    return builder().create_proxy("call_function", function, args, kwargs)


def static_size(x: Any, axis: int) -> int | None:
    """Return the size of an axis of `x`, None where it is not known while translating."""
    if not isinstance(x, Value):
        return int(x.shape[axis])
    sizes = {int(world.shape[axis]) for world in x.worlds if world is not DEAD}
    return sizes.pop() if len(sizes) == 1 else None


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
        token = _CURRENT.set(self)
        try:
            yield self
        finally:
            _CURRENT.reset(token)

    @staticmethod
    @contextmanager
    def pausing() -> Iterator[None]:
        """Compute at once what is called meanwhile, instead of recording it."""
        token = _CURRENT.set(None)
        try:
            yield
        finally:
            _CURRENT.reset(token)

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
                    results.append(self._call(node, world + 2, args, kwargs))
            except Exception as failure:
                # Whatever torch raises: the call does not work at these sizes.
                results.append(DEAD)
                error = failure
        if error is not None and sum(result is not DEAD for result in results) < 2:
            self.graph.erase_node(node)
            raise ValueError(str(error)) from error
        return tuple(results)

    def _is_like_input(self, node: fx.Node) -> bool:
        if node.op == "call_module":
            return isinstance(self.layers[str(node.target)], _LAYERS_LIKE_INPUT)
        return node.target in _LIKE_INPUT and node.all_input_nodes == [node.args[0]]

    def _is_recurrent(self, node: fx.Node) -> bool:
        if node.op == "call_module":
            return isinstance(self.layers[str(node.target)], nn.RNNBase)
        return node.target in (torch.lstm, torch.gru, torch.rnn_tanh, torch.rnn_relu)

    def _call(self, node: fx.Node, number: int, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        example = _DATA_DEPENDENT.get(node.target)
        if example is not None:
            return example(number, *args, **kwargs)
        if number and self._is_like_input(node) and args[0].dtype.is_floating_point:
            return args[0]
        if number and self._is_recurrent(node):
            # One step shows what there is to see; on the meta device torch would take each of them.
            batch_first = self.layers[str(node.target)].batch_first if node.op == "call_module" else args[-1]
            axis = 1 if batch_first else 0
            x, *others = args
            if x.shape[axis] > 1:
                y, *states = self._call(node, number, (x.narrow(axis, 0, 1), *others), kwargs)
                sizes = [*y.shape]
                sizes[axis] = x.shape[axis]
                return y.new_empty(sizes), *states
        if node.target in _CONTROL:
            return _CONTROL[node.target](number, *args)
        if node.op == "call_module":
            return self.layers[str(node.target)](*args, **kwargs)
        if node.op == "call_method":
            return getattr(args[0], str(node.target))(*args[1:], **kwargs)
        assert callable(node.target)
        return node.target(*args, **kwargs)


def finish(graph: fx.Graph) -> None:
    """Drop what nothing reads, and what only the recording needed."""
    for node in graph.nodes:
        if "weight" in node.meta:
            # It may have moved into a layer since.
            node.target = node.meta["weight"].path
    graph.eliminate_dead_code(is_impure_node=lambda node: node.op in ("placeholder", "output"))
    for node in graph.nodes:
        node.meta.clear()
