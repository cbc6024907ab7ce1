"""What a recorded call returns, tried out on tensors of the `meta` device, which have a shape but no data."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import fx, nn

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


def call(
    node: fx.Node, layers: Mapping[str, nn.Module], number: int, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    """Return what the call at `node` returns for examples of its arguments.

    `layers` are those on the meta device, by path. `number` stands for what depends on data: it is another one in each
    world.
    """
    example = _DATA_DEPENDENT.get(node.target)
    if example is not None:
        return example(number, *args, **kwargs)
    if number and _is_like_input(node, layers) and args[0].dtype.is_floating_point:
        return args[0]
    if number and _is_recurrent(node, layers):
        # One step shows what there is to see; on the meta device torch would take each of them.
        batch_first = layers[str(node.target)].batch_first if node.op == "call_module" else args[-1]
        axis = 1 if batch_first else 0
        x, *others = args
        if x.shape[axis] > 1:
            y, *states = call(node, layers, number, (x.narrow(axis, 0, 1), *others), kwargs)
            sizes = [*y.shape]
            sizes[axis] = x.shape[axis]
            return y.new_empty(sizes), *states
    if node.target in _CONTROL:
        return _CONTROL[node.target](number, *args)
    if node.op == "call_module":
        return layers[str(node.target)](*args, **kwargs)
    if node.op == "call_method":
        return getattr(args[0], str(node.target))(*args[1:], **kwargs)
    assert callable(node.target)
    return node.target(*args, **kwargs)


def _is_like_input(node: fx.Node, layers: Mapping[str, nn.Module]) -> bool:
    if node.op == "call_module":
        return isinstance(layers[str(node.target)], _LAYERS_LIKE_INPUT)
    return node.target in _LIKE_INPUT and node.all_input_nodes == [node.args[0]]


def _is_recurrent(node: fx.Node, layers: Mapping[str, nn.Module]) -> bool:
    if node.op == "call_module":
        return isinstance(layers[str(node.target)], nn.RNNBase)
    return node.target in (torch.lstm, torch.gru, torch.rnn_tanh, torch.rnn_relu)
