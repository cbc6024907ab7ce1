"""A module, or an exported program, behind flat tensors in and out."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.export import ExportedProgram
from torch.export.graph_signature import ConstantArgument, InputKind, SymIntArgument
from torch.utils import _pytree as pytree

from translate.models.perturb import WayBack, move, neighbours, parts
from translate.models.torch_arguments import Nest, fill
from translate.models.torch_arrays import to_array, to_tensor
from translate.models.torch_double import double_arithmetic, double_weights
from translate.models.torch_results import flatten


class FlatModule(nn.Module):
    """A module behind flat tensors: `forward(*tensors)` returns the tuple of all output tensors.

    `names` are the inputs in order; `arguments` says which input goes into which argument, as pairs of an
    argument's name (None: by position) and what it is made of.
    """

    # Whether gradients will be taken, so that what the module computes without them matters.
    is_trained = False

    def __init__(
        self,
        module: Callable[..., Any],
        names: Sequence[str],
        arguments: Sequence[tuple[str | None, Nest]],
    ) -> None:
        super().__init__()
        self.module = module
        self.names = tuple(names)
        self.arguments = tuple(arguments)

    def nest(self, tensors: Sequence[Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Return the positional and the keyword arguments that the inputs, in order, make."""
        values = dict(zip(self.names, tensors, strict=True))
        args = [fill(nest, values) for keyword, nest in self.arguments if keyword is None]
        return tuple(args), {key: fill(nest, values) for key, nest in self.arguments if key is not None}

    def call(self, tensors: Sequence[Any]) -> Any:
        """Call the module on its inputs in order and return what it returns."""
        args, kwargs = self.nest(tensors)
        return self.module(*args, **kwargs)

    def forward(self, *tensors: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Return the output tensors in the order of `flatten`."""
        return tuple(flatten(self.call(tensors)).values())

    def doubled(self) -> FlatModule:
        """Return a copy whose weights are float64."""
        twin = copy.deepcopy(self).double()
        if isinstance(twin.module, ProgramCall):
            twin.module.module.double()
        return twin

    def call_double(self, tensors: Sequence[Any]) -> Any:
        """Call the module in float64, its weights a few at a time, see `torch_double`."""
        with double_arithmetic():
            if isinstance(self.module, ProgramCall):
                return self.call(tensors)
            with double_weights(self.owner):
                return self.call(tensors)

    @property
    def needs_copy(self) -> bool:
        """Whether float64 takes a copy, `doubled`, as TorchScript does: its calls cannot be followed."""
        return any(isinstance(module, torch.jit.ScriptModule) for module in self.owner.modules())

    def perturbed(self, seed: int) -> FlatModule:
        """Return a copy whose weights are moved at random to neighbouring numbers, see `neighbours`."""
        twin = copy.deepcopy(self)
        generator = np.random.default_rng(seed)
        with torch.no_grad():
            for tensor in twin.tensors():
                tensor.copy_(to_tensor(neighbours(to_array(tensor), generator)))
        return twin

    @contextmanager
    def moved(self, seed: int) -> Iterator[None]:
        """Move the weights at random to neighbouring numbers, and back afterwards."""
        generator = np.random.default_rng(seed)
        ways: list[tuple[torch.Tensor, WayBack]] = []
        try:
            for tensor in self.tensors():
                has_neighbours = tensor.is_floating_point() or tensor.is_complex()
                for index in parts(tensor.shape, tensor.itemsize) if has_neighbours else ():
                    # Through `data`: what autograd remembers of the weights stays valid.
                    part = tensor.data[index]
                    numbers, way = move(to_array(part), generator)
                    ways.append((part, way))
                    part.copy_(to_tensor(numbers))
            yield
        finally:
            # Two weights may share their memory.
            for part, way in reversed(ways):
                part.copy_(to_tensor(way.follow(to_array(part))))

    @property
    def owner(self) -> nn.Module:
        """The module that has the weights, under the names that they have in the source."""
        owner: Any = self.module.module if isinstance(self.module, ProgramCall) else self.module
        assert isinstance(owner, nn.Module)
        return owner

    def tensors(self) -> Iterator[torch.Tensor]:
        """Iterate over all parameters and buffers."""
        yield from self.owner.parameters()
        yield from self.owner.buffers()


class ProgramCall:
    """An ExportedProgram's module called by flat values, in the order of its graph's inputs."""

    def __init__(self, program: ExportedProgram) -> None:
        self.module = program.module()
        self.in_spec = program.call_spec.in_spec
        user = [spec for spec in program.graph_signature.input_specs if spec.kind is InputKind.USER_INPUT]
        self.arguments = [spec.arg for spec in user]

    def __call__(self, *values: Any) -> Any:
        """Return what the program returns, in its own structure."""
        args, kwargs = pytree.tree_unflatten(self._leaves(values), self.in_spec)
        return self.module(*args, **kwargs)

    def _leaves(self, values: Sequence[Any]) -> list[Any]:
        remaining = iter(values)
        return [self._leaf(argument, remaining) for argument in self.arguments]

    @staticmethod
    def _leaf(argument: Any, remaining: Iterator[torch.Tensor]) -> Any:
        if isinstance(argument, ConstantArgument):
            return argument.value
        value = next(remaining)
        return int(value) if isinstance(argument, SymIntArgument) else value
