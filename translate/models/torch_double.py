"""A PyTorch model computed in float64, without a second copy of its weights.

Two things together do it. `double_arithmetic` takes every operator to float64, whatever its operands are and whatever
dtype the model's code names. `double_weights` lets weights be float64 while the module that has them is being called,
because some modules, nn.LSTM for one, compare the dtypes of their weights and inputs in Python.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from torch import nn
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import TorchDispatchMode

_NARROW = (torch.float16, torch.bfloat16, torch.float32)


@contextmanager
def double_arithmetic(*, above_autograd: bool = False) -> Iterator[None]:
    """Compute all of PyTorch's operators in float64, new tensors included.

    With `above_autograd` results can be differentiated, and other modes meet the operators that composite ones are
    made of. The operands of a convolution, among others, then have to be of one dtype already, as those of a copy
    in float64 are.
    """
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    mode = _DoubleArithmetic()  # type: ignore[no-untyped-call]
    # Above autograd, composite operators compare the dtypes of their operands before the mode meets them.
    below = nullcontext() if above_autograd else torch._C._AutoDispatchBelowAutograd()
    try:
        with below, mode:
            yield
    finally:
        torch.set_default_dtype(before)
        if mode.met_control_flow:
            # PyTorch compiles a branch or loop where it is called, and would use what it compiled here later, too.
            torch._dynamo.reset()


class _DoubleArithmetic(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Calls each operator with narrower floating-point operands, and dtypes, in float64.

    What an operator writes to, or returns a view of, stays as it is: a buffer keeps its dtype.
    """

    supports_higher_order_operators = True
    met_control_flow = False

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if not isinstance(func, torch._ops.OpOverload):
            # Control flow. It calls its branches and bodies where this mode is off.
            self.met_control_flow = True
            return func(*pytree.tree_map(_operand, tuple(args)), **pytree.tree_map(_operand, dict(kwargs)))
        if func is torch.ops.aten.view.dtype:
            raise TypeError("the bits of a number are not those of another dtype's")
        known = {argument.name: argument for argument in func._schema.arguments}
        positional = list(known.values())[: len(args)]
        wide = [
            value if argument.alias_info else pytree.tree_map(_wide, value)
            for argument, value in zip(positional, args, strict=True)
        ]
        named = {
            name: value if known[name].alias_info else pytree.tree_map(_wide, value) for name, value in kwargs.items()
        }
        return func(*wide, **named)


def _wide(value: Any) -> Any:
    """Return a narrow tensor, or dtype, in float64, and anything else as it is."""
    if isinstance(value, torch.Tensor):
        return value.double() if value.dtype in _NARROW else value
    return torch.float64 if value in _NARROW else value


def _operand(value: Any) -> Any:
    """Likewise, and functions such that they compute so, too."""
    if not callable(value) or isinstance(value, torch.Tensor):
        return _wide(value)

    def widened(*args: Any, function: Callable[..., Any] = value) -> Any:
        with double_arithmetic():
            return function(*args)

    return widened


@contextmanager
def double_weights(root: nn.Module) -> Iterator[None]:
    """Let the weights of each module under `root` be float64 while it is being called."""
    originals: list[tuple[torch.Tensor, torch.Tensor]] = []

    def widen(tensors: Sequence[torch.Tensor]) -> int:
        before = len(originals)
        for tensor in tensors:
            originals.append((tensor, tensor.data))
            tensor.data = tensor.data.double()
        return before

    def restore(down_to: int) -> None:
        while len(originals) > down_to:
            tensor, data = originals.pop()
            tensor.data = data

    depths: list[int] = []
    handles = []
    for module in root.modules():
        if tensors := _narrow(module):
            handles += [
                module.register_forward_pre_hook(lambda *_, own=tensors: depths.append(widen(own))),
                module.register_forward_hook(lambda *_: restore(depths.pop())),
            ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
        restore(0)


def _narrow(module: nn.Module) -> list[torch.Tensor]:
    """Return the weights of a module itself that are narrower than float64."""
    tensors = [*module.parameters(recurse=False), *module.buffers(recurse=False)]
    return [tensor for tensor in tensors if tensor.dtype in _NARROW]
