"""A PyTorch model computed in float64, without a second copy of its weights.

Weights are float64 only while the module that reads them is being called, or the node of a program.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import fx, nn
from torch.utils import _pytree as pytree

# A module with all that is in it is taken as a whole up to here: some read the weights of their parts.
_WHOLE_BYTES = 2**28


@contextmanager
def double_weights(root: nn.Module) -> Iterator[None]:
    """Let the weights of each module under `root` be float64 while it is being called.

    Raises `RuntimeError` in the call where a module reads weights of another one that is not being called.
    """
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
    for module, tensors in _owners(root).items():
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


def can_be_doubled(root: nn.Module) -> bool:
    """Say whether calls of the modules under `root` can be followed: those of TorchScript cannot."""
    return not any(isinstance(module, torch.jit.ScriptModule) for module in root.modules())


def is_whole(root: nn.Module) -> bool:
    """Say whether `double_weights` takes all of `root` at once, as a copy of it would be."""
    return len(_owners(root)) == 1


def _owners(root: nn.Module) -> dict[nn.Module, list[torch.Tensor]]:
    """Return the modules whose calls decide on weights, each with its own."""
    owners: dict[nn.Module, list[torch.Tensor]] = {}

    def visit(module: nn.Module, holder: list[torch.Tensor]) -> None:
        # A list of modules is never called: what hangs there itself is for the module above.
        is_called = module is root or type(module).forward is not nn.Module.forward
        if is_called:
            holder = owners.setdefault(module, [])
        everything = _narrow(module, recurse=True)
        if is_called and sum(tensor.nbytes for tensor in everything) <= _WHOLE_BYTES:
            holder += everything
            return
        holder += _narrow(module, recurse=False)
        for child in module.children():
            visit(child, holder)

    visit(root, [])
    return owners


def _narrow(module: nn.Module, *, recurse: bool) -> list[torch.Tensor]:
    tensors = [*module.parameters(recurse), *module.buffers(recurse)]
    return [tensor for tensor in tensors if tensor.is_floating_point() and tensor.dtype is not torch.float64]


class DoubleProgram(fx.Interpreter):
    """Runs the module of an exported program with each weight in float64 where an operator reads it."""

    def __init__(self, module: fx.GraphModule) -> None:
        super().__init__(module)
        self._weights: set[int] = set()

    def get_attr(self, target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Return the weight as it is: programs fetch all of them before they use the first."""
        value = super().get_attr(target, args, kwargs)
        if isinstance(value, torch.Tensor) and value.is_floating_point():
            self._weights.add(id(value))
        return value

    def fetch_args_kwargs_from_env(self, n: fx.Node) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Return the arguments of a node, weights in float64."""
        fetched: tuple[tuple[Any, ...], dict[str, Any]] = pytree.tree_map_only(
            torch.Tensor,
            lambda value: value.double() if id(value) in self._weights else value,
            super().fetch_args_kwargs_from_env(n),
        )
        return fetched
